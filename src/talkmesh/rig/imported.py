"""A rig from a file: glTF, a folder of OBJ, FLAME; brought to millimetres, y up, facing +z. Or an npz of talkmesh."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig, axes, flame, gltf, obj, place, read_rig
from talkmesh.rig.axes import Axis
from talkmesh.rig.names import with_stand_ins
from talkmesh.rig.rigfile import RigFile

Format = Literal["gltf", "obj", "flame", "npz"]


@dataclass(frozen=True)
class Reading:
    """How a file is read, where the file itself does not say it.

    up, front : its axes that point up and to where the face looks; unit_mm : millimetres of one unit, guessed from the
    size of the face if None; jaw : the shape that opens the mouth; lips, landmarks, upper : files of vertex ids, beside
    the rig's, found on a picture if None; neutral : file name of the neutral face of an OBJ folder; masks : FLAME's
    masks, beside the model; expressions : how many of FLAME's become shapes.
    """

    up: Axis = "y"
    front: Axis = "z"
    unit_mm: float | None = None
    jaw: str | None = None
    lips: str | None = None
    landmarks: str | None = None
    upper: str | None = None
    neutral: str | None = None
    masks: str | None = None
    expressions: int = 50


def load(kind: Format, path: Path, how: Reading, name: str = "character") -> Rig:
    """Return the rig in a file.

    Raises
    ------
    TalkmeshError
        If the file cannot be read, no face is seen in it, or its lips are not found.
    """
    if not path.exists():
        raise TalkmeshError(f"{path} not found: set rig.path to your rig, a file or folder in data/rigs")
    if kind == "npz":
        return dataclasses.replace(read_rig(path), name=name)
    ids = {
        key: place.read_ids(path.parent / file) if file else None
        for key, file in (("lips", how.lips), ("landmarks", how.landmarks), ("upper", how.upper))
    }
    read = _read(kind, path, how)
    unit = how.unit_mm or read.unit_mm
    matrix = axes.normalising(name, read.neutral, read.faces, how.up, how.front, unit, read.colours)
    names, deltas = with_stand_ins(read.names, read.deltas @ matrix.T.astype(np.float32))
    return place.complete(
        name,
        read.neutral @ matrix.T,
        read.faces,
        names,
        deltas,
        read.colours,
        read.lips if ids["lips"] is None else ids["lips"],
        ids["landmarks"],
        read.upper if ids["upper"] is None else ids["upper"],
        how.jaw,
    )


def _read(kind: Format, path: Path, how: Reading) -> RigFile:
    if kind == "gltf":
        return gltf.load(path)
    if kind == "obj":
        return obj.load(path, how.neutral)
    return flame.load(path, path.parent / how.masks if how.masks else None, how.expressions)
