"""Where points of one rig's face lie on another's, and the transfer of expressions that follows from it.

A target pose fits if the points that correspond move as the source's do, scaled by the widths of the mouths: both
rigs stand upright and look along +z, so one frame serves for both.

V vertices of the target; n points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.interpolate import RBFInterpolator

from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import CORNERS, LIPS
from talkmesh.render import vertex_normals
from talkmesh.rig import Rig, place, surface
from talkmesh.rig.transfer import Transfer

AROUND = 1.6  # mouth widths about the mouth that count as lower face
STIFF = 5.0  # mm^2; how far the two faces' points may stay apart when one is warped onto the other
RIDGE = 1e-4  # mm^2; keeps shapes that move none of the points at rest


@dataclass(frozen=True)
class Fit:
    """How poses are fitted.

    by : ``dense``, points all over the face; ``landmarks``, the 40 lip points as the camera sees them (the paper's)
    lips, face : weight of a lip point and of a point elsewhere, for the mean of its squared error in mm
    names : pull towards the weight of the shape of the same name, or 0: mm^2 for a weight that is 1 off
    """

    by: Literal["dense", "landmarks"] = "dense"
    lips: float = 1.0
    face: float = 0.1
    names: float = 0.01


def fitted(source: Rig, target: Rig, fit: Fit) -> Transfer:
    """Return the transfer from `source` to `target`.

    Raises
    ------
    TalkmeshError
        If no face is found in a picture of one of them.
    """
    if fit.by == "dense":
        ids, links = correspondence(source, target)
        moves, follows = source.deltas[:, ids], np.stack([links @ delta for delta in target.deltas])
        share = np.where(np.isin(ids, source.lips), fit.lips, fit.face)
    else:
        moves, follows = (rig.deltas[:, rig.landmarks, :2] for rig in (source, target))
        share = np.full(len(LIPS), fit.lips)
    weight = np.sqrt(share / len(share))[:, None]
    a = (follows * weight).reshape(len(target.names), -1).astype(float)
    b = (moves * weight).reshape(len(source.names), -1).astype(float) * (
        mouth_width(target) / mouth_width(source)
    )
    ridge = max(fit.names, RIDGE)
    same = np.array([[t == s for s in source.names] for t in target.names], float)
    return Transfer(
        source.names,
        target.names,
        source.hash,
        target.hash,
        a @ a.T + ridge * np.eye(len(a)),
        a @ b.T + fit.names * same,
    )


def mouth_width(rig: Rig) -> float:
    """Return the distance of the mouth corners of the neutral face, mm."""
    left, right = rig.neutral[rig.landmarks[[LIPS.index(corner) for corner in CORNERS]]]
    return float(np.linalg.norm(right - left))


def correspondence(source: Rig, target: Rig) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Return where points of the source's face lie on the target's surface.

    MediaPipe's points on pictures of both faces, mouths a little open, say how one is warped onto the other; then
    each vertex takes the nearest point of the surface. Open, or one lip would lie on the other.

    Returns
    -------
    ids : (n,) vertices of the source: its lips, the lower and the upper face
    links : (n, V) barycentric weights
    """
    here, there = (place.opened(rig).astype(float) for rig in (source, target))
    ids = face_of(source, here)
    faces = target.faces[place.skin(target)[target.faces].all(1)]
    warp = RBFInterpolator(
        _anchors(source, here), _anchors(target, there), kernel="thin_plate_spline", smoothing=STIFF
    )
    found, weights = surface.closest(warp(here[ids]), there[faces])
    rows = np.repeat(np.arange(len(ids)), 3)
    links = sparse.csr_matrix(
        (weights.ravel(), (rows, faces[found].ravel())), (len(ids), len(target.neutral))
    )
    return ids, links


def face_of(rig: Rig, vertices: np.ndarray) -> np.ndarray:
    """Return the ids of the lips, the skin about them and the upper face of `rig` with `vertices` (V, 3)."""
    mouth = vertices[rig.landmarks].mean(0)
    near = np.linalg.norm(vertices[:, :2] - mouth[:2], axis=1) < AROUND * mouth_width(rig)
    front = vertex_normals(vertices, rig.faces)[:, 2] > 0
    return np.unique(np.concatenate([np.flatnonzero(near & front & place.skin(rig)), rig.lips, rig.upper]))


def _anchors(rig: Rig, vertices: np.ndarray) -> np.ndarray:
    """Return the points (m, 3) of MediaPipe's face on the surface of `rig`, in one order for every rig."""
    points = place.face_points(rig, vertices.astype(np.float32))
    if points is None:
        raise TalkmeshError(
            f"MediaPipe does not find one face in the picture of rig {rig.name}: check its colours"
        )
    front = np.flatnonzero(place.skin(rig) & (vertex_normals(vertices, rig.faces)[:, 2] > 0))
    free = np.setdiff1d(np.arange(place.IRISES_FROM), [*LIPS, *place.OVAL])  # the outline is not of one place
    lifted = front[surface.nearest(points[free], vertices[front, :2])]
    return np.concatenate([vertices[rig.landmarks], np.column_stack([points[free], vertices[lifted, 2]])])
