"""The sound about a clip: it moves in where the clip's sound moves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkmesh.contracts import SAMPLE_RATE, clip_audio
from talkmesh.errors import TalkmeshError
from talkmesh.margins import MARGIN, clip_margins, read_around, shifted, write_around
from talkmesh.sync import BIAS_MS, REACH_S


@pytest.mark.parametrize("ms", [0, 0.1, 240, -240, 500, -500])
def test_an_offset_is_undone_without_a_hole(ms: float) -> None:
    recording = np.random.default_rng(0).normal(0, 1, 5 * SAMPLE_RATE).astype(np.float32)
    first, last = 2 * SAMPLE_RATE, 3 * SAMPLE_RATE + 7
    moved = shifted(recording[first - MARGIN : last + MARGIN], ms)
    late = round(ms / 1000 * SAMPLE_RATE)
    np.testing.assert_array_equal(moved, recording[first + late : last + late])


def test_margins_reach_further_than_any_offset_that_is_looked_for() -> None:
    assert REACH_S + abs(BIAS_MS) / 1000 < MARGIN / SAMPLE_RATE
    for ms in (501, -501):
        with pytest.raises(ValueError, match="longer than the margin"):
            shifted(np.zeros(2 * MARGIN + 100), ms)


def test_a_clip_and_its_margins_come_back(tmp_path: Path) -> None:
    around = np.random.default_rng(0).uniform(-0.9, 0.9, 2 * MARGIN + 1234).astype(np.float32)
    (tmp_path / "c").mkdir()
    write_around(around, "c", tmp_path)
    assert soundfile.info(clip_audio("c", tmp_path)).frames == 1234
    np.testing.assert_allclose(read_around("c", tmp_path), around, atol=2**-15)
    clip_margins("c", tmp_path).unlink()
    with pytest.raises(TalkmeshError, match=r"margins\.flac not found: run `dvc repro segment`"):
        read_around("c", tmp_path)
