"""When nobody speaks: the level of sound over time, and its pauses."""

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


def pauses(level: np.ndarray, silence_s: float, silence_db: float) -> list[tuple[float, float]]:
    """Return (start, end) in seconds of the stretches of at least `silence_s` in which a level (N,) stays below
    `silence_db`, with louder ones on both sides."""
    silent = np.concatenate([[False], level < silence_db, [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(silent)).reshape(-1, 2)
    return [
        (start * HOP_S, end * HOP_S)
        for start, end in edges
        if start > 0 and end < len(level) and (end - start) * HOP_S >= silence_s - 1e-9
    ]


def frame_levels(audio: np.ndarray, frames: int, fps: float, around_s: float = 0.5) -> np.ndarray:
    """Return the level (frames,) in dB about each video frame, averaged over `around_s` seconds."""
    level = uniform_filter1d(loudness(audio), max(1, round(around_s / HOP_S)), mode="nearest")
    middle = ((np.arange(frames) + 0.5) / fps / HOP_S).astype(int)
    return level[np.minimum(middle, len(level) - 1)]
