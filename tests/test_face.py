"""Finding a face and staying with its owner."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cartoon import face as drawn
from talkmesh import face, media
from talkmesh.errors import TalkmeshError
from talkmesh.face_model import face_landmarker_path
from talkmesh.landmarks import CORNERS, COUNT, opening


@pytest.fixture(scope="module")
def model() -> Path:
    try:
        return face_landmarker_path()
    except TalkmeshError as error:
        pytest.skip(str(error))


def at(x: float, y: float, size: float) -> np.ndarray:
    """Points of a face `size` wide about (x, y)."""
    return np.array([x, y]) + np.random.default_rng(0).uniform(-size / 2, size / 2, (COUNT, 2))


def test_the_large_central_face_is_followed_through_crossings_of_the_list_and_gaps() -> None:
    main = [at(300 + 4 * t, 240, 120) for t in range(12)]
    other = [at(80, 200, 70) for t in range(12)]
    frames = []
    for t in range(12):
        faces = [main[t], other[t]] if t % 2 else [other[t], main[t]]
        if t in (4, 5):
            faces = [other[t]]  # the speaker is not seen, somebody else is
        if t == 8:
            faces = []
        frames.append(np.array(faces).reshape(-1, COUNT, 2))
    chosen = face.follow(frames, 640, 480)
    assert chosen == [1, 0, 1, 0, -1, -1, 1, 0, -1, 0, 1, 0]


def test_nobody() -> None:
    assert face.follow([np.zeros((0, COUNT, 2))] * 3, 640, 480) == [-1, -1, -1]


def test_landmarks_lie_on_the_drawn_mouth(model: Path) -> None:
    found = face.detect(drawn(320))
    assert found.shape == (1, COUNT, 2)
    left, right = found[0][list(CORNERS)]
    assert np.linalg.norm(left - [131, 213]) < 6
    assert np.linalg.norm(right - [189, 213]) < 6


def test_large_frames_are_shrunk_for_detection_only(model: Path) -> None:
    small, large = drawn(480), drawn(480).repeat(4, 0).repeat(4, 1)
    assert np.abs(face.detect(large)[0] / 4 - face.detect(small)[0]).max() < 2


def test_opening_follows_the_drawing_and_missing_frames_are_missing(model: Path) -> None:
    gaps = np.array([0, 0.2, 0.5, 1.0, 0.5, 0.0])
    frames = [drawn(320, g) for g in gaps]
    frames.insert(3, np.full((320, 320, 3), 128, np.uint8))
    result = face.track(iter(frames))
    assert result.good.tolist() == [True, True, True, False, True, True, True]
    assert np.isnan(result.landmarks[3]).all()
    seen = opening(result.landmarks)[result.good]
    assert np.corrcoef(seen, gaps)[0, 1] > 0.98
    assert seen[0] < 0.05
    assert seen[3] > 0.25


def test_blur_lowers_sharpness(model: Path) -> None:
    import cv2

    sharp = drawn(320)
    result = face.track(iter([sharp, cv2.GaussianBlur(sharp, (0, 0), 3)]))
    assert result.sharpness[1] < 0.7 * result.sharpness[0]


def test_results_are_kept_by_content_and_equal_on_each_run(model: Path, tmp_path: Path) -> None:
    media.write_video(tmp_path / "a.mp4", [drawn(320, o) for o in (0, 0.5)], 25)
    first = face.track_cached(tmp_path / "a.mp4", 25, tmp_path / "work")
    again = face.track_cached(tmp_path / "a.mp4", 25, tmp_path / "elsewhere")
    assert np.array_equal(first.landmarks, again.landmarks)
    (kept,) = (tmp_path / "work").glob("*/track.npz")
    stamp = kept.stat().st_mtime_ns
    face.track_cached(tmp_path / "a.mp4", 25, tmp_path / "work")
    assert kept.stat().st_mtime_ns == stamp


def test_mediapipe_is_quiet(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    face.detect(drawn(160))
    assert capfd.readouterr().err == ""
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"
