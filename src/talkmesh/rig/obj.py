"""A folder of OBJ files: the neutral face and one file a blendshape, the same vertices in the same order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.rig.names import canonicals
from talkmesh.rig.rigfile import RigFile
from talkmesh.rig.wavefront import read

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
    rest, faces = read(first)
    if not len(faces):
        raise TalkmeshError(f"{first} has no faces")
    deltas = np.zeros((len(shapes), *rest.shape), np.float32)
    for delta, path in zip(deltas, shapes, strict=True):
        vertices, _ = read(path, faces=False)
        if len(vertices) != len(rest):
            raise TalkmeshError(
                f"{path} has {len(vertices)} vertices, {first.name} has {len(rest)}: export all with the same mesh"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused
            delta[:] = vertices - rest
    return RigFile(rest, faces, canonicals([p.stem for p in shapes]), deltas).checked(folder)


def _neutral(folder: Path, files: list[Path], wanted: str | None) -> Path:
    if wanted:
        found = [p for p in files if wanted in (p.name, p.stem)]
    else:
        found = [p for word in NEUTRAL for p in files if word in p.stem.lower()]
    if not found:
        hint = wanted or f"one with '{NEUTRAL[0]}' in its name"
        raise TalkmeshError(f"{folder} holds no OBJ file of the neutral face: {hint} is wanted")
    return found[0]
