"""OBJ files, read plainly: mesh libraries merge, split or sort vertices, and then files no longer fit each other."""

from __future__ import annotations

from itertools import pairwise
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
        text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    except OSError as error:
        raise TalkmeshError(f"{path} cannot be read: {error.strerror}") from None
    points: list[list[float]] = []
    fans: list[tuple[int, int, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line.startswith("v "):
                x, y, z = line.split()[1:4]
                points.append([float(x), float(y), float(z)])
            elif faces and line.startswith("f "):
                corners = [int(corner.split("/")[0]) for corner in line.split("#")[0].split()[1:]]
                # from 1 on; negative: from the last vertex so far back
                first, *rest = [c - 1 if c > 0 else c + len(points) for c in corners]
                if len(rest) < 2 or 0 in corners or min(first, *rest) < 0:
                    raise ValueError("a face is three or more vertices of the file")
                fans += [(first, b, c) for b, c in pairwise(rest)]
        except ValueError as error:
            raise TalkmeshError(f"{path} is no OBJ file that can be read: line {number}, {error}") from None
    vertices = np.array(points).reshape(-1, 3)
    if not len(vertices) or not np.isfinite(vertices).all():
        raise TalkmeshError(f"{path} has no vertices, or some that are not finite")
    # before NumPy sees numbers of any size
    if any(corner >= len(vertices) for fan in fans for corner in fan):
        raise TalkmeshError(f"{path}: a face names a vertex that is not among its {len(vertices)}")
    return vertices, np.array(fans, np.int32).reshape(-1, 3)
