"""Mean temporal misalignment (MTM): how far apart in time the lips of two animations reach their extremes.

Chae-Yeon et al., "Perceptually Accurate 3D Talking Head Generation" (CVPR 2025), sec. 3.1: lip distances are smoothed,
warped onto each other by derivative dynamic time warping, and extremes of the same kind that meet on the way are
compared. Their Python loops over all pairs of frames became loops over diagonals; the way is the same, ties included.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from talkmesh.metrics import STILL, checked

SMOOTHING_S = 2 / 30  # sigma: two frames of the published code, at its 30 frames a second


def warped(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cheapest way to warp the slopes of series `a` (N,) onto those of `b` (M,), as pairs of frames.

    Derivative dynamic time warping with absolute differences; of equal steps a diagonal one is taken, then one in `a`.

    Returns
    -------
    frames of a, frames of b : (L,) each, both rising from 0 to the last frame
    """
    slopes = np.diff(a, prepend=a[0]), np.diff(b, prepend=b[0])
    cost = np.abs(slopes[0][:, None] - slopes[1])
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(2, n + m + 1):  # cells whose predecessors are all known
        i = np.arange(max(1, diagonal - m), min(n, diagonal - 1) + 1)
        j = diagonal - i
        before = np.minimum(np.minimum(total[i - 1, j], total[i, j - 1]), total[i - 1, j - 1])
        total[i, j] = cost[i - 1, j - 1] + before
    return _way_back(total)


def _way_back(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, j = total.shape[0] - 1, total.shape[1] - 1
    way = []
    while i and j:
        way.append((i - 1, j - 1))
        diagonal, in_a, in_b = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        if diagonal <= min(in_a, in_b):
            i, j = i - 1, j - 1
        elif in_a <= in_b:
            i -= 1
        else:
            j -= 1
    pairs = np.array(way[::-1])
    return pairs[:, 0], pairs[:, 1]


def extremes(series: np.ndarray) -> np.ndarray:
    """Return (T,) 1 at local maxima of a series, -1 at minima, 0 elsewhere."""
    kinds = np.zeros(len(series), int)
    kinds[find_peaks(series)[0]] = 1
    kinds[find_peaks(-series)[0]] = -1
    return kinds


def mtm_ms(predicted: np.ndarray, truth: np.ndarray, fps: float) -> float:
    """Return the mean temporal misalignment of two lip distances, in milliseconds.

    A true extreme and a predicted one of the same kind count where the warping brings them together and the predicted
    one lies between the true extreme's neighbours.

    Parameters
    ----------
    predicted, truth : (T,), distance between the middles of upper and lower lip

    Returns
    -------
    milliseconds, never negative; NaN if no extremes meet. Extremes that the prediction lacks cost nothing.

    Raises
    ------
    TalkmeshError
        If the series differ in length, are empty, or hold NaN.
    """
    predicted, truth = checked(predicted, truth, 1)
    if min(np.ptp(predicted), np.ptp(truth)) < STILL:
        return float("nan")
    predicted, truth = (gaussian_filter1d(s, SMOOTHING_S * fps) for s in (predicted, truth))
    t, p = warped(truth, predicted)
    kinds = extremes(truth)
    meet = (kinds[t] != 0) & (kinds[t] == extremes(predicted)[p])
    t, p = t[meet], p[meet]
    bounds = np.concatenate([[0], np.flatnonzero(kinds), [len(truth) - 1]])
    place = np.searchsorted(bounds[1:-1], t) + 1
    near = (bounds[place - 1] <= p) & (p <= bounds[place + 1])
    return float(np.abs(t - p)[near].mean() * 1000 / fps) if near.any() else float("nan")
