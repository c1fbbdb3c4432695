"""Motions for tests of exports: ten seconds of a mouth at work, and how far lips are open in any mesh."""

import dataclasses

import numpy as np

from talkmesh.landmarks import opening_of_lips
from talkmesh.rig import Rig

FPS = 30.0
FRAMES = 300


def poses(rig: Rig, frames: int = FRAMES, fps: float = FPS) -> np.ndarray:
    """Return smooth weights (T, K) in [0, 1], another course for each shape, from rest."""
    t = np.arange(frames)[:, None] / fps
    k = np.arange(len(rig.names))[None]
    return (0.5 * np.sin(np.pi * (0.7 + 0.37 * k) * t) ** 2 * (0.6 + 0.4 * np.sin(1.3 * t + k))).astype(
        np.float32
    )


def nameless(rig: Rig) -> Rig:
    """Return the rig with shapes that have none of ARKit's names."""
    return dataclasses.replace(rig, names=tuple(f"pc{i}" for i in range(len(rig.names))))


def opening(rig: Rig, vertices: np.ndarray) -> np.ndarray:
    """Return the lip opening (T,) of meshes (T, V, 3) seen from the front, y up."""
    return opening_of_lips(vertices[:, rig.landmarks, :2] * (1, -1))


def assert_lips_agree(rig: Rig, found: np.ndarray, source: np.ndarray) -> None:
    """Assert that the lip opening of `found` matches that of `source` within 1 % of its range, in every frame."""
    one, other = opening(rig, found), opening(rig, source)
    assert np.ptp(other) > 0.1
    assert np.abs(one - other).max() < 0.01 * np.ptp(other)
