"""Offsets between sound and picture: known ones are found, unsure ones are said to be unsure."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from talkmesh import sync
from talkmesh.contracts import SAMPLE_RATE
from talkmesh.errors import TalkmeshError

FPS = 25


def murmur(
    seconds: float, seed: int = 0, late_ms: float = 0.0, fps: float = FPS
) -> tuple[np.ndarray, np.ndarray]:
    """Speech-like sound (S,), `late_ms` behind, and the opening (T,) of lips in 0 to 1: syllables with random times and
    strengths, each a burst of coloured noise about an opening; the lips have noise of their own."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.14, 0.4, int(seconds * 6)))
    times = times[times < seconds - 0.2]
    strong = rng.uniform(0.4, 1, len(times))

    def bumps(at: np.ndarray, width: float) -> np.ndarray:
        return (strong * np.exp(-(((at[:, None] - times) / width) ** 2))).sum(1)

    clock = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE - late_ms / 1000
    audio = rng.normal(0, 0.1, len(clock)) * bumps(clock, 0.06) + rng.normal(0, 1e-3, len(clock))
    lips = bumps(np.arange(int(seconds * fps)) / fps, 0.07)
    return audio.astype(np.float32), lips + rng.normal(0, 0.05, len(lips))


@pytest.mark.parametrize("late_ms", [-240, -120, -40, 0, 35, 60, 240])
@pytest.mark.parametrize("fps", [25, 59.94])
def test_a_known_offset_is_found(late_ms: float, fps: float) -> None:
    found = []
    for seed in range(4):
        audio, lips = murmur(12, seed, late_ms, fps)
        found.append(sync.offset(sync.evidence(lips, audio, fps)))
    bias = -sync.BIAS_MS  # this murmur opens its lips exactly when it is loud, which people do not
    assert max(abs(f.ms - late_ms - bias) for f in found) < 20
    assert min(f.confidence for f in found) > sync.CONFIDENT


def test_clips_of_one_recording_are_pooled_and_short_ones_are_unsure() -> None:
    blocks = []
    for seed in range(5):
        audio, lips = murmur(3, seed, 120)
        blocks.append(sync.evidence(lips, audio, FPS))
        assert sync.offset(blocks[-1]).confidence <= 0.3
    found = sync.offset(np.concatenate(blocks))
    assert found.confidence > sync.CONFIDENT
    assert abs(found.ms + sync.BIAS_MS - 120) < 20


def test_somebody_elses_sound_is_never_sure() -> None:
    sure = [
        sync.offset(sync.evidence(murmur(20, seed)[1], murmur(20, seed + 100)[0], FPS)).confidence
        for seed in range(20)
    ]
    assert np.mean(np.array(sure) >= sync.CONFIDENT) <= 0.05


def test_frames_without_lips_say_nothing() -> None:
    audio, lips = murmur(20, 3, 80)
    holes = lips.copy()
    holes[100:200] = np.nan
    wild = lips.copy()
    wild[100:200] = np.random.default_rng(0).uniform(0, 3, 100)
    found = sync.offset(sync.evidence(holes, audio, FPS))
    assert abs(found.ms + sync.BIAS_MS - 80) < 20
    assert found.r > sync.offset(sync.evidence(wild, audio, FPS)).r
    for nothing in (np.full(500, np.nan), np.zeros(500)):
        assert not sync.offset(sync.evidence(nothing, audio, FPS)).confidence >= sync.CONFIDENT
    assert sync.evidence(lips[:5], audio[:3200], FPS).shape == (0, len(sync.LAGS))


def test_silence_is_not_an_error() -> None:
    _, lips = murmur(12)
    found = sync.offset(sync.evidence(lips, np.zeros(12 * SAMPLE_RATE, np.float32), FPS))
    assert found.confidence < sync.CONFIDENT


def test_mel_bands_against_torchaudio() -> None:
    functional = pytest.importorskip("torchaudio.functional")
    low, high = sync.BAND_HZ
    theirs = functional.melscale_fbanks(
        sync.SPECTRUM // 2 + 1, low, high, sync.BANDS, SAMPLE_RATE, mel_scale="htk"
    )
    np.testing.assert_allclose(sync.mel_bands(), theirs.numpy().T, atol=1e-4)


# ------------------------------------------------------------------------------------ recordings and speakers


def corpus(late: dict[str, float], seconds: float) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Three clips of `seconds` of each recording, late by so many ms; the speaker is the name's first letter."""
    rows, said = [], {}
    for number, (source, ms) in enumerate(late.items()):
        for k in range(3):
            audio, lips = murmur(seconds, 10 * number + k, ms - sync.BIAS_MS)
            clip = f"{source}-{k}"
            rows.append((clip, source[0], source, float(FPS)))
            said[clip] = sync.evidence(lips, audio, FPS)
    return pd.DataFrame(rows, columns=["clip", "speaker", "source", "fps"]), said


def test_each_recording_is_corrected_by_its_own_offset_if_beyond_a_frame() -> None:
    table, said = corpus({"a1": 160, "a2": -200, "a3": 15}, 6)
    found = sync.steps(table, said, "correct")
    assert found["a1-0"].shift_ms == found["a1-2"].shift_ms == pytest.approx(160, abs=20)
    assert found["a2-1"].shift_ms == pytest.approx(-200, abs=20)
    assert found["a3-0"].shift_ms == 0
    assert found["a3-0"].offset.ms == pytest.approx(15, abs=20)
    told = sync.steps(table, said, "report")
    assert told["a1-0"].offset == found["a1-0"].offset
    assert all(step.shift_ms == 0 for step in told.values())
    assert all(np.isnan(step.offset.ms) for step in sync.steps(table, said, "off").values())


def test_short_recordings_of_one_camera_are_judged_together_and_speakers_apart() -> None:
    table, said = corpus({"a1": 120, "a2": 120, "a3": 120, "b1": 0, "b2": 0, "b3": 0, "c1": 120}, 1.5)
    found = sync.steps(table, said, "correct")
    assert found["a2-0"].shift_ms == pytest.approx(120, abs=20)
    assert found["b2-0"].shift_ms == 0
    assert found["c1-0"].shift_ms == 0  # 4.5 s are not enough to be sure
    assert found["c1-0"].offset.confidence < sync.CONFIDENT


# ----------------------------------------------------------------------------------------------- real footage


@pytest.mark.slow
def test_shifted_recordings_of_grid() -> None:
    from benchmarks.sync import grid_clips, pooled_errors

    shared = Path(os.environ.get("TALKMESH_SHARED", Path(__file__).parents[2] / "shared"))
    if not (shared / "data/grid_s1/video").is_dir():
        pytest.skip("no ../shared/data/grid_s1 (TALKMESH_SHARED)")
    try:
        clips = grid_clips(shared / "data/grid_s1/video", 6, Path("work/crop"), workers=2)
    except TalkmeshError as error:
        pytest.skip(str(error))
    errors, confidence = pooled_errors(clips, 6, (-240, -80, 0, 120, 240))
    assert np.abs(errors).max() < 20
    assert confidence.min() > sync.CONFIDENT
