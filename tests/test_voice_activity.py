"""The voice detector on the built-in voice, whose phones say when it speaks; in blocks as in one piece."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.signal import resample_poly

from talkmesh import voice_activity
from talkmesh.contracts import SAMPLE_RATE

pytest.importorskip("silero_vad")


@pytest.fixture(scope="module")
def spoken() -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Four sentences with 0.8 s between them in a room that hums, and when they begin and end."""
    pytest.importorskip("hibari")
    pytest.importorskip("onnx")
    from talkmesh.sample.sentences import TRAIN
    from talkmesh.sample.voice import Voice

    voice = Voice(1.1)
    parts, times, at = [np.zeros(SAMPLE_RATE // 2, np.float32)], [], 0.5
    for seed, text in enumerate(TRAIN[:4]):
        said = voice(text, seed=seed)
        sound = resample_poly(said.sound, SAMPLE_RATE // 100, said.rate // 100).astype(np.float32)
        spans = [(p.start_s, p.end_s) for p in said.phones if p.symbol]
        times.append((at + spans[0][0], at + spans[-1][1]))
        parts += [sound, np.zeros(round(0.8 * SAMPLE_RATE), np.float32)]
        at = sum(map(len, parts)) / SAMPLE_RATE
    sound = np.concatenate(parts)
    return (sound + np.random.default_rng(0).normal(0, 0.003, len(sound))).astype(np.float32), times


@pytest.mark.parametrize("gain", [1.0, 0.05])
def test_pauses_lie_between_sentences(
    spoken: tuple[np.ndarray, list[tuple[float, float]]], gain: float
) -> None:
    sound, times = spoken
    spans = voice_activity.speech([gain * sound], 0.5)
    heard = np.zeros(len(sound) // 160, bool)
    for span in spans:
        heard[round(span.start_s * 100) : round(span.end_s * 100)] = True
    for start, end in times:
        assert heard[round(start * 100) : round(end * 100)].mean() > 0.85
    for (_, end), (start, _) in itertools.pairwise(times):
        assert heard[round(end * 100) + 10 : round(start * 100) - 10].mean() < 0.1


def test_blocks_give_what_one_piece_gives(
    spoken: tuple[np.ndarray, list[tuple[float, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, _ = spoken
    whole = voice_activity.probabilities([sound])
    assert len(whole) == -(-len(sound) // voice_activity.STEP)
    size = 100 * voice_activity.STEP
    pieces = voice_activity.probabilities(sound[k : k + size] for k in range(0, len(sound), size))
    assert pieces.shape == whole.shape
    assert np.abs(pieces - whole).mean() < 0.02
    assert ((pieces > 0.5) == (whole > 0.5)).mean() > 0.97


def test_noise_and_nothing_are_no_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 5 * SAMPLE_RATE).astype(np.float32)
    assert sum(s.end_s - s.start_s for s in voice_activity.speech([noise], 0.5)) < 0.5
    assert voice_activity.speech([], 0.5) == []
