"""Weights of a rig's blendshapes for a motion that is only a mesh, and how far they stay from it.

Lips count more than the rest of the head, their opening counts by itself, and weights that bend in time cost a little:
what the mesh says clearly is kept to a hundredth, what several shapes could explain alike does not flicker between
them.

T frames, V vertices, K blendshapes; millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talkmesh.curves import plain
from talkmesh.landmarks import LOWER_OF_LIPS, UPPER_OF_LIPS
from talkmesh.rig import Rig
from talkmesh.rig.bounded import bounded
from talkmesh.rig.names import ARKIT, SIDED, SPLIT

LIPS = 4.0  # what a lip vertex counts; others 1
# What the gap of the inner lips counts beside the mean vertex. It is what eyes look at, and shapes that cannot meet all
# lip vertices can meet it: with ARKit's, on a trained model, its largest error fell from 2.8 to 0.2 % of its range,
# and the mean error of all vertices grew by a twentieth.
OPENING = 0.3
# mm^2. Of a shape that moves the mean vertex by 0.4 mm, the weakest of ARKit's on a head, an articulation of 5 Hz at
# 30 frames a second is damped by less than 1 %; a direction in which shapes cancel each other to 0.03 mm, by half.
SMOOTH = 1e-3
RIDGE = 1e-6  # mm^2; keeps shapes that move nothing at rest
SIDES = ("Left", "Right")
CHUNK = 256  # frames held in double precision at a time


@dataclass(frozen=True)
class Deviation:
    """How far one motion is from another, mm: root mean square and maximum over all vertices and frames, and the
    maximum over lip vertices."""

    rms_mm: float
    max_mm: float
    lips_max_mm: float


def arkit_shapes(rig: Rig) -> list[int]:
    """Return the columns of the rig's shapes that are ARKit's, or its stand-ins where the rig lacks one: a shape for
    both sides at once, or the two halves of a single one."""
    index = {plain(name): i for i, name in enumerate(rig.names)}
    exact = {name for name in map(plain, ARKIT) if name in index}
    stems = {plain(stem) for stem in SIDED if not {plain(stem + side) for side in SIDES} & exact}
    halves = {plain(stem + side) for stem in SPLIT if plain(stem) not in exact for side in SIDES}
    return sorted(index[name] for name in exact | ((stems | halves) & set(index)))


def fit_weights(
    rig: Rig, vertices: np.ndarray, shapes: Sequence[int] | None = None, smooth: float = SMOOTH
) -> np.ndarray:
    """Return the weights (T, K) float32 in [0, 1] whose mesh is nearest to `vertices` (T, V, 3), in mm, of `rig`.

    Parameters
    ----------
    shapes : the K columns of the rig's blendshapes to use; all if None
    smooth : mm^2, what a bend of a weight in time costs (`rig.bounded`), beside the mean squared distance of a vertex
    """
    deltas = rig.deltas if shapes is None else rig.deltas[list(shapes)]
    if not len(deltas):
        return np.zeros((len(vertices), 0), np.float32)
    share = np.ones(len(rig.neutral))
    share[rig.lips] = LIPS
    share /= share.sum()
    flat = deltas.reshape(len(deltas), -1).astype(float)
    weighted = flat * np.repeat(share, 3)
    right = np.concatenate(
        [(part.astype(float) - rig.neutral).reshape(len(part), -1) @ weighted.T for part in _chunks(vertices)]
    )
    quadratic = weighted @ flat.T + RIDGE * np.eye(len(flat))
    upper, lower = rig.landmarks[UPPER_OF_LIPS], rig.landmarks[LOWER_OF_LIPS]
    gaps = (deltas[:, upper, 1] - deltas[:, lower, 1]).astype(float)  # (K, pairs)
    rise = [vertices[:, ids, 1].astype(float) - rig.neutral[ids, 1] for ids in (upper, lower)]
    right += OPENING * (rise[0] - rise[1]) @ gaps.T / len(upper)
    quadratic += OPENING * gaps @ gaps.T / len(upper)
    return bounded(quadratic, right, smooth).astype(np.float32)


def deviation(rig: Rig, vertices: np.ndarray, deltas: np.ndarray, weights: np.ndarray) -> Deviation:
    """Return how far the neutral mesh of `rig` with `deltas` (K, V, 3) at `weights` (T, K) is from `vertices`."""
    total, largest, lips = 0.0, 0.0, 0.0
    for start in range(0, len(vertices), CHUNK):
        part = vertices[start : start + CHUNK]
        made = rig.neutral + np.tensordot(weights[start : start + CHUNK], deltas, 1)
        far = np.linalg.norm(made - part, axis=2)
        total += float((far.astype(float) ** 2).sum())
        largest, lips = max(largest, float(far.max())), max(lips, float(far[:, rig.lips].max()))
    return Deviation(float(np.sqrt(total / vertices[..., 0].size)), largest, lips)


def _chunks(vertices: np.ndarray) -> list[np.ndarray]:
    return [vertices[i : i + CHUNK] for i in range(0, len(vertices), CHUNK)]
