"""Live Link Face CSV: the app's own columns, and back through the reader of recorded takes."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from motions import assert_lips_agree, nameless, poses
from shared import shared
from talkmesh.curves import on_shapes, read_curves
from talkmesh.errors import TalkmeshError
from talkmesh.export.livelink import HEADER, SHAPES, on_arkit, write_animation_csv, write_curves
from talkmesh.rig.names import ARKIT
from tiny_project import tiny_rig


def test_the_columns_are_those_of_the_app() -> None:
    assert len(HEADER) == 63
    assert HEADER[:3] == ("Timecode", "BlendshapeCount", "EyeBlinkLeft")
    assert HEADER[53:] == (
        "TongueOut",
        *(a + b for a in ("Head", "LeftEye", "RightEye") for b in ("Yaw", "Pitch", "Roll")),
    )
    assert {name[0].lower() + name[1:] for name in SHAPES} == set(ARKIT)


@pytest.mark.parametrize("name", ["Happy", "MySlate_161_iPhone_cal"])
def test_the_columns_are_those_of_recorded_takes(name: str) -> None:
    with open(shared(f"data/livelinkface/{name}.csv"), encoding="utf-8-sig") as file:
        assert tuple(next(csv.reader(file))) == HEADER


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_ten_seconds_come_back_through_the_reader(tmp_path: Path, fps: int) -> None:
    rig = tiny_rig()
    rig = dataclasses.replace(rig, names=("jawOpen", "mouthSmileLeft"))
    vertices = rig.vertices(poses(rig, 10 * fps, fps))
    deviation = write_animation_csv(tmp_path / "a.csv", vertices, fps, rig)
    with open(tmp_path / "a.csv", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == HEADER
    assert {len(row) for row in rows} == {63}
    assert {row[1] for row in rows[1:]} == {"61"}
    assert rows[1][0] == "00:00:00:00.000"
    assert rows[1 + fps][0] == "00:00:01:00.000"
    (take,) = read_curves(tmp_path / "a.csv")
    assert take.seconds == pytest.approx(10.0, abs=1e-6)
    np.testing.assert_allclose(take.times, np.arange(10 * fps) / fps, atol=1e-6)
    found = rig.vertices(on_shapes(take, rig.names, "rig"))
    assert_lips_agree(rig, found, vertices)
    assert np.linalg.norm(found - vertices, axis=2).max() == pytest.approx(deviation.max_mm, abs=1e-3)
    assert deviation.max_mm < 0.1


def test_a_long_take_counts_minutes_and_hours(tmp_path: Path) -> None:
    write_curves(tmp_path / "a.csv", ["jawOpen"], np.zeros((2 * 3661, 1), np.float32), 2)
    last = (tmp_path / "a.csv").read_text().splitlines()[-1]
    assert last.startswith("01:01:00:01.000,61,")


def test_shapes_for_both_sides_and_in_halves_find_their_columns() -> None:
    weights = np.float32([[0.1, 0.2, 0.4, 0.5, 0.6]])
    row = dict(
        zip(
            SHAPES,
            on_arkit(("mouthSmile", "browInnerUpLeft", "browInnerUp_R", "jawLeft", "mouthRight"), weights)[0],
            strict=True,
        )
    )
    expected = {
        "MouthSmileLeft": 0.1,
        "MouthSmileRight": 0.1,
        "BrowInnerUp": 0.3,
        "JawLeft": 0.5,
        "MouthRight": 0.6,
    }
    assert {name: x for name, x in row.items() if x} == pytest.approx(expected)


def test_a_rig_without_arkit_is_told_what_to_write_instead(tmp_path: Path) -> None:
    rig = nameless(tiny_rig())
    with pytest.raises(TalkmeshError, match=r"none of ARKit's shapes.*write \.glb"):
        write_animation_csv(tmp_path / "a.csv", rig.vertices(poses(rig, 5)), 30.0, rig)
    assert list(tmp_path.iterdir()) == []
