"""Ground truth: what the face of a recording or clip really did, if anybody knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.files import read_npz, write_npz
from talkmesh.rig import Rig
from talkmesh.timing import rate_of


@dataclass(frozen=True)
class GroundTruth:
    """Truth of one recording or clip: pose weights (T, K) with their names, or vertices (T, V, 3) mm.

    Weights apply to any rig that has shapes of these names; vertices only to the rig of `rig_hash`.
    """

    fps: float
    weights: np.ndarray | None = None
    names: tuple[str, ...] = ()
    vertices: np.ndarray | None = None
    rig_hash: str = ""

    def __len__(self) -> int:
        return len(self.weights if self.weights is not None else self.vertices)  # type: ignore[arg-type]

    def motion(self, rig: Rig) -> np.ndarray | None:
        """Return poses (T, K) of `rig`, or vertices (T, V, 3) in mm on it, or None if this truth does not apply."""
        if self.weights is not None and set(self.names) <= set(rig.names):
            return rig.pose_of(self.names, self.weights)
        if self.vertices is not None and self.rig_hash == rig.hash:
            return self.vertices
        return None

    def on(self, rig: Rig) -> np.ndarray | None:
        """Return vertices (T, V, 3) in mm on `rig`, or None if this truth does not apply to it."""
        motion = self.motion(rig)
        return rig.vertices(motion) if motion is not None and motion.ndim == 2 else motion


def write_ground_truth(path: Path, truth: GroundTruth) -> None:
    """Write ground truth as npz."""
    arrays: dict[str, Any] = {"fps": truth.fps, "rig_hash": truth.rig_hash}
    if truth.weights is not None:
        arrays |= {"weights": truth.weights.astype(np.float32), "names": np.array(truth.names)}
    if truth.vertices is not None:
        arrays["vertices"] = truth.vertices.astype(np.float32)
    write_npz(path, **arrays)


def read_ground_truth(path: Path) -> GroundTruth:
    """Read ground truth; wrong shapes, NaN or a missing rate are errors that name the file."""
    data = read_npz(path)
    weights, vertices = data.get("weights"), data.get("vertices")
    if "fps" not in data or (weights is None and vertices is None):
        raise TalkmeshError(f"{path}: ground truth needs 'fps' and 'weights' with 'names', or 'vertices'")
    names_wrong = "names" in data and data["names"].ndim != 1
    if names_wrong or any(
        a is not None and (a.dtype.kind not in "iuf" or not a.size) for a in (weights, vertices)
    ):
        raise TalkmeshError(f"{path}: ground truth holds no frames, or no numbers, or names that are no list")
    names = tuple(map(str, data.get("names", ())))
    if weights is not None and (weights.ndim != 2 or weights.shape[1] != len(names)):
        raise TalkmeshError(
            f"{path}: weights must be (frames, {len(names)}), one column a name; got {weights.shape}"
        )
    if vertices is not None and (vertices.ndim != 3 or vertices.shape[2] != 3):
        raise TalkmeshError(f"{path}: vertices must be (frames, V, 3); got {vertices.shape}")
    for array in (weights, vertices):
        if array is not None and not np.isfinite(array).all():
            raise TalkmeshError(f"{path}: ground truth holds NaN or infinite values")
    return GroundTruth(rate_of(data["fps"], path), weights, names, vertices, str(data.get("rig_hash", "")))
