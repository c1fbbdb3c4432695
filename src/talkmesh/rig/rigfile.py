"""What a file of a rig holds, in the file's own units and axes: what every loader returns.

`talkmesh.rig.axes` and `talkmesh.rig.place` make a `Rig` of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RigFile:
    """V vertices, F triangles, K blendshapes.

    Attributes
    ----------
    neutral : (V, 3) float; faces : (F, 3) int32
    names : K names, `talkmesh.rig.names` spelling
    deltas : (K, V, 3) float32, at weight 1
    colours : (V, 3) sRGB in [0, 1], if the file has any
    lips, upper : vertex ids, if the file names them
    origin : (N,) for each vertex of the file its vertex of the rig, -1 where it is left out; None if they are the same
    unit_mm : millimetres of one unit, if the format fixes it
    """

    neutral: np.ndarray
    faces: np.ndarray
    names: tuple[str, ...]
    deltas: np.ndarray
    colours: np.ndarray | None = None
    lips: np.ndarray | None = None
    upper: np.ndarray | None = None
    origin: np.ndarray | None = None
    unit_mm: float | None = None
