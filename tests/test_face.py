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
    people, size = face.track(iter(frames))
    assert size == (320, 320)
    assert people.landmarks.shape[0] == 1
    result = people.of(0)
    assert result.found.tolist() == [True, True, True, False, True, True, True]
    assert np.isnan(result.landmarks[3]).all()
    seen = opening(result.landmarks)[result.found]
    assert np.corrcoef(seen, gaps)[0, 1] > 0.98
    assert seen[0] < 0.05
    assert seen[3] > 0.25


def test_a_face_that_leaves_the_picture_is_not_good(model: Path) -> None:
    frames = [drawn(320, 0.3, (dx, 0)) for dx in (0, 60, 130, 150, 60, 0)]
    result = face.track(iter(frames))[0].of(0)
    assert result.found[[0, 1, 4, 5]].all()
    assert result.good(40)[[0, 1, 4, 5]].all()
    assert not result.good(40)[[2, 3]].any()
    assert (
        result.landmarks[2:4][result.found[2:4]].max(initial=321) > 320
    )  # MediaPipe guesses what it cannot see


def test_yaw_of_renders_turned_by_known_angles(model: Path) -> None:
    from scipy.spatial.transform import Rotation

    from heads import plain
    from talkmesh import light, render

    rig, size = plain(), 480
    angles = np.array([-45, -30, -15, 0, 15, 30, 45])
    projection = render.perspective(900, 700, size, size)
    frames = []
    for angle in angles:
        turned = (rig.neutral - rig.neutral.mean(0)) @ Rotation.from_euler(
            "y", angle, degrees=True
        ).as_matrix().T
        colours = light.shade(render.vertex_normals(turned, rig.faces), rig.colours)
        frames.append(render.render(turned, rig.faces, colours, projection, (size, size)))
    result = face.track(iter(frames))[0].of(0)
    error = result.yaw_deg - angles
    assert np.abs(error[1:-1]).max() < 2.5  # up to 30 degrees
    assert np.abs(error).max() < 5
    assert result.good(40).tolist() == [False, *[True] * 5, False]


def test_blur_lowers_sharpness(model: Path) -> None:
    import cv2

    sharp = drawn(320)
    dark = (sharp * 0.5).astype(np.uint8)
    result = face.track(iter([sharp, cv2.GaussianBlur(sharp, (0, 0), 3), dark]))[0].of(0)
    assert result.sharpness[1] < 0.7 * result.sharpness[0]
    assert result.exposure[1] == pytest.approx(result.exposure[0], abs=0.05)
    assert result.exposure[2] == pytest.approx(result.exposure[0] / 2, abs=0.05)


def test_results_are_kept_by_content_and_equal_on_each_run(model: Path, tmp_path: Path) -> None:
    media.write_video(tmp_path / "a.mp4", [drawn(320, o) for o in (0, 0.5)], 25)
    video, work = tmp_path / "a.mp4", tmp_path / "work"
    (folder,) = face.track_all([video], [25], 1, work)
    (other,) = face.track_all([video], [25], 1, tmp_path / "elsewhere")
    (first, size), (again, _) = face.read_people(folder), face.read_people(other)
    assert size == (320, 320)
    assert isinstance(first.landmarks, np.memmap)
    for name in ("landmarks", "yaw_deg", "sharpness", "exposure", "inside"):
        assert np.array_equal(getattr(first, name), getattr(again, name), equal_nan=name == "landmarks")
    stamps = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert list(face.track_all([video], [25], 1, work)) == [folder]
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == stamps
    assert list(face.track_all([video], [30], 1, work)) != [folder]


def test_mediapipe_is_quiet(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    face.detect(drawn(160))
    assert capfd.readouterr().err == ""
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"
