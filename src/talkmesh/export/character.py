"""Another character in place of the model's own: expressions are carried over to its rig, nothing is trained again.

What the model moves is found as weights of its own rig's shapes, and those as the weights of the other's that look the
same (`talkmesh.rig.transfer`). What no shape of the two rigs does is lost.

T frames, V vertices of the model's rig, W of the other; millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkmesh.export.weights import fit_weights
from talkmesh.rig import Rig
from talkmesh.rig.correspondence import Fit, fitted
from talkmesh.rig.transfer import Transfer


@dataclass(frozen=True)
class Onto:
    """Another character: its rig, and how expressions of the model's rig reach it."""

    rig: Rig
    transfer: Transfer


def onto(source: Rig, target: Rig, fit: Fit | None = None) -> Onto | None:
    """Return how motions of `source` reach `target`, found on pictures of both; None if they are one rig.

    Raises
    ------
    TalkmeshError
        If no face is found in a picture of one of them.
    """
    if source.hash == target.hash:
        return None
    return Onto(target, fitted(source, target, fit or Fit()))


def carried(vertices: np.ndarray, source: Rig, target: Onto) -> np.ndarray:
    """Return the motion `vertices` (T, V, 3) of `source` on another character (T, W, 3), mm."""
    return target.rig.vertices(target.transfer.poses(fit_weights(source, vertices)))
