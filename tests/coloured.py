"""Films of one colour a frame that says where the face is: landmarks are made up, and no network is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from talkmesh import crops, face, media
from talkmesh.alignment import apply
from test_crops import PARAMS
from test_neutral import talking

PLAIN, TURNED, OUTSIDE, NOBODY = 0, 60, 120, 180  # the red of a picture: its green is how open the mouth is


def colour(kind: int = PLAIN, gap: float = 0.0, number: int = 0) -> np.ndarray:
    """A picture (32, 48, 3) of one colour; `gap` from 0 to 1, `number` makes it another film."""
    return np.full((32, 48, 3), (kind, round(200 * gap), number), np.uint8)


def made_up(frames: Iterator[np.ndarray]) -> tuple[face.Track, tuple[int, int]]:
    """Stands in for `face.track`: the face that the colours speak of, moving as a head does."""
    pixels = np.array([image[16, 24] for image in frames], int)
    kind = np.abs(pixels[:, :1] - [PLAIN, TURNED, OUTSIDE, NOBODY]).argmin(1)
    t, seed = np.arange(len(pixels)) / 25, int(pixels[0, 2])
    points = talking(len(t), pixels[:, 1] / 200 * 12, seed).astype(np.float32)
    angle, size = 0.1 * np.sin(3 * t + seed), 1 + 0.05 * np.sin(2 * t)
    a, b = size * np.cos(angle), size * np.sin(angle)
    moves = np.stack([np.stack([a, -b, 24 + 9 * np.sin(t)], -1), np.stack([b, a, 16 + 0 * t], -1)], -2)
    points = apply(moves, points).astype(np.float32)
    points[kind == 3] = np.nan
    one = np.ones((1, len(t)), np.float32)
    yaw = np.where(kind == 1, 70, 5 * np.sin(t)).astype(np.float32)
    return face.Track(points[None], yaw[None], one, one / 2, (kind != 2)[None]), (48, 32)


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Made-up landmarks in place of the network's; what is tracked and what is cut is noted by the film's number."""
    noted: dict[str, list[int]] = {"tracked": [], "cut": []}

    def track(frames: Iterator[np.ndarray]) -> tuple[face.Track, tuple[int, int]]:
        images = list(frames)
        noted["tracked"].append(int(images[0][0, 0, 2]))
        return made_up(iter(images))

    def cut(video: Path, *more: object) -> object:
        noted["cut"].append(int(next(media.read_video(video, 25))[0, 0, 2]))
        return real(video, *more)

    real = crops.cut
    monkeypatch.setattr(face, "track", track)
    monkeypatch.setattr(crops, "cut", cut)
    monkeypatch.setattr(face, "face_landmarker_path", lambda: Path())
    return noted


def film(number: int, kinds: list[int]) -> list[np.ndarray]:
    """A film of frames of these kinds whose mouth opens and closes, and rests at the end."""
    gaps = np.abs(np.sin(np.arange(len(kinds)) * 0.7 + number)) * (np.arange(len(kinds)) < 0.7 * len(kinds))
    return [colour(kind, gap, number) for kind, gap in zip(kinds, gaps, strict=True)]


def crop(root: Path, table: pd.DataFrame, **change: object) -> pd.DataFrame:
    params = dataclasses.replace(PARAMS, pixels=16, sync="off", **change)  # type: ignore[arg-type]
    report, _ = crops.crop_corpus(table, params, root / "clips", root / "work", root / "crops")
    return report.set_index("clip")
