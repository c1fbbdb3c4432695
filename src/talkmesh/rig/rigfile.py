"""What a file of a rig holds, in the file's own units and axes: what every loader returns.

`talkmesh.rig.axes` and `talkmesh.rig.place` make a `Rig` of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkmesh.errors import TalkmeshError

FARTHEST = 1e9  # of a coordinate, in whatever unit


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

    def checked(self, path: Path) -> RigFile:
        """Return it, if its numbers can be those of a mesh.

        Raises
        ------
        TalkmeshError
            If coordinates are not finite or beyond any unit, or triangles name vertices that are not there.
        """
        v, k = len(self.neutral), len(self.names)
        if not v or not len(self.faces) or self.neutral.shape != (v, 3) or self.deltas.shape != (k, v, 3):
            raise TalkmeshError(f"{path} holds no mesh of vertices, triangles and shapes that fit each other")
        if not all((np.abs(array) < FARTHEST).all() for array in (self.neutral, self.deltas)):
            raise TalkmeshError(
                f"{path} has vertices that are not finite, or farther away than any unit explains"
            )
        if self.faces.min() < 0 or self.faces.max() >= v:
            raise TalkmeshError(f"{path} has triangles that name vertices outside 0..{v - 1}")
        return self
