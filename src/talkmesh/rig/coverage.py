"""How well a performance covers the lip shapes that a real mouth makes.

A lip shape is how the 40 lip points stand to each other, against the same face at rest, in widths of its resting
mouth: what differs between faces at rest is no expression, and where the mouth is as a whole is no shape.

N shapes. Points are seen from the front, y up or down alike as long as both sides agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkmesh.landmarks import CORNERS_OF_LIPS, LIPS, LOWER_OF_LIPS, UPPER_OF_LIPS
from talkmesh.rig import Rig

_LEFT, _RIGHT = CORNERS_OF_LIPS


@dataclass(frozen=True)
class Coverage:
    """How far real lip shapes are from the nearest of a performance: RMS over the 40 points, % of the mouth's width.

    median, p95, worst : over the real shapes; within_1 : share of them no further than 1 %.
    """

    median: float
    p95: float
    worst: float
    within_1: float


def lip_shapes(points: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Return the shapes (N, 40, 2) of lip points (N, 40, 2) of one face, whose points at rest are `neutral` (40, 2)."""
    width = float(np.linalg.norm(neutral[_RIGHT] - neutral[_LEFT]))
    moved = (points - neutral) / width
    return moved - moved.mean(1, keepdims=True)


def shapes_of_poses(rig: Rig, poses: np.ndarray) -> np.ndarray:
    """Return the lip shapes (N, 40, 2) of poses (N, K), y up."""
    neutral = rig.neutral[rig.landmarks, :2]
    moved = np.tensordot(poses, rig.deltas[:, rig.landmarks, :2], 1)
    return lip_shapes(neutral + moved, neutral)


def shapes_of_landmarks(landmarks: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Return the lip shapes (N, 40, 2), y up, of landmarks (N, 478, 2) of a film, y down, and of its neutral frame."""
    lips = list(LIPS)
    return lip_shapes(landmarks[:, lips] * (1, -1), neutral[lips] * (1, -1))


def gap_and_width(shapes: np.ndarray) -> np.ndarray:
    """Return the growth of lip gap and mouth width (N, 2) of shapes y up, in resting widths: for pictures."""
    gap = shapes[:, UPPER_OF_LIPS, 1].mean(1) - shapes[:, LOWER_OF_LIPS, 1].mean(1)
    return np.stack([gap, shapes[:, _RIGHT, 0] - shapes[:, _LEFT, 0]], 1)


def nearest(real: np.ndarray, performed: np.ndarray, chunk: int = 512) -> np.ndarray:
    """Return the distance (N,) of each real shape to the nearest performed one: RMS over the points, mouth widths."""
    a = real.reshape(len(real), -1).astype(float)
    b = performed.reshape(len(performed), -1).astype(float)
    own = (b**2).sum(1)
    squares = [
        ((part**2).sum(1)[:, None] + own - 2 * part @ b.T).min(1)
        for part in (a[i : i + chunk] for i in range(0, len(a), chunk))
    ]
    return np.sqrt(np.maximum(np.concatenate(squares), 0) / real.shape[1])


def coverage(real: np.ndarray, performed: np.ndarray) -> Coverage:
    """Return how well shapes `performed` (M, 40, 2) cover the shapes `real` (N, 40, 2)."""
    away = 100 * nearest(real, performed)
    return Coverage(
        float(np.median(away)), float(np.percentile(away, 95)), float(away.max()), float((away <= 1).mean())
    )


def spread_out(features: np.ndarray, count: int) -> np.ndarray:
    """Return `count` indices of `features` (N, D) by farthest-point sampling, the one farthest from 0 first."""
    away = (features**2).sum(1)
    chosen = []
    for _ in range(min(count, len(features))):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((features - features[chosen[-1]]) ** 2).sum(1))
    return np.array(chosen, int)
