"""Sounds that close the lips (/m b p/) count more in what E_A learns: they are few, short, and what people look for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GAP = 0  # which number of `domains.lip_shape` is the inner lip gap


@dataclass(frozen=True)
class Closures:
    """gap : lips are closed where their gap is at most so much wider than at rest, in neutral mouth widths; longest_s :
    a pause closes them for longer than that, seconds, and is no sound; weight : how often a frame of such a sound
    counts in eq. 3; 1 = as often as any other, as in the paper."""

    gap: float
    longest_s: float
    weight: float


def importance(shapes: np.ndarray, fps: float, closures: Closures) -> np.ndarray:
    """Return how much each frame of a clip counts, (T,) float32: 1, or `closures.weight`.

    Parameters
    ----------
    shapes : (T, 2) of `domains.lip_shape`; NaN where unknown, which is not closed
    """
    closed = shapes[:, GAP] <= closures.gap
    edges = np.flatnonzero(np.diff(closed.astype(int), prepend=0, append=0))
    counts = np.ones(len(closed), np.float32)
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        inside = begin > 0 and end < len(closed)  # else a pause that the clip cuts short
        if inside and end - begin <= closures.longest_s * fps:
            counts[begin:end] = closures.weight
    return counts
