"""Expressions carried from one rig to another (Yang et al., sec. 4.1, "SyntheticVOCA"): the poses that look the same.

`talkmesh.rig.correspondence` finds out how one rig's points move on the other. Both rigs are linear, so the fit of a
pose p is a small quadratic problem, 1/2 w'Gw - w'Hp with w in [0, 1], however many points there are.

J, K blendshapes of source and target; N poses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkmesh.contracts import GroundTruth
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_npz, write_npz
from talkmesh.rig.bounded import bounded


@dataclass(frozen=True)
class Transfer:
    """From poses of one rig to poses of another.

    source, target : names of their shapes; source_hash, target_hash : of the rigs
    quadratic : (K, K), G; linear : (K, J), H
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    source_hash: str
    target_hash: str
    quadratic: np.ndarray
    linear: np.ndarray

    def poses(self, poses: np.ndarray) -> np.ndarray:
        """Return the target's poses (N, K) float32 for the source's (N, J)."""
        return bounded(self.quadratic, np.asarray(poses, float) @ self.linear.T).astype(np.float32)

    def truth(self, truth: GroundTruth) -> GroundTruth:
        """Return ground truth given as weights of the source's shapes as weights of the target's.

        Truth given as vertices, or with shapes that the source lacks, is returned as it is.
        """
        if truth.weights is None or not set(truth.names) <= set(self.source):
            return truth
        poses = np.zeros((len(truth.weights), len(self.source)))
        poses[:, [self.source.index(name) for name in truth.names]] = truth.weights
        return GroundTruth(truth.fps, self.poses(poses), self.target)


def write_transfer(path: Path, transfer: Transfer) -> None:
    """Write a transfer as npz."""
    write_npz(
        path,
        source=np.array(transfer.source),
        target=np.array(transfer.target),
        source_hash=transfer.source_hash,
        target_hash=transfer.target_hash,
        quadratic=transfer.quadratic,
        linear=transfer.linear,
    )


def read_transfer(path: Path) -> Transfer:
    """Read a transfer; a missing file or array is an error that names it."""
    data = read_npz(path)
    try:
        return Transfer(
            tuple(map(str, data["source"])),
            tuple(map(str, data["target"])),
            str(data["source_hash"]),
            str(data["target_hash"]),
            data["quadratic"],
            data["linear"],
        )
    except KeyError as error:
        raise TalkmeshError(f"{path}: a transfer needs the array {error}; run `dvc repro transfer`") from None
