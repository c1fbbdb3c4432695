"""Least squares with weights in [0, 1], all frames at once: how a rig's blendshapes reach a given motion.

T frames, K weights. The problem is small whatever the mesh: only the normal matrix (K, K) and its right sides matter.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

LAST = 1e-5  # change of a weight below which the fit has converged
STEPS = 5000


def bounded(quadratic: np.ndarray, linear: np.ndarray, smooth: float = 0.0) -> np.ndarray:
    """Return w (T, K) in [0, 1] that minimise the sum over t of 1/2 w'Gw - w'h + smooth/2 |bend of w|^2.

    The bend at t is w[t-1] - 2 w[t] + w[t+1]: steady motion costs nothing, jitter does. Accelerated projected gradient
    (Beck and Teboulle 2009) in variables scaled to a unit diagonal, restarted where it overshoots, from the exact
    solution without bounds: what is slow to converge, directions in which shapes cancel each other, is right at once.

    Parameters
    ----------
    quadratic : (K, K), G, positive definite
    linear : (T, K), a row h for each frame
    smooth : weight of the bend, in the unit of G; 0: every frame for itself
    """
    scale = np.sqrt(np.diag(quadratic))
    scaled, right = quadratic / np.outer(scale, scale), linear / scale
    bend = smooth / scale**2
    step = 1.0 / (float(np.linalg.eigvalsh(scaled)[-1]) + 16 * float(bend.max()))
    now = np.clip(_unbounded(quadratic, linear, smooth) * scale, 0, scale)
    ahead, t = now, 1.0
    for _ in range(STEPS):
        gradient = ahead @ scaled - right
        if smooth:
            gradient += bend * _bent_twice(ahead)
        after = np.clip(ahead - step * gradient, 0, scale)
        if ((ahead - after) * (after - now)).sum() > 0:
            t = 1.0
        later = (1 + np.sqrt(1 + 4 * t * t)) / 2
        ahead = after + (t - 1) / later * (after - now)
        moved = float((np.abs(after - now) / scale).max(initial=0.0))
        now, t = after, later
        if moved < LAST:
            break
    return np.clip(now / scale, 0, 1)


def _unbounded(quadratic: np.ndarray, linear: np.ndarray, smooth: float) -> np.ndarray:
    """Return the w (T, K) that minimise the same without bounds: a banded system in time for each eigenvector of G."""
    values, vectors = np.linalg.eigh(quadratic)
    values = np.maximum(values, values[-1] * np.finfo(float).eps)
    right = linear @ vectors
    if not smooth or len(linear) < 3:
        return (right / values) @ vectors.T
    bands = np.zeros((3, len(linear)))
    for i, square in enumerate((1, 4, 1)):  # the upper bands of D'D, each bend adding its part
        bands[2, i : len(linear) - 2 + i] += square
    for i in (1, 2):
        bands[1, i : len(linear) - 2 + i] -= 2
    bands[0, 2:] = 1
    free = [
        solveh_banded(smooth * bands + np.array([[0], [0], [value]]), column)
        for value, column in zip(values, right.T, strict=True)
    ]
    return np.column_stack(free) @ vectors.T


def _bent_twice(w: np.ndarray) -> np.ndarray:
    """Return D'Dw for the second differences D in time: the gradient of half the squared bend."""
    out = np.zeros_like(w)
    bend = np.diff(w, 2, axis=0)
    out[:-2] += bend
    out[1:-1] -= 2 * bend
    out[2:] += bend
    return out
