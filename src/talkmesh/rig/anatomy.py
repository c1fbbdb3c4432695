"""What a mouth cannot do: lips through lips, teeth through lips, lips that close further than the jaw has opened.

Poses that break a rule are eased towards rest until they no longer do. The rules are measured on the rig, so that
they hold for whatever shapes it has; blendshapes are linear, so a pose eased enough always obeys them.

N poses, K blendshapes, V vertices. Millimetres; lip measures are in widths of the resting mouth.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csgraph, csr_matrix

from talkmesh.landmarks import CORNERS, INNER_LIPS, LIPS
from talkmesh.rig import Rig

# How far the lips of one pair may sink into each other beyond rest. 99 of 100 frames of captured faces (Live Link
# Face, FACEGOOD) on the default character stay below 0.02: lips are soft.
SOFT = 0.025
TOOTH_MM = 2.5  # a tooth is in front of a lip point if it covers it, seen from the front, from this near
_RING = len(INNER_LIPS)
STEPS = 20  # of the search for the largest share of a pose that obeys
# Pairs of inner lip points, upper and lower: point i of the ring faces point 20 - i. The middle five: towards the
# corners a point slides along the lip and stands for another part of it.
UPPER = [LIPS.index(INNER_LIPS[i]) for i in range(3, 8)]
LOWER = [LIPS.index(INNER_LIPS[len(INNER_LIPS) - i]) for i in range(3, 8)]


def mouth_width(rig: Rig) -> float:
    """Return the width of the resting mouth, corner to corner, mm."""
    left, right = (rig.neutral[rig.landmarks[LIPS.index(i)]] for i in CORNERS)
    return float(np.linalg.norm(right - left))


def overlap(rig: Rig, poses: np.ndarray) -> np.ndarray:
    """Return how deep upper and lower lip are in each other (N,), mouth widths beyond rest; negative where apart.

    A pair of inner lip points that cross in height are in each other only as far as neither lip has slid in front
    of the other, as lips do that roll in or pout.
    """
    pairs = rig.deltas[:, rig.landmarks[UPPER]] - rig.deltas[:, rig.landmarks[LOWER]]
    moved = np.tensordot(poses, pairs, 1) / mouth_width(rig)  # (N, pairs, 3)
    return (-moved[..., 1] - np.abs(moved[..., 2])).max(1)


def teeth(rig: Rig) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the vertices of upper and lower teeth, each with the landmarks of the lip before them.

    Teeth are pieces of the mesh behind the lips that nothing but the jaw moves. A rig may have none. Upper teeth may
    bite on the lower lip, so each row is measured against its own.
    """
    links = np.concatenate([rig.faces[:, [0, 1]], rig.faces[:, [1, 2]]])
    graph = csr_matrix((np.ones(len(links)), links.T), (len(rig.neutral),) * 2)
    piece = csgraph.connected_components(graph, directed=False)[1]
    jaw = np.array([name.startswith("jaw") for name in rig.names])
    lips, width = rig.neutral[rig.landmarks], mouth_width(rig)
    place = np.arange(len(LIPS)) % _RING
    upper, lower = (
        rig.landmarks[(place > a) & (place < b)] for a, b in ((0, _RING // 2), (_RING // 2, _RING))
    )
    found = []
    for i in range(piece.max() + 1):
        ids = np.flatnonzero(piece == i)
        centre = rig.neutral[ids].mean(0)
        behind = np.abs(centre[:2] - lips.mean(0)[:2]).max() < width / 2 and centre[2] < lips[:, 2].max()
        if behind and np.ptp(rig.neutral[ids, 0]) < 2 * width and not rig.deltas[~jaw][:, ids].any():
            found.append((ids, lower if rig.deltas[jaw][:, ids].any() else upper))
    return found


def teeth_before_lips(
    rig: Rig, poses: np.ndarray, teeth: np.ndarray, lip: np.ndarray, chunk: int = 128
) -> np.ndarray:
    """Return how far vertices `teeth` stand out in front of vertices `lip`, seen from the front (N,), mm; negative if
    they are behind, -inf if nowhere one covers the other."""
    out = np.full(len(poses), -np.inf)
    poses = poses.astype(np.float32, copy=False)
    tooth_deltas, lip_deltas = rig.deltas[:, teeth], rig.deltas[:, lip]
    for start in range(0, len(poses), chunk):
        some = poses[start : start + chunk]
        a = rig.neutral[teeth] + np.tensordot(some, tooth_deltas, 1)
        b = rig.neutral[lip] + np.tensordot(some, lip_deltas, 1)
        squares = sum((b[:, :, None, i] - a[:, None, :, i]) ** 2 for i in (0, 1))  # (n, lip, teeth)
        front = np.where(squares < TOOTH_MM**2, a[:, None, :, 2], -np.inf).max(2)
        out[start : start + chunk] = (front - b[..., 2]).max(1)
    return out


def possible(rig: Rig, poses: np.ndarray) -> np.ndarray:
    """Return which poses (N,) no lip and no tooth goes through."""
    fine = overlap(rig, poses) <= SOFT
    rest = np.zeros((1, len(rig.names)), np.float32)
    for ids, lip in teeth(rig):
        resting = max(0.0, float(teeth_before_lips(rig, rest, ids, lip)[0]))
        fine[fine] = teeth_before_lips(rig, poses[fine], ids, lip) <= resting
    return fine


def eased(rig: Rig, poses: np.ndarray) -> tuple[np.ndarray, int]:
    """Return poses (N, K) that are possible, and how many had to be changed.

    `mouthClose` is cut to `jawOpen`; then what moves the mouth is scaled down, all of it alike, where a rule is broken.
    """
    poses = poses.copy()
    index = {name: i for i, name in enumerate(rig.names)}
    changed = np.zeros(len(poses), bool)
    if "mouthClose" in index and "jawOpen" in index:
        close, jaw = poses[:, index["mouthClose"]], poses[:, index["jawOpen"]]
        changed = close > jaw
        poses[:, index["mouthClose"]] = np.minimum(close, jaw)
    mouth = np.abs(rig.deltas[:, rig.landmarks]).max((1, 2)) > 0.01 * mouth_width(rig)
    wrong = np.flatnonzero(~possible(rig, poses))
    changed[wrong] = True
    whole = poses[wrong]
    for share in np.arange(STEPS - 1, -1, -1) / STEPS:
        if not len(wrong):
            break
        poses[wrong] = np.where(mouth, whole * np.float32(share), whole)
        bad = ~possible(rig, poses[wrong])
        wrong, whole = wrong[bad], whole[bad]
    return poses, int(changed.sum())
