"""Are sound and picture in step? Lip opening against loudness, by cross-correlation.

Lips open where speech is loud. Both signals lose what changes slowly (`SLOW_S`: phrases, drift of the detector), so
that syllables decide, and are compared at lags of up to `REACH_S`. What each block of `BLOCK_S` says is kept apart:
clips of one recording, and recordings of one camera, are pooled by stacking blocks, and resampling the blocks tells
how sure the answer is. Nothing is trained.

T video frames; S sound samples; B blocks; L lags. An offset above zero means that the sound comes late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from talkmesh.contracts import SAMPLE_RATE

RATE = 100  # Hz, of both signals
REACH_S = 0.4  # largest offset that is looked for
BLOCK_S = 1.0
SLOW_S, FAST_S = (
    0.12,
    0.03,
)  # Gaussian sigmas: what is slower is taken off, what is faster is smoothed (sound only)
WINDOW, SPECTRUM = 400, 512  # samples: 25 ms, and the length of their Fourier transform
BANDS = 24
BAND_HZ = (60.0, 7600.0)
FLOOR_DB = -30.0  # against the loud parts; what is quieter is silence
# Where the correlation peaks when sound and picture are in step: in loud sound lips are still opening. Measured:
# docs/decisions/sound-and-picture.md.
BIAS_MS = -5.0
NEAR_MS = 20.0  # a resampled offset this near the estimate agrees with it
RESAMPLES = 300
# Single sentences come out tens of ms apart, whatever their own correlation says: less speech than this is never sure.
ENOUGH_S = 10.0
LEAST_R = 0.15  # below it sound and lips have nothing to do with each other
CONFIDENT = 0.8  # an offset as sure as this is corrected
Sync = Literal["correct", "report", "off"]
LAGS = np.arange(-round(REACH_S * RATE), round(REACH_S * RATE) + 1)


@dataclass(frozen=True)
class Offset:
    """ms : sound behind picture; r : correlation there; confidence : 0 to 1, the share of resamplings of the blocks
    in which the offset comes out within `NEAR_MS` of it, less where there are fewer than `ENOUGH_S` of them."""

    ms: float
    r: float
    confidence: float


def mel_bands() -> np.ndarray:
    """Return the weights (BANDS, bins) of triangular bands, evenly spaced in mels over `BAND_HZ`."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in BAND_HZ)
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(SPECTRUM, 1 / SAMPLE_RATE)
    rise = (hertz - edges[:-1, None]) / np.diff(edges)[:, None]  # 0 at one edge, 1 at the next
    return np.clip(np.minimum(rise[:-1], 1 - rise[1:]), 0, None)


def envelope(audio: np.ndarray) -> np.ndarray:
    """Return the loudness (N,) of sound (S,) at `RATE`: the mean of log mel bands.

    A plain level follows the loudest band alone, which is the voice's lowest; lips shape those above it as well.
    """
    hop = SAMPLE_RATE // RATE
    padded = np.pad(np.asarray(audio, np.float64), WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::hop] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, SPECTRUM)) ** 2 @ mel_bands().T
    loud = np.percentile(power.mean(1), 95)
    return np.log(power + loud * 10 ** (FLOOR_DB / 10) + 1e-12).mean(1)


def evidence(opening: np.ndarray, audio: np.ndarray, fps: float) -> np.ndarray:
    """Return what each block of a clip says of each lag, (B, L): sums of products of two signals of unit variance.

    Parameters
    ----------
    opening : (T,) lip opening in any unit, NaN where it is unknown
    audio : (S,) sound of the clip
    """
    known = np.flatnonzero(np.isfinite(opening))
    count = min(round(len(opening) / fps * RATE), len(audio) * RATE // SAMPLE_RATE)
    if len(known) < 4 or count < BLOCK_S * RATE:
        return np.zeros((0, len(LAGS)))
    times = np.arange(count) / RATE
    lips = CubicSpline(known / fps, opening[known])(np.clip(times, known[0] / fps, known[-1] / fps))
    lips = _unit(lips)
    nearest = np.minimum((times * fps).astype(int), len(opening) - 1)
    lips *= np.isfinite(opening)[nearest]
    sound = _unit(gaussian_filter1d(envelope(audio)[:count], FAST_S * RATE))
    reach = LAGS[-1]
    shifted = np.lib.stride_tricks.sliding_window_view(np.pad(sound, reach), len(LAGS))  # (count, L)
    products = lips[:, None] * shifted
    starts = np.arange(0, count, round(BLOCK_S * RATE))
    return np.add.reduceat(products, starts, axis=0) / count * len(starts)


def _unit(signal: np.ndarray) -> np.ndarray:
    fast = signal - gaussian_filter1d(signal, SLOW_S * RATE, mode="nearest")
    return fast / (fast.std() + 1e-9)


def peaks(curves: np.ndarray) -> np.ndarray:
    """Return the lags (N,) in ms of the maxima of curves (N, L), between samples by a parabola."""
    top = np.clip(curves.argmax(1), 1, len(LAGS) - 2)
    rows = np.arange(len(curves))
    low, middle, high = curves[rows, top - 1], curves[rows, top], curves[rows, top + 1]
    bend = low - 2 * middle + high
    between = np.where(bend < 0, (low - high) / np.where(bend < 0, 2 * bend, 1), 0.0)
    return (LAGS[top] + np.clip(between, -1, 1)) * 1000 / RATE


def offset(blocks: np.ndarray, seed: int = 0) -> Offset:
    """Return the offset that blocks (B, L) of `evidence` say together."""
    if len(blocks) == 0:
        return Offset(float("nan"), 0.0, 0.0)
    mean = blocks.mean(0)
    found = float(peaks(mean[None])[0])
    weights = np.random.default_rng(seed).multinomial(
        len(blocks), np.full(len(blocks), 1 / len(blocks)), RESAMPLES
    )
    agree = np.abs(peaks(weights @ blocks) - found) <= NEAR_MS
    enough = min(1.0, len(blocks) * BLOCK_S / ENOUGH_S)
    inner = 0 < mean.argmax() < len(LAGS) - 1  # a curve that still rises at the end has its peak elsewhere
    sure = float(agree.mean()) * enough if inner and mean.max() >= LEAST_R else 0.0
    return Offset(found - BIAS_MS, float(mean.max()), sure)


@dataclass(frozen=True)
class Step:
    """How a clip's sound lies against its picture: the offset found, and the shift in ms that undoes it, or 0."""

    offset: Offset
    shift_ms: float


def steps(table: pd.DataFrame, said: Mapping[str, np.ndarray], mode: Sync) -> dict[str, Step]:
    """Judge the clips of `table` (columns clip, speaker, source, fps) by their `evidence`.

    All clips of a recording are judged together. A recording that is not sure by itself, a short one, is judged with
    all of its speaker's: one camera and one microphone, mostly. An offset is undone if it is sure and longer than a
    frame: what is shorter is within what speakers differ by.
    """
    if mode == "off":
        return {str(c): Step(offset(np.zeros((0, len(LAGS)))), 0.0) for c in table["clip"]}
    found: dict[str, Step] = {}
    for _, own in table.groupby("speaker"):
        together = offset(np.concatenate([said[c] for c in own["clip"]]))
        for _, clips in own.groupby("source"):
            best = offset(np.concatenate([said[c] for c in clips["clip"]]))
            if best.confidence < CONFIDENT <= together.confidence:
                best = together
            frame_ms = 1000 / float(clips["fps"].iloc[0])
            undo = mode == "correct" and best.confidence >= CONFIDENT and abs(best.ms) > frame_ms
            found |= {str(c): Step(best, best.ms if undo else 0.0) for c in clips["clip"]}
    return found
