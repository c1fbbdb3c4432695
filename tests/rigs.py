"""A tiny rig for tests: a sheet with a mouth, whose shapes move known vertices by known amounts."""

import numpy as np

from talkmesh.rig import Rig


def tiny_rig(name: str = "tiny") -> Rig:
    """A rig of 60 vertices: 40 lip points on two rings about the origin (mm), 20 others above; three shapes."""
    angle = np.pi - np.arange(20) / 20 * 2 * np.pi  # from the picture's left corner over the top
    outer = np.stack([25 * np.cos(angle), 9 * np.sin(angle), np.zeros(20)], 1)
    inner = np.stack([18 * np.cos(angle), 0.2 * np.sin(angle), np.zeros(20)], 1)
    rest = np.stack([np.linspace(-60, 60, 20), np.linspace(40, 80, 20), np.full(20, -10.0)], 1)
    neutral = np.concatenate([outer, inner, rest]).astype(np.float32)
    deltas = np.zeros((3, 60, 3), np.float32)
    low = np.zeros(60, bool)
    low[:40] = np.tile(np.sin(angle) < -1e-6, 2)
    deltas[0, low, 1] = -12  # jawOpen: the lower lip falls
    deltas[1, :40, 0] = np.sign(neutral[:40, 0]) * 3  # mouthStretch: wider
    deltas[2, 40:, 1] = 2  # browUp: not the lips
    faces = np.stack([np.arange(58), np.arange(1, 59), np.arange(2, 60)], 1).astype(np.int32)
    return Rig(
        name,
        neutral,
        faces,
        ("jawOpen", "mouthStretch", "browUp"),
        deltas,
        np.arange(40),
        np.arange(40),
        np.arange(40, 60),
        np.full((60, 3), 0.6, np.float32),
    )
