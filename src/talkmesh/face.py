"""Face landmarks of a clip: MediaPipe's FaceLandmarker on every frame, everybody in it followed throughout.

T frames, P people, 478 points; pixel coordinates have (0, 0) at the outer corner of the first pixel, not at its centre.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from talkmesh import media, parallel
from talkmesh.face_model import SHA256, face_landmarker_path
from talkmesh.files import clear_leftovers, content_hash, read_npz, replacing, write_npy, write_npz
from talkmesh.landmarks import COUNT, LIPS, NOSE_BRIDGE, STABLE, yaw_deg
from talkmesh.people import FACES, link

LONGEST_SIDE = (
    1280  # pixels; larger frames are shrunk for detection (the network itself sees 256 x 256 of the face)
)
VERSION = 3  # of what is computed here; part of the key under which results are kept


@dataclass(frozen=True)
class Track:
    """One person's face through a clip, or several people's with another axis in front.

    landmarks : (T, 478, 2) float32, source pixels, NaN where the face was not found
    yaw_deg : (T,) float32, above zero where the nose points to the right of the picture
    sharpness : (T,) float32, contrast of fine detail in the lower face, comparable within a speaker only
    exposure : (T,) float32, mean brightness of the lower face, 0 to 1
    inside : (T,) bool, lips, nose and eyes lie within the picture
    """

    landmarks: np.ndarray
    yaw_deg: np.ndarray
    sharpness: np.ndarray
    exposure: np.ndarray
    inside: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """Frames in which the face was found, ([P,] T) bool."""
        return np.isfinite(self.landmarks[..., 0, 0])

    def good(self, max_yaw_deg: float) -> np.ndarray:
        """Frames that show the face whole and from the front, ([P,] T) bool: what models may learn from."""
        return self.found & self.inside & (np.abs(self.yaw_deg) <= max_yaw_deg)

    def of(self, person: int) -> Track:
        """Return one of several people."""
        return Track(*(getattr(self, f.name)[person] for f in fields(self)))


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


@functools.cache
def _network() -> Any:
    """Open MediaPipe's landmarker, once a process: it takes 40 ms, and does not survive a fork."""
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(face_landmarker_path())),
        running_mode=vision.RunningMode.IMAGE,  # VIDEO remembers earlier frames: not reproducible
        num_faces=FACES,
    )
    with _quiet():
        network = vision.FaceLandmarker.create_from_options(options)
        _detect(network, np.zeros((64, 64, 3), np.uint8))  # it also speaks on first use
    network.close = lambda: None  # at the interpreter's exit closing fails loudly; the process' end does it
    return network


def _detect(network: Any, image: np.ndarray) -> np.ndarray:
    from mediapipe import Image, ImageFormat

    height, width = image.shape[:2]
    shrink = LONGEST_SIDE / max(height, width)
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    # rows must follow each other without a gap: MediaPipe does not look at strides and sees noise
    result = network.detect(Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image)))
    faces = [[(p.x, p.y, p.z) for p in face] for face in result.face_landmarks]
    return np.array(faces, np.float32).reshape(-1, COUNT, 3) * np.array([width, height, width], np.float32)


def detect(image: np.ndarray) -> np.ndarray:
    """Return the landmarks (N, 478, 2) float32 in pixels of all N faces found in an RGB image (H, W, 3) uint8.

    Raises
    ------
    TalkmeshError
        If the model file cannot be had.
    """
    return _detect(_network(), image)[..., :2]


def _look(image: np.ndarray, face: np.ndarray) -> tuple[float, float]:
    """Return sharpness and exposure of the mouth and nose region.

    Sharpness is the standard deviation of the Laplacian at a fixed size, over contrast.
    """
    points = face[[*LIPS, *NOSE_BRIDGE]]
    low = np.clip(points.min(0).astype(int), 0, None)
    high = np.ceil(points.max(0)).astype(int)
    region = image[low[1] : high[1], low[0] : high[0]]
    if min(region.shape[:2]) < 3:
        return 0.0, 0.0
    grey = cv2.cvtColor(region, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (96, 96), interpolation=cv2.INTER_AREA).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std() / (grey.std() + 1)), float(grey.mean()) / 255


def track(frames: Iterator[np.ndarray]) -> tuple[Track, tuple[int, int]]:
    """Find and follow everybody in frames (H, W, 3) uint8 RGB; return them and the picture's width and height."""
    network = _network()
    faces, looks, size = [], [], (1, 1)
    for image in frames:
        found = _detect(network, image)
        faces.append(found)
        looks.append([_look(image, face[:, :2]) for face in found])
        size = (image.shape[1], image.shape[0])
    people = link([f[..., :2] for f in faces])
    points = np.full((*people.shape, COUNT, 3), np.nan, np.float32)
    seen = np.zeros((*people.shape, 2), np.float32)
    for p, t in np.argwhere(people >= 0):
        points[p, t], seen[p, t] = faces[t][people[p, t]], looks[t][people[p, t]]
    core = points[:, :, [*LIPS, *STABLE], :2]
    inside = ((core >= 0) & (core <= size)).all((2, 3))
    return Track(
        points[..., :2].copy(), yaw_deg(points), seen[..., 0], seen[..., 1], np.asarray(inside)
    ), size


def place(video: Path, fps: float, work: Path) -> Path:
    """Return the folder in `work` for the people of a video: its name is that of the content, the rate and the code."""
    return work / content_hash(video, fps, SHA256, VERSION)


def write_people(folder: Path, people: Track, size: tuple[int, int]) -> None:
    """Write people with the width and height of their picture; landmarks so that they can be memory-mapped."""
    rest = {f.name: getattr(people, f.name) for f in fields(people) if f.name != "landmarks"}
    with replacing(folder) as temporary:
        write_npy(temporary / "landmarks.npy", people.landmarks)
        write_npz(temporary / "people.npz", **rest, size=np.array(size))


def read_people(folder: Path) -> tuple[Track, tuple[int, int]]:
    """Read people, with the width and height of their picture; landmarks stay on disk until they are indexed."""
    kept = read_npz(folder / "people.npz")
    width, height = map(int, kept.pop("size"))
    return Track(np.load(folder / "landmarks.npy", mmap_mode="r"), **kept), (width, height)


def track_kept(video: Path, fps: float, folder: Path) -> Path:
    """Track the faces in a clip's video, unless an earlier run left the result in `folder`; return that."""
    if not folder.exists():
        write_people(folder, *track(media.read_video(video, fps)))
    return folder


def track_all(videos: Sequence[Path], rates: Sequence[float], workers: int, work: Path) -> Iterator[Path]:
    """Yield the folder in `work` of the people in each video, in order, each kept as soon as it is there.

    What is kept depends on the video's content and rate alone: another recording or another parameter redoes nothing,
    and a kill loses no more than the videos in progress.
    """
    clear_leftovers(work)
    folders = [place(video, fps, work) for video, fps in zip(videos, rates, strict=True)]
    if not all(folder.exists() for folder in folders):
        face_landmarker_path()  # fetched once, before the processes start
    jobs = list(zip(videos, rates, folders, strict=True))
    found = parallel.once_each(track_kept, folders, jobs, workers)
    yield from tqdm(found, "landmarks", len(jobs), unit="clip", mininterval=1)
