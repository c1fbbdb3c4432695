"""Strips and side-by-side videos of the test clips: film, decoded faces, meshes.

T frames, H x W pixels, V vertices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.signal import find_peaks

from talkmesh.contracts import SAMPLE_RATE, Crops, clip_audio, clip_video
from talkmesh.export.video import rendered
from talkmesh.media import read_audio, read_video, write_video
from talkmesh.preview import save_png
from talkmesh.rig import Rig

BAR, GAP = 26, 4  # pixels: label above a pane of a video; between panes
DARK, LIGHT = (24, 24, 27), (244, 244, 245)
MARK = (226, 98, 44)  # frame about a picture with closing lips; the page's second series
HEAD = 3.0  # side of the film's pane, in crops


def spaced(opening: np.ndarray, count: int) -> np.ndarray:
    """Return at most `count` frame numbers, evenly spaced along the motion of a lip opening (T,) with NaN gaps.

    Pauses, in which all frames look alike, get few of them, whatever a method predicts.
    """
    known = np.flatnonzero(np.isfinite(opening))
    steps = np.abs(np.diff(np.interp(np.arange(len(opening)), known, opening[known])))
    way = np.concatenate([[0.0], np.cumsum(steps + 0.2 * steps.mean() + 1e-9)])  # and some along time
    return np.unique(np.interp(np.linspace(0, way[-1], count), way, np.arange(len(way))).round().astype(int))


def closings(opening: np.ndarray) -> np.ndarray:
    """Return the frames in which the lips close between two openings: deep minima of a lip opening (T,) with NaN gaps.

    Deep is relative to the clip: at least a quarter of its range below both neighbouring maxima, and in its lowest
    fifth.
    """
    known = np.flatnonzero(np.isfinite(opening))
    filled = np.interp(np.arange(len(opening)), known, opening[known])
    low, high = np.quantile(filled, (0.05, 0.95))
    found: np.ndarray = find_peaks(-filled, prominence=max(0.25 * (high - low), 1e-6))[0]
    return found[filled[found] <= low + 0.2 * (high - low)]


def columns(opening: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `count` frame numbers of a strip, and which of them show closing lips.

    They are spaced along the motion; the nearest ones give way to frames in which the lips close, to half of them.
    """
    chosen, closing = spaced(opening, count), closings(opening)
    if len(closing) > count // 2:
        closing = closing[np.linspace(0, len(closing) - 1, count // 2).round().astype(int)]
    for frame in closing:
        free = np.flatnonzero(~np.isin(chosen, closing))
        if frame not in chosen and len(free):
            chosen[free[np.abs(chosen[free] - frame).argmin()]] = frame
    chosen = np.unique(chosen)
    return chosen, np.isin(chosen, closing)


def write_row(path: Path, images: np.ndarray, marked: np.ndarray | None = None) -> Path:
    """Write images (n, H, W, 3) uint8 side by side as one PNG; those `marked` (n,) have a coloured frame."""
    framed = [image.copy() for image in images]
    edge = max(1, images.shape[1] // 32)
    for image, mark in zip(framed, np.zeros(len(images), bool) if marked is None else marked, strict=True):
        if mark:
            image[:edge] = image[-edge:] = MARK
            image[:, :edge] = image[:, -edge:] = MARK
    save_png(path, np.concatenate(framed, axis=1))
    return path


def mesh_images(vertices: np.ndarray, rig: Rig, size: int, camera: np.ndarray | None = None) -> np.ndarray:
    """Render vertices (n, V, 3) in mm to (n, size, size, 3) uint8."""
    return np.stack(list(rendered(vertices, rig, size, camera)))


# ---------------------------------------------------------------------------------------------------- videos


def film(clip: str, fps: float, crops: Crops, size: int) -> Iterator[np.ndarray]:
    """Yield the source frames of a clip, cut to a square about the head, (size, size, 3) uint8."""
    linear = np.median(crops.transforms[crops.good], axis=0) if crops.good.any() else np.eye(2, 3)
    scale = float(np.sqrt(abs(np.linalg.det(linear[:, :2]))))
    crop_side = crops.images.shape[1] / scale
    mouth = np.linalg.solve(linear[:, :2], np.full(2, crops.images.shape[1] / 2) - linear[:, 2])
    for frame in read_video(clip_video(clip), fps):
        height, width = frame.shape[:2]
        side = min(height, width, HEAD * crop_side)
        # the mouth lies in the lower half of a head
        left, top = (
            np.clip(middle - side / 2, 0, extent - side)
            for middle, extent in zip(mouth - (0, 0.18 * side), (width, height), strict=True)
        )
        box = (float(left), float(top), float(left + side), float(top + side))
        yield np.asarray(Image.fromarray(frame).resize((size, size), Image.Resampling.LANCZOS, box))


def bar(labels: Iterable[str], size: int) -> np.ndarray:
    """Draw the labels of panes of `size` pixels, (BAR, width, 3) uint8."""
    labels = list(labels)
    image = Image.new("RGB", (len(labels) * (size + GAP) - GAP, BAR), DARK)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    for i, label in enumerate(labels):
        pen.text((i * (size + GAP) + size / 2, BAR / 2), label, LIGHT, font, anchor="mm")
    return np.asarray(image)


def comparison(panes: Mapping[str, Iterable[np.ndarray]], size: int) -> Iterator[np.ndarray]:
    """Yield frames with the panes (size, size, 3) beside each other below their labels, until the shortest ends."""
    head = bar(panes, size)
    gap = np.full((size, GAP, 3), DARK, np.uint8)
    for images in zip(*panes.values(), strict=False):
        row = [part for image in images for part in (image, gap)][:-1]
        yield np.concatenate([head, np.concatenate(row, axis=1)])


def write_comparison(
    path: Path,
    clip: Path,
    fps: float,
    crops: Crops | None,
    meshes: Mapping[str, np.ndarray],
    rig: Rig,
    size: int,
    poster: int,
) -> None:
    """Write an mp4 with the sound in the folder `clip`: the film if there is one, then each of the labelled
    `meshes` (T, V, 3) in mm.

    Frame number `poster` is written beside it as PNG, the picture that stands there until the video plays.
    """
    panes: dict[str, Iterable[np.ndarray]] = {}
    if crops is not None:
        panes["film"] = film(clip.name, fps, crops, size)
    panes |= {label: rendered(vertices, rig, size) for label, vertices in meshes.items()}

    def frames() -> Iterator[np.ndarray]:
        for k, image in enumerate(comparison(panes, size)):
            if k == poster:
                save_png(path.with_suffix(".png"), image)
            yield image

    write_video(path, frames(), fps, read_audio(clip_audio(clip.name, clip.parent), SAMPLE_RATE))
