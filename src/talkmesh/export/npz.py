"""A mesh sequence as one npz that explains itself: readable with ``numpy.load`` and nothing else.

| array | form |
|---|---|
| vertices | (T, V, 3) float32, millimetres; x to the viewer's right, y up, z towards the viewer |
| faces | (F, 3) int32, triangles as rows of vertex numbers |
| neutral | (V, 3) float32, the face at rest, millimetres |
| fps | frames a second |
| units | "mm" |
| rig_name, rig_hash | the rig whose topology this is; the file is also a valid prediction of that rig |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.files import write_npz
from talkmesh.rig import Rig


def check_animation(path: str | Path, vertices: np.ndarray, fps: float, rig: Rig) -> None:
    """Raise a `TalkmeshError` that names `path` unless vertices are finite and (T, V, 3) of `rig`."""
    if vertices.ndim != 3 or vertices.shape[1:] != rig.neutral.shape or len(vertices) == 0:
        raise TalkmeshError(
            f"{path}: an animation of the rig {rig.name} must be (frames, {len(rig.neutral)}, 3); "
            f"got {vertices.shape}"
        )
    if not np.isfinite(vertices).all():
        raise TalkmeshError(
            f"{path}: the animation holds NaN or infinite values; the model that made it is broken"
        )
    if not fps > 0:
        raise TalkmeshError(f"{path}: frames a second must be above 0; got {fps}")


def write_animation_npz(path: str | Path, vertices: np.ndarray, fps: float, rig: Rig) -> None:
    """Write vertices (T, V, 3) in mm of `rig` with all that is needed to draw them (see the module).

    Raises
    ------
    TalkmeshError
        If the vertices are not finite or not of the rig.
    """
    check_animation(path, vertices, fps, rig)
    write_npz(
        path,
        vertices=vertices.astype(np.float32),
        faces=rig.faces.astype(np.int32),
        neutral=rig.neutral.astype(np.float32),
        fps=float(fps),
        units="mm",
        rig_name=rig.name,
        rig_hash=rig.hash,
    )
