"""The level of sound over time: when it is silent."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from talkmesh.contracts import SAMPLE_RATE

HOP_S, WINDOW_S = 0.01, 0.025  # of the level


def loudness(audio: np.ndarray, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Return the level (N,) in dB of full scale of windows of `WINDOW_S` every `HOP_S`; silence is -120."""
    hop, window = round(HOP_S * rate), round(WINDOW_S * rate)
    power = np.concatenate([[0.0], np.cumsum(np.asarray(audio, np.float64) ** 2)])
    centres = np.arange(0, len(audio), hop) + hop // 2
    low = np.clip(centres - window // 2, 0, len(audio))
    high = np.clip(centres + window // 2, 0, len(audio))
    return 10 * np.log10(np.maximum((power[high] - power[low]) / np.maximum(high - low, 1), 1e-12))


def frame_levels(audio: np.ndarray, frames: int, fps: float, around_s: float = 0.5) -> np.ndarray:
    """Return the level (frames,) in dB about each video frame, averaged over `around_s` seconds."""
    level = uniform_filter1d(loudness(audio), max(1, round(around_s / HOP_S)), mode="nearest")
    middle = ((np.arange(frames) + 0.5) / fps / HOP_S).astype(int)
    return level[np.minimum(middle, len(level) - 1)]
