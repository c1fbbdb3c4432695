"""Face landmarks of a clip: MediaPipe's FaceLandmarker on every frame, one person followed throughout.

T frames, 478 points; pixel coordinates have (0, 0) at the outer corner of the first pixel, not at its centre.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkmesh import media
from talkmesh.face_model import SHA256, face_landmarker_path
from talkmesh.files import content_hash, read_npz, write_npz
from talkmesh.landmarks import COUNT, LIPS, NOSE_BRIDGE

LONGEST_SIDE = (
    1280  # pixels; larger frames are shrunk for detection (the network itself sees 256 x 256 of the face)
)
FACES = 4  # people looked for
VERSION = 1  # of what is computed here; part of the key under which results are kept


@dataclass(frozen=True)
class Track:
    """One person's face through a clip.

    landmarks : (T, 478, 2) float32, source pixels, NaN where the face was not found
    sharpness : (T,) float32, contrast of fine detail in the lower face, comparable within a speaker only
    """

    landmarks: np.ndarray
    sharpness: np.ndarray

    @property
    def good(self) -> np.ndarray:
        """Frames in which the face was found, (T,) bool."""
        return np.isfinite(self.landmarks[:, 0, 0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MediaPipe's C++ start-up messages off the terminal: they go to file descriptor 2, past `logging`."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@contextmanager
def landmarker() -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """Open MediaPipe's landmarker and yield `detect` without its start-up time (40 ms).

    One is opened and closed for each clip: left to the interpreter's exit, closing it fails loudly. Open it in the
    process that uses it; it does not survive a fork.

    Raises
    ------
    TalkmeshError
        If the model file cannot be had.
    """
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(face_landmarker_path())),
        running_mode=vision.RunningMode.IMAGE,  # VIDEO remembers earlier frames: not reproducible
        num_faces=FACES,
    )
    with _quiet():
        network = vision.FaceLandmarker.create_from_options(options)
        _detect(network, np.zeros((64, 64, 3), np.uint8))  # it also speaks on first use
    try:
        yield functools.partial(_detect, network)
    finally:
        network.close()


def _detect(network: Any, image: np.ndarray) -> np.ndarray:
    from mediapipe import Image, ImageFormat

    height, width = image.shape[:2]
    shrink = LONGEST_SIDE / max(height, width)
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    result = network.detect(Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image)))
    faces = [[(p.x * width, p.y * height) for p in face] for face in result.face_landmarks]
    return np.array(faces, np.float32).reshape(-1, COUNT, 2)


def detect(image: np.ndarray) -> np.ndarray:
    """Return the landmarks (N, 478, 2) float32 in pixels of all N faces found in an RGB image (H, W, 3) uint8."""
    with landmarker() as find:
        return find(image)


def follow(faces: Sequence[np.ndarray], width: int, height: int) -> list[int]:
    """Choose one person's face in each frame.

    The person is the one whose face is largest and nearest the middle in some frame; from there on, backwards and
    forwards, the face nearest to where it was last seen, if no further than its own width.

    Parameters
    ----------
    faces : one (N_t, 478, 2) a frame, pixels

    Returns
    -------
    list of T indices into the faces of each frame, -1 where the person is not seen
    """
    best, anchor = -1.0, (-1, -1)
    boxes = [np.stack([f.min(1), f.max(1)], 1) if len(f) else np.zeros((0, 2, 2)) for f in faces]
    for t, frame in enumerate(boxes):
        for i, (low, high) in enumerate(frame):
            off = np.abs((low + high) / 2 / [width, height] - 0.5).max()
            score = float(np.prod(high - low)) * (1 - off)
            if score > best:
                best, anchor = score, (t, i)
    chosen = [-1] * len(faces)
    if best < 0:
        return chosen
    for order in (range(anchor[0], len(faces)), range(anchor[0], -1, -1)):
        last = boxes[anchor[0]][anchor[1]]
        for t in order:
            if len(boxes[t]) == 0:
                continue
            distance = np.linalg.norm(boxes[t].mean(1) - last.mean(0), axis=1)
            i = int(np.argmin(distance))
            if distance[i] <= last[1, 0] - last[0, 0]:
                chosen[t], last = i, boxes[t][i]
    return chosen


def _sharpness(image: np.ndarray, face: np.ndarray) -> float:
    """Return the standard deviation of the Laplacian of the mouth and nose region at a fixed size, over contrast."""
    points = face[[*LIPS, *NOSE_BRIDGE]]
    low = np.clip(points.min(0).astype(int), 0, None)
    high = np.ceil(points.max(0)).astype(int)
    region = image[low[1] : high[1], low[0] : high[0]]
    if min(region.shape[:2]) < 3:
        return 0.0
    grey = cv2.cvtColor(region, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (96, 96), interpolation=cv2.INTER_AREA).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std() / (grey.std() + 1))


def track(frames: Iterator[np.ndarray]) -> Track:
    """Find and follow the face of a clip's speaker through frames (H, W, 3) uint8 RGB."""
    faces, sharpness, size = [], [], (1, 1)
    with landmarker() as find:
        for image in frames:
            found = find(image)
            faces.append(found)
            sharpness.append([_sharpness(image, face) for face in found])
            size = (image.shape[1], image.shape[0])
    chosen = follow(faces, *size)
    landmarks = np.full((len(faces), COUNT, 2), np.nan, np.float32)
    sharp = np.zeros(len(faces), np.float32)
    for t, i in enumerate(chosen):
        if i >= 0:
            landmarks[t], sharp[t] = faces[t][i], sharpness[t][i]
    return Track(landmarks, sharp)


def track_cached(video: Path, fps: float, work: Path) -> Track:
    """Track the face in a clip's video, or read the result of an earlier run from `work`."""
    key = content_hash(video, fps, SHA256, VERSION)
    path = work / key / "track.npz"
    if not path.exists():
        found = track(media.read_video(video, fps))
        write_npz(path, landmarks=found.landmarks, sharpness=found.sharpness)
    return Track(**read_npz(path))
