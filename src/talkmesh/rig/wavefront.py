"""OBJ files, read plainly: mesh libraries merge, split or sort vertices, and then files no longer fit each other."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from talkmesh.errors import TalkmeshError


def read(path: Path, faces: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Read the vertices (V, 3) of an OBJ file in its own order, and its polygons as triangles (F, 3), cut into fans.

    `faces` false leaves the polygons out (0, 3): of a blendshape they are known from the neutral file.

    Raises
    ------
    TalkmeshError
        If the file is missing, a line is broken, or a face names a vertex that is not there.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise TalkmeshError(f"{path} cannot be read: {error.strerror}") from None
    try:
        vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], float).reshape(
            -1, 3
        )
        polygons = [line.split()[1:] for line in lines if faces and line.startswith("f ")]
        ids = [[int(corner.split("/")[0]) for corner in polygon] for polygon in polygons]
    except ValueError as error:
        raise TalkmeshError(f"{path} is no OBJ file that can be read: {error}") from None
    fans = [(p[0], *edge) for p in ids for edge in itertools.pairwise(p[1:])]
    triangles = np.array(fans, int).reshape(-1, 3)
    triangles = np.where(
        triangles > 0, triangles - 1, triangles + len(vertices)
    )  # negative: from the last one back
    if not len(vertices) or not np.isfinite(vertices).all():
        raise TalkmeshError(f"{path} has no vertices, or some that are not finite")
    if triangles.size and (triangles.min() < 0 or triangles.max() >= len(vertices)):
        raise TalkmeshError(f"{path}: a face names a vertex that is not among its {len(vertices)}")
    return vertices, triangles.astype(np.int32)
