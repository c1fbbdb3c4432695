"""Holding the skull still: similarities between a speaker's frames and the speaker's own mean shape.

T frames, P points. A similarity is a (2, 3) array [[a, -b, u], [b, a, v]]: uniform scale, rotation, shift.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the similarities (..., 2, 3) that map points (..., P, 2) onto `target` (..., P, 2), least squares.

    The problem is linear in (a, b, u, v), with a closed form: Umeyama 1991, eq. 40-43, in two dimensions.
    """
    source, target = np.asarray(source, float), np.asarray(target, float)
    ms, mt = source.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    s, t = source - ms, target - mt
    size = (s**2).sum((-2, -1))
    a = (s * t).sum((-2, -1)) / size
    b = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(-1) / size
    linear = np.stack([np.stack([a, -b], -1), np.stack([b, a], -1)], -2)
    shift = mt[..., 0, :] - np.einsum("...ij,...j->...i", linear, ms[..., 0, :])
    return np.concatenate([linear, shift[..., None]], -1)


def apply(transforms: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points (..., P, 2) mapped by transforms (..., 2, 3)."""
    return points @ np.swapaxes(transforms[..., :2], -1, -2) + transforms[..., None, :, 2]


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the transforms (..., 2, 3) that apply `inner` first, then `outer`."""
    linear = outer[..., :2] @ inner[..., :2]
    shift = np.einsum("...ij,...j->...i", outer[..., :2], inner[..., 2]) + outer[..., 2]
    return np.concatenate([linear, shift[..., None]], -1)


def mean_shape(shapes: np.ndarray, level: tuple[int, int], rounds: int = 10) -> np.ndarray:
    """Return the mean (P, 2) of shapes (N, P, 2) under similarity, by generalised Procrustes analysis (Gower 1975).

    It has the shapes' mean size and place, and the line from point `level[0]` to point `level[1]` lies level.
    """
    shapes = np.asarray(shapes, float)
    centres = shapes.mean(1, keepdims=True)
    size = float(np.linalg.norm(shapes - centres, axis=(1, 2)).mean())
    mean = shapes[0]
    for _ in range(rounds):
        mean = apply(fit_similarity(shapes, mean), shapes).mean(0)
        mean = mean - mean.mean(0)
        along = mean[level[1]] - mean[level[0]]
        cos, sin = along / np.hypot(*along)
        mean = mean @ np.array([[cos, -sin], [sin, cos]]) * (size / np.linalg.norm(mean))
    return mean + centres.mean(0)


def filled(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return values (T, ...) with frames not `good` interpolated between those that are; at the ends they are held."""
    seen, flat = np.flatnonzero(good), values.reshape(len(values), -1)
    frames = np.arange(len(flat))
    return np.stack([np.interp(frames, seen, column[seen]) for column in flat.T], 1).reshape(values.shape)


def smooth(transforms: np.ndarray, good: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth transforms (T, 2, 3) over time with a Gaussian of `sigma` frames; frames not `good` are interpolated.

    A weighted mean of similarities is a similarity, and does not depend on where the origin of coordinates is. At
    both ends the movement is continued point-symmetrically, so that a steady drift is not held back there.
    """
    whole = filled(transforms, good)
    if sigma > 0 and len(whole) > 1:
        margin = max(1, int(4 * sigma + 0.5))
        longer = np.pad(whole, ((margin, margin), (0, 0), (0, 0)), mode="reflect", reflect_type="odd")
        whole = gaussian_filter1d(longer, sigma, axis=0)[margin:-margin]
    return whole


def residual(points: np.ndarray) -> float:
    """Return how much points (T, P, 2) move: root of the mean over points of their variance over time."""
    return float(np.sqrt(points.var(0).sum(-1).mean())) if len(points) else float("nan")
