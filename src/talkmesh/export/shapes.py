"""A motion as few blendshapes and their weights: what GLB and USD hold.

First come the shapes of the rig that ARKit has too, with their names, so that they can be driven by anything else.
Then come corrections: components of what those leave, as many as bring every vertex of every frame within the
tolerance, and no more than there is room for. A rig without ARKit's shapes has corrections alone.

T frames, V vertices, K shapes; millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkmesh.export.weights import Deviation, arkit_shapes, deviation, fit_weights
from talkmesh.rig import Rig

MOST = 64  # shapes a mesh: what engines and viewers take
TOLERANCE = 0.1  # mm
QUIET = 0.75  # of the tolerance: vertices that never are farther off get no correction
RANK = 0.95  # of the tolerance: what the components may leave; the rest is for rounding
NEAR = (
    1.05  # times the error of all there is room for: fewer will do if they come so near, where noise is left
)
ROUNDS = 8  # of components for the vertices that the last ones left farthest off; more gain little
FAINTEST = 0.05  # of the mean vertex: what any counts for in them
FRAMES = 1000  # of a longer motion, frames that components are found for: one in so many


@dataclass(frozen=True)
class Shapes:
    """A motion of a rig as blendshapes.

    names : K; the first `named` of them are ARKit's, the rest corrections, `correction_00`, ...
    deltas : (K, V, 3) float32, mm at weight 1
    weights : (T, K) float32; ARKit's in [0, 1], corrections' in [-1, 1]
    named_deviation : of ARKit's shapes alone; deviation : of all
    """

    names: tuple[str, ...]
    named: int
    deltas: np.ndarray
    weights: np.ndarray
    named_deviation: Deviation
    deviation: Deviation


def shapes_of(rig: Rig, vertices: np.ndarray, tolerance: float = TOLERANCE, most: int = MOST) -> Shapes:
    """Return the motion `vertices` (T, V, 3) in mm of `rig` as shapes, within `tolerance` mm if `most` suffice."""
    columns = arkit_shapes(rig)
    deltas = rig.deltas[columns].astype(np.float32)
    weights = fit_weights(rig, vertices, columns)
    alone = deviation(rig, vertices, deltas, weights)
    names = tuple(rig.names[i] for i in columns)
    if alone.max_mm <= tolerance or most <= len(columns):
        return Shapes(names, len(columns), deltas, weights, alone, alone)
    left = (vertices - rig.neutral - np.tensordot(weights, deltas, 1)).astype(np.float32)
    more, driven = corrections(left, tolerance, most - len(columns))
    names += tuple(f"correction_{i:02d}" for i in range(len(more)))
    deltas, weights = np.concatenate([deltas, more]), np.concatenate([weights, driven], 1)
    return Shapes(names, len(columns), deltas, weights, alone, deviation(rig, vertices, deltas, weights))


def corrections(left: np.ndarray, tolerance: float, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the fewest components (C, V, 3) of offsets `left` (T, V, 3) that leave `tolerance` mm, or nearly as little
    as `most` would, and their weights (T, C) in [-1, 1]."""
    loud = np.linalg.norm(left, axis=2).max(0) > QUIET * tolerance
    rows = left[:, loud].reshape(len(left), -1)
    few = rows[:: -(-len(rows) // FRAMES)]
    basis = _components(few)[: 2 * most]
    core = basis * np.linalg.norm(few @ basis.T, axis=0)[:, None]  # spreads as the frames do, and is shorter
    enough = RANK * tolerance
    best = _levelled(few, core, most, enough)
    enough = max(enough, NEAR * best.error)
    low, high = 0, len(best.basis)  # the largest error need not fall with every component, but close to
    while low < high:
        middle = (low + high) // 2
        found = _levelled(few, core, middle, enough)
        if found.error <= enough:
            best, high = found, middle
        else:
            low = middle + 1
    weights = (rows * best.gain) @ best.basis.T
    size = np.abs(weights).max(0)
    deltas = np.zeros((len(size), *left.shape[1:]), np.float32)
    deltas[:, loud] = (best.basis / best.gain * size[:, None]).reshape(len(size), int(loud.sum()), 3)
    return deltas, (weights / size).astype(np.float32)


@dataclass(frozen=True)
class _Levelled:
    """Components of rows times a gain: basis (C, m), gain (m,), and the farthest in mm that a vertex is left off."""

    basis: np.ndarray
    gain: np.ndarray
    error: float


def _levelled(rows: np.ndarray, core: np.ndarray, count: int, enough: float) -> _Levelled:
    """Return `count` components of `rows` (T, m) whose largest error is at most `enough` mm, or else small.

    Principal components leave a small mean error. So they are found again, with more said of the vertices that the
    last ones left far off, some times over. core : (n, m) rows that spread as `rows` do.
    """
    gain = np.ones(rows.shape[1] // 3, np.float32)
    tries: list[_Levelled] = []
    while len(tries) < ROUNDS and (not tries or tries[-1].error > enough):
        each = np.repeat(gain, 3)
        basis = _components(core * each)[:count]
        rest = rows - (rows * each) @ basis.T @ (basis / each)
        off = np.linalg.norm(rest.reshape(len(rows), -1, 3), axis=2).max(0)
        tries.append(_Levelled(basis, each, float(off.max(initial=0.0))))
        gain *= np.sqrt(off / max(float(off.mean()), 1e-12))
        gain = np.maximum(gain / max(float(gain.mean()), 1e-12), FAINTEST)
    return min(tries, key=lambda one: one.error)


def _components(rows: np.ndarray) -> np.ndarray:
    """Return the principal rows of `rows` (n, m), of unit length, the most important first."""
    gram = rows.astype(float) @ rows.T.astype(float)
    values, vectors = np.linalg.eigh(gram)
    good = values > 1e-10 * max(float(values[-1]), 1e-30)
    basis = (vectors[:, good] / np.sqrt(values[good])).T[::-1] @ rows
    largest = basis[np.arange(len(basis)), np.abs(basis).argmax(1)]
    return (basis * np.sign(largest)[:, None]).astype(np.float32)  # else signs would be the library's whim
