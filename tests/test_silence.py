"""The level of sound and its pauses."""

from __future__ import annotations

import numpy as np
import pytest

from talkmesh.contracts import SAMPLE_RATE
from talkmesh.silence import frame_levels, loudness


def speech(spans: list[tuple[float, float]], length_s: float, seed: int = 0) -> np.ndarray:
    """Noise in the given spans of seconds, a whisper of noise elsewhere."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 1e-4, round(length_s * SAMPLE_RATE))
    for start, stop in spans:
        part = slice(round(start * SAMPLE_RATE), round(stop * SAMPLE_RATE))
        sound[part] += rng.normal(0, 0.1, len(sound[part]))
    return sound.astype(np.float32)


def test_loudness_agrees_with_a_slow_sum() -> None:
    sound = speech([(0.2, 0.5)], 0.8)
    level = loudness(sound)
    slow = []
    for k in range(len(level)):
        centre = k * 160 + 80
        window = sound[max(0, centre - 200) : centre + 200].astype(float)
        slow.append(10 * np.log10(max((window**2).mean(), 1e-12)))
    assert np.allclose(level, slow, atol=0.05)


def test_silence_has_a_level() -> None:
    assert (loudness(np.zeros(1600)) == -120).all()
    assert np.allclose(loudness(np.ones(1600)), 0, atol=1e-9)


@pytest.mark.parametrize("fps", [25.0, 29.97])
def test_frames_get_the_level_about_them(fps: float) -> None:
    sound = speech([(0.0, 1.0), (2.5, 3.0)], 3.0)
    frames = round(3 * fps)
    levels = frame_levels(sound, frames, fps)
    assert len(levels) == frames
    time = (np.arange(frames) + 0.5) / fps
    assert levels[(time > 1.3) & (time < 2.2)].max() < levels[(time < 0.95) | (time > 2.55)].min() - 20
    assert len(frame_levels(np.zeros(10), 5, 25.0)) == 5
