"""The page of bad input: every case has a test that exists. And what only whole stages can show of it."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
import pytest

from talkmesh import media
from talkmesh.contracts import clip_video, read_crops
from talkmesh.crops import crop_corpus
from talkmesh.errors import TalkmeshError
from talkmesh.face_model import face_landmarker_path
from test_clips import PARAMS as SEGMENTING
from test_clips import number_of, picture, segment, speech
from test_crops import PARAMS as CROPPING
from test_crops import talk
from test_crops import write as write_clips
from test_media import write as write_timed

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs/bad-input.md"
ROW = re.compile(
    r"\| (?P<case>[^|]+) \| (?P<happens>[^|]+) \| `(?P<file>test_\w+\.py)::(?P<name>test_\w+)` \|"
)


@functools.cache
def names_in(file: str) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_case_has_a_test_that_exists() -> None:
    lines = [
        line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|") and not line.startswith(("| case |", "|---"))
    ]
    rows = [ROW.fullmatch(line) for line in lines]
    assert [line for line, row in zip(lines, rows, strict=True) if row is None] == []
    missing = [row[0] for row in rows if row and row["name"] not in names_in(row["file"])]
    assert missing == []
    cases = [row["case"] for row in rows if row]
    assert len(set(cases)) == len(cases) > 60


def test_a_variable_rate_goes_through(tmp_path: Path) -> None:
    """Frames 15 to 90 ms apart become 25 a second: each shows the frame nearest to its moment."""
    gaps = np.random.default_rng(0).integers(15, 90, 50)
    times = np.concatenate([[0], np.cumsum(gaps)])
    path = tmp_path / "raw/c/p/x.mp4"
    path.parent.mkdir(parents=True)
    sound = speech([(0.1, 2.0)], times[-1] / 1000)
    write_timed(path.with_suffix(".mkv"), map(picture, range(51)), times.tolist(), sound=(sound, 0))
    table = segment(tmp_path, dataclasses.replace(SEGMENTING, cuts=False))
    row = table.loc["p-x-00"]
    assert row["dropped_why"] == ""
    assert abs(row["frames"] / 25 - times[-1] / 1000) < 0.15
    frames = media.read_video(clip_video("p-x-00", tmp_path / "clips"), 25)
    shown = times[[number_of(image) for image in frames]] / 1000
    moments = np.arange(len(shown)) / 25
    nearest = np.abs(times / 1000 - moments[:, None]).min(1)
    np.testing.assert_allclose(np.abs(shown - moments), nearest, atol=2e-3)


def test_turned_frames_are_not_good_and_a_clip_of_them_is_dropped(tmp_path: Path) -> None:
    """The drawn face looks straight ahead, as far as MediaPipe can tell: the limit is moved instead of the face."""
    try:
        face_landmarker_path()
    except TalkmeshError as error:
        pytest.skip(str(error))
    table = write_clips(tmp_path, {"p-x": ("train", talk(16, 1.0))})

    def crop(max_yaw_deg: float):  # type: ignore[no-untyped-def]
        params = dataclasses.replace(CROPPING, max_yaw_deg=max_yaw_deg)
        folders = (tmp_path / name for name in ("clips", "work", f"crops{max_yaw_deg}"))
        return crop_corpus(table, params, *folders)[0].set_index("clip").loc["p-x"]

    everything = crop(180.0)
    assert everything["good"] == everything["faces"] == 16
    limit = 0.6 * float(everything["yaw_deg"])
    some = crop(limit)
    assert 0 < some["good"] < some["faces"] == 16
    assert some["dropped_why"] == ""
    assert read_crops("p-x", tmp_path / f"crops{limit}").good.sum() == some["good"]
    with pytest.raises(TalkmeshError, match=r"p-x: the face is turned beyond crop.max_yaw_deg \(0\)"):
        crop(0.0)
