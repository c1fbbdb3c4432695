"""A motion as a folder of OBJ files, one a frame, with the rig's vertices in the rig's order.

`000000.obj`, `000001.obj`, ...: positions in millimetres and triangles. `sequence.json` says rate, frames, unit and
axes, for which OBJ has no place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from talkmesh.errors import TalkmeshError
from talkmesh.export.npz import check_animation
from talkmesh.files import replacing, write_json
from talkmesh.rig import Rig

INDEX = "sequence.json"


def check_folder(folder: str | Path) -> None:
    """Raise a `TalkmeshError` if `folder` holds anything but an earlier sequence, which may be replaced."""
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / INDEX).is_file():
        raise TalkmeshError(
            f"{folder} is not empty and holds no sequence of OBJ files that could be replaced: name a new folder"
        )
    if folder.exists() and not folder.is_dir():
        raise TalkmeshError(f"{folder} is a file; an OBJ sequence needs a folder")


def write_animation_obj(folder: str | Path, vertices: np.ndarray, fps: float, rig: Rig) -> None:
    """Write vertices (T, V, 3) in mm of `rig` as a folder, which appears when it is complete.

    Raises
    ------
    TalkmeshError
        If `folder` holds something else, or the vertices are not finite or not of the rig.
    """
    check_animation(folder, vertices, fps, rig)
    check_folder(folder)
    row = "v %.4f %.4f %.4f\n" * len(rig.neutral)
    triangles = ("f %d %d %d\n" * len(rig.faces)) % tuple((rig.faces + 1).ravel().tolist())
    with replacing(folder) as temporary:
        temporary.mkdir()
        for i, frame in enumerate(tqdm(vertices, Path(folder).name, unit="frame", leave=False, disable=None)):
            text = f"o {rig.name}\n" + row % tuple(frame.ravel().tolist()) + triangles
            (temporary / f"{i:06d}.obj").write_text(text, encoding="utf-8")
        write_json(
            temporary / INDEX,
            {"fps": fps, "frames": len(vertices), "unit": "mm", "up": "y", "front": "z", "rig": rig.name},
        )
