"""Where MediaPipe sees the lips: the 40 vertices of a rig that stand for its 40 lip points.

Done once for a rig, on a picture of it; from then on a projected vertex stands for a landmark.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.optimize import linear_sum_assignment

from talkmesh import render
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import LIPS, OUTER_LIPS
from talkmesh.rig import Rig
from talkmesh.rig.parts import cross, mirrored

SIZE = 768  # pixels of the picture in which landmarks are looked for
JAW_OPEN = 0.3  # enough to tell the inner edges of the lips apart
RING = len(OUTER_LIPS)
# Place i of a ring mirrors place 10 - i; 5 is the middle of the upper lip, 15 of the lower.
MIRROR = np.concatenate([(10 - np.arange(RING)) % RING, RING + (10 - np.arange(RING)) % RING])
UPPER = np.isin(np.arange(2 * RING) % RING, np.arange(1, 10))
LOWER = np.isin(np.arange(2 * RING) % RING, np.arange(11, 20))


def place_landmarks(rig: Rig) -> Rig:
    """Return `rig` with its 40 landmarks placed at the lip vertices nearest to where MediaPipe sees its lips.

    The picture shows the jaw a little open, from the front. Points are averaged with their mirror images, then each
    takes the nearest lip vertex that is visible, no two the same, on the right lip and on the right side.

    Raises
    ------
    TalkmeshError
        If the rig has no shape `jawOpen`, or no face is found in its picture.
    """
    from talkmesh.face import detect

    if "jawOpen" not in rig.names:
        raise TalkmeshError(f"rig {rig.name} has no blendshape 'jawOpen': its lip landmarks cannot be placed")
    pose = np.zeros(len(rig.names), np.float32)
    pose[rig.names.index("jawOpen")] = JAW_OPEN
    vertices = rig.vertices(pose)
    picture = render.MeshRenderer(rig, SIZE)
    faces = detect(picture.image(vertices))
    if len(faces) != 1:
        raise TalkmeshError(
            f"MediaPipe finds {len(faces)} faces in the picture of rig {rig.name}: its lip landmarks cannot be "
            "placed; check its colours and that it faces +z"
        )
    pixels = faces[0][list(LIPS)]
    points = (pixels - picture.camera[:, 2]) @ np.linalg.inv(picture.camera[:, :2]).T  # mm
    return dataclasses.replace(rig, landmarks=nearest_vertices(rig, vertices, points))


def nearest_vertices(rig: Rig, vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return 40 lip vertices of a symmetric rig nearest to `points` (40, 2) in mm, symmetric themselves."""
    points = (points + points[MIRROR] * (-1, 1)) / 2  # the face is symmetric about x = 0
    facing = render.vertex_normals(vertices, rig.faces)[rig.lips, 2] > 0  # not the lips' inner side
    candidates = rig.lips[facing & visible(vertices, rig.faces, rig.lips)]
    low = -rig.deltas[rig.names.index("jawOpen")][candidates, 1]  # how far the jaw takes a vertex along
    low = low / low.max()
    place = vertices[candidates]
    distance = np.linalg.norm(place[None, :, :2] - points[:, None], axis=-1)
    never = 1e3
    distance[UPPER] += never * (low > 0.45)
    distance[LOWER] += never * (low < 0.25)
    left = np.flatnonzero(points[:, 0] < -0.5)
    middle = np.flatnonzero(np.abs(points[:, 0]) <= 0.5)
    twins = mirrored(rig.neutral[candidates], rig.neutral[rig.lips])
    chosen = np.zeros(len(points), np.int32)
    for places, fits in ((left, place[:, 0] < -0.3), (middle, np.abs(place[:, 0]) < 0.3)):
        rows, columns = linear_sum_assignment(distance[places] + never * ~fits)
        chosen[places[rows]] = candidates[columns]
        if places is left:
            chosen[MIRROR[places[rows]]] = rig.lips[twins[columns]]
    return chosen


def visible(vertices: np.ndarray, faces: np.ndarray, ids: np.ndarray, tolerance: float = 0.3) -> np.ndarray:
    """Return (n,) bool: which of the vertices `ids` nothing hides by more than `tolerance` mm, seen from +z."""
    corners = vertices[faces].astype(np.float64)
    low, high = vertices[ids, :2].min(0), vertices[ids, :2].max(0)
    near = ((corners[..., :2].max(1) >= low) & (corners[..., :2].min(1) <= high)).all(1)
    a, b, c = (corners[near, i] for i in range(3))
    area = cross(b - a, c - a)
    a, b, c, area = (q[area > 1e-9] for q in (a, b, c, area))
    point = vertices[ids][:, None].astype(np.float64)
    u, v = cross(b - point, c - point) / area, cross(c - point, a - point) / area
    inside = np.minimum(np.minimum(u, v), 1 - u - v) >= -1e-9
    depth = u * a[:, 2] + v * b[:, 2] + (1 - u - v) * c[:, 2]
    return (np.where(inside, depth, -np.inf) <= point[..., 2] + tolerance).all(1)
