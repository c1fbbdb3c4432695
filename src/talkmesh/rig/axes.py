"""Foreign units and axes: what a mesh must be turned and multiplied by to be in millimetres, y up, facing +z."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from talkmesh import render
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import CORNERS, EYE_CORNERS
from talkmesh.rig import place, surface

Axis = Literal["x", "y", "z", "-x", "-y", "-z"]
# mm of a file's unit: metre, decimetre, centimetre, millimetre, foot, inch
UNITS = (1000.0, 100.0, 10.0, 1.0, 304.8, 25.4)
EYES_MM = 90.0  # between the outer corners of the eyes; 80 to 100 on people
TOLERANCE = 1.35  # by which a head may be smaller or larger than people's before its unit counts as unknown
NOSE_TIP = 4  # among MediaPipe's points
# How far it stands out before eyes and mouth corners, of the eyes' distance: 0.3 to 0.4 on faces of any age, up to 0.23
# on the other sides of heads in which MediaPipe sees a face
NOSE_SHARE = 0.26
USUAL: tuple[tuple[Axis, Axis], ...] = (
    ("y", "z"),
    ("z", "-y"),
    ("y", "-z"),
    ("z", "y"),
    ("y", "x"),
    ("y", "-x"),
)


def turned(up: Axis = "y", front: Axis = "z") -> np.ndarray:
    """Return the rotation (3, 3) that brings a mesh's axes `up` to y and `front`, where it looks, to z.

    Raises
    ------
    TalkmeshError
        If both lie along one axis.
    """
    y, z = _vector(up), _vector(front)
    if y @ z:
        raise TalkmeshError(f"the axes up '{up}' and front '{front}' of a rig must differ")
    return np.stack([np.cross(y, z), y, z])


def _vector(axis: str) -> np.ndarray:
    return np.eye(3)["xyz".index(axis[-1])] * (-1.0 if axis.startswith("-") else 1.0)


def normalising(
    name: str,
    vertices: np.ndarray,
    faces: np.ndarray,
    up: Axis = "y",
    front: Axis = "z",
    unit_mm: float | None = None,
    colours: np.ndarray | None = None,
) -> np.ndarray:
    """Return the matrix (3, 3) that brings a mesh to millimetres, y up, facing +z: ``vertices @ matrix.T``.

    Blendshapes take the same matrix. The unit is guessed from the size of the face that MediaPipe sees: the usual
    unit nearest to it, or one of its own for a mesh of no usual unit.

    Parameters
    ----------
    name : of the rig, in errors
    vertices : (V, 3) in any unit; faces : (F, 3) triangles
    up, front : the axes that point up and to where the face looks
    unit_mm : millimetres of one unit, if known: then no face is looked for
    colours : (V, 3) sRGB in [0, 1], if known: a drawn face may be one by its colours only

    Raises
    ------
    TalkmeshError
        If no face is seen from the front; names the axes from which one is seen, if any.
    """
    rotation = turned(up, front)
    if unit_mm is not None:
        return rotation * unit_mm
    eyes = _eye_distance(vertices @ rotation.T, faces, name, colours)
    if eyes is None:
        for other in USUAL:
            if other != (up, front) and _eye_distance(vertices @ turned(*other).T, faces, name, colours):
                raise TalkmeshError(
                    f"rig {name}: no face is seen with up '{up}' and front '{front}', but one with up '{other[0]}' and "
                    f"front '{other[1]}': set these"
                )
        raise TalkmeshError(
            f"rig {name}: MediaPipe sees no face in it from any side; check the mesh, or give its axes and unit and "
            "the vertex ids of lips and landmarks"
        )
    exact = EYES_MM / eyes
    usual = min(UNITS, key=lambda unit: abs(np.log(unit / exact)))
    return rotation * (usual if max(usual / exact, exact / usual) < TOLERANCE else exact)


def _eye_distance(
    vertices: np.ndarray, faces: np.ndarray, name: str, colours: np.ndarray | None
) -> float | None:
    """Return how far the outer eye corners are apart, in units of `vertices` (V, 3), or None if no face is seen.

    MediaPipe sees faces in crowns of heads, too: what it takes for the nose must stand out.
    """
    size = float(np.ptp(vertices, 0).max())
    if not np.isfinite(size) or size <= 0:
        raise TalkmeshError(f"rig {name}: its vertices have no extent")
    scale = 300.0 / size
    rig = place.unpainted(name, vertices * scale, faces)
    if colours is not None:
        rig = dataclasses.replace(rig, colours=colours.astype(np.float32))
    points = place.face_points(rig)
    if points is None:
        return None
    eyes = [EYE_CORNERS[0], EYE_CORNERS[-1]]
    distance = float(np.linalg.norm(points[eyes[1]] - points[eyes[0]]))
    front = np.flatnonzero(render.vertex_normals(rig.neutral, faces)[:, 2] > 0)
    front = front[surface.visible(rig.neutral, faces, front)]
    depth = rig.neutral[front[surface.nearest(points, rig.neutral[front, :2])], 2]
    nose = depth[NOSE_TIP] - depth[[*eyes, *CORNERS]].mean()
    return distance / scale if nose > NOSE_SHARE * distance else None
