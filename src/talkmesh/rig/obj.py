"""A folder of OBJ files: the neutral face and one file a blendshape, the same vertices in the same order.

Read here and not by a mesh library: those merge, split or sort vertices, and then the files no longer fit each other.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.rig.names import canonicals
from talkmesh.rig.rigfile import RigFile

NEUTRAL = ("neutral", "basis", "base", "rest")  # in the name of the neutral file, the first that is found


def load(folder: Path, neutral: str | None = None) -> RigFile:
    """Read a folder of OBJ files.

    Parameters
    ----------
    neutral : file name of the neutral face; the one with `NEUTRAL` in its name if None

    Raises
    ------
    TalkmeshError
        If there is no neutral file or no other, a file is broken, or one has another number of vertices.
    """
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() == ".obj")
    first = _neutral(folder, files, neutral)
    shapes = [p for p in files if p != first]
    if not shapes:
        raise TalkmeshError(
            f"{folder} holds no OBJ file beside {first.name}: a rig needs one for each blendshape"
        )
    rest, colours, faces = read(first)
    if not len(faces):
        raise TalkmeshError(f"{first} has no faces")
    deltas = np.zeros((len(shapes), *rest.shape), np.float32)
    for delta, path in zip(deltas, shapes, strict=True):
        vertices, _, _ = read(path)
        if len(vertices) != len(rest):
            raise TalkmeshError(
                f"{path} has {len(vertices)} vertices, {first.name} has {len(rest)}: export all with the same mesh"
            )
        delta[:] = vertices - rest
    return RigFile(rest, faces, canonicals([p.stem for p in shapes]), deltas, colours)


def _neutral(folder: Path, files: list[Path], wanted: str | None) -> Path:
    if wanted:
        found = [p for p in files if wanted in (p.name, p.stem)]
    else:
        found = [p for word in NEUTRAL for p in files if word in p.stem.lower()]
    if not found:
        hint = wanted or f"one with '{NEUTRAL[0]}' in its name"
        raise TalkmeshError(f"{folder} holds no OBJ file of the neutral face: {hint} is wanted")
    return found[0]


def read(path: Path) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Read vertices (V, 3), their colours (V, 3) in [0, 1] if there are any, and triangles (F, 3) of an OBJ file.

    The order is that of the file; polygons are cut into fans.

    Raises
    ------
    TalkmeshError
        If the file is missing, has no vertices, or a line cannot be read.
    """
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    except OSError as error:
        raise TalkmeshError(f"{path} cannot be read: {error.strerror}") from None
    for number, line in enumerate(text.splitlines(), 1):
        kind, *values = line.split("#")[0].split() or [""]
        try:
            if kind == "v":
                vertices.append([float(v) for v in values])
            elif kind == "f":
                corners = [int(v.split("/")[0]) for v in values]
                ids = [
                    c - 1 if c > 0 else len(vertices) + c for c in corners
                ]  # negative: from the last one back
                if len(ids) < 3 or 0 in corners or min(ids) < 0:
                    raise ValueError
                faces += [(ids[0], b, c) for b, c in pairwise(ids[1:])]
        except ValueError:
            raise TalkmeshError(f"{path}, line {number}: not a line of an OBJ file: {line[:60]!r}") from None
    widths = {len(v) for v in vertices}
    if not vertices or len(widths) != 1 or min(widths) < 3 or not np.isfinite(vertices).all():
        raise TalkmeshError(f"{path} has no vertices, or vertices that are not three finite numbers")
    table, triangles = np.array(vertices), np.array(faces, np.int32).reshape(-1, 3)
    if triangles.max(initial=-1) >= len(table):
        raise TalkmeshError(f"{path}: a face names vertex {triangles.max() + 1} of {len(table)}")
    return table[:, :3], np.clip(table[:, 3:6], 0, 1) if table.shape[1] >= 6 else None, triangles
