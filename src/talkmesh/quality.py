"""How good the footage is: what is measured of each clip, and pictures of it with the landmarks drawn in."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from talkmesh import media
from talkmesh.alignment import apply, residual
from talkmesh.contracts import Speaker, clip_video, read_crops
from talkmesh.face import Track
from talkmesh.landmarks import EYE_CORNERS, INNER_LIPS, NOSE_BRIDGE, OUTER_LIPS, OVAL
from talkmesh.silence import loudness

DRAWN, GREY = (80, 255, 120), 127  # colour of landmarks; of the border of pictures


def measures(track: Track, good: np.ndarray, audio: np.ndarray) -> dict[str, float]:
    """Return one clip's row of the crop table: counts of frames, and medians over those that are good.

    yaw_deg is the largest but for one frame in twenty, of all with a face; loudness_db that of the loud parts.
    """
    seen = good if good.any() else track.found
    nothing = not seen.any()
    return {
        "frames": len(good),
        "faces": int(track.found.sum()),
        "good": int(good.sum()),
        "yaw_deg": np.nan if nothing else float(np.percentile(np.abs(track.yaw_deg[track.found]), 95)),
        "sharpness": np.nan if nothing else float(np.median(track.sharpness[seen])),
        "exposure": np.nan if nothing else float(np.median(track.exposure[seen])),
        "loudness_db": float(np.percentile(loudness(audio), 95)),
    }


def skull_motion(track: Track, transforms: np.ndarray, still: bool) -> float:
    """Return the residual motion of eye corners and nose bridge in crop pixels; `still`: under the first window."""
    points = track.landmarks[:, (*EYE_CORNERS, *NOSE_BRIDGE)]
    first = int(np.argmax(track.found))
    return residual(apply(transforms[first] if still else transforms, points)[track.found])


def neutral_sheet(
    speakers: dict[str, Speaker], folder: Path, columns: int, size: int
) -> tuple[np.ndarray, list[str]]:
    """Return the candidates for neutral faces (N, size, size, 3) uint8 with their names for `crop.neutral`, the chosen
    frame of each speaker first, on a row of its own if there are several."""
    images: list[np.ndarray] = []
    labels: list[str] = []
    for speaker in speakers.values():
        chosen = f"{speaker.neutral_clip}:{speaker.neutral_frame}"
        names = [chosen, *(name for name in speaker.candidates if name != chosen)]
        for name in names:
            clip, _, frame = name.rpartition(":")
            image = np.array(read_crops(clip, folder).images[int(frame)])
            images.append(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR))
        blank = -len(names) % columns
        images += [np.full_like(images[0], 255)] * blank
        labels += names + [""] * blank
    return np.stack(images), labels


def clip_sheet(
    table: pd.DataFrame, report: pd.DataFrame, clips: Path, crops: Path, count: int, size: int
) -> tuple[np.ndarray, list[str]]:
    """Return source frames (N, size, size, 3) uint8 of up to `count` clips with what was found in them, and labels.

    Dropped clips come first. Of a clip that is kept, its most turned good frame is shown, with the outline and the
    lips of the person who is followed drawn in.

    Parameters
    ----------
    table, report : the tables of clips and of crops
    """
    report = report.merge(table[["clip", "fps"]], "left", "clip")
    dropped = report[report["dropped_why"] != ""]
    kept = report[report["dropped_why"] == ""]
    rest = max(count - len(dropped), 1)
    some = pd.concat([dropped[:count], kept.iloc[np.unique(np.linspace(0, len(kept) - 1, rest).astype(int))]])
    pictures = np.full((len(some), size, size, 3), GREY, np.uint8)
    labels = []
    columns = (some[name].tolist() for name in ("clip", "frames", "fps", "dropped_why"))
    for picture, clip, frames, fps, why in zip(pictures, *columns, strict=True):
        frame, points = frames // 2, None
        if not why:
            found = read_crops(clip, crops)
            frame = int(np.argmax(np.where(found.good, _turned(found.landmarks), -1)))
            inverse = np.linalg.inv(np.vstack([found.transforms[frame], [0, 0, 1]]))[:2]
            points = apply(inverse, found.landmarks[frame])
        image = next(itertools.islice(media.read_video(clip_video(clip, clips), fps), frame, None))
        _fit(image, points, picture)
        labels.append(f"dropped: {clip[-12:]}" if why else f"{clip[-16:]}:{frame}")
    return pictures, labels


def _turned(landmarks: np.ndarray) -> np.ndarray:
    """Return how far the nose bridge lies off the middle of the eyes (T,), in eye distances: a sign of yaw."""
    left, right = landmarks[:, EYE_CORNERS[0]], landmarks[:, EYE_CORNERS[3]]
    off = landmarks[:, NOSE_BRIDGE[-1]] - (left + right) / 2
    return np.abs(off[:, 0]) / np.linalg.norm(right - left, axis=1)


def _fit(image: np.ndarray, points: np.ndarray | None, picture: np.ndarray) -> None:
    """Draw an image (H, W, 3) with the outlines of a face (478, 2) into the middle of `picture`."""
    scale = len(picture) / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if points is not None:
        for ring in (OVAL, OUTER_LIPS, INNER_LIPS):
            cv2.polylines(
                small,
                [np.round(points[list(ring)] * scale * 16).astype(np.int32)],
                True,
                DRAWN,
                1,
                cv2.LINE_AA,
                4,
            )
    top, left = (len(picture) - small.shape[0]) // 2, (len(picture) - small.shape[1]) // 2
    picture[top : top + small.shape[0], left : left + small.shape[1]] = small
