"""A mesh sequence as an mp4 with its sound."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from talkmesh.contracts import SAMPLE_RATE
from talkmesh.export.npz import check_animation
from talkmesh.media import write_video
from talkmesh.rig import Rig

SIZE = 512  # pixels, side of the square picture


def rendered(
    vertices: np.ndarray, rig: Rig, size: int, camera: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Yield the picture (size, size, 3) uint8 of each frame of vertices (T, V, 3) in mm."""
    from talkmesh.render import MeshRenderer  # opens OpenGL

    renderer = MeshRenderer(rig, size, camera)
    return (renderer.image(frame) for frame in vertices)


def write_animation_video(
    path: str | Path,
    vertices: np.ndarray,
    fps: float,
    rig: Rig,
    samples: np.ndarray | None = None,
    size: int = SIZE,
    camera: np.ndarray | None = None,
    rate: int = SAMPLE_RATE,
) -> None:
    """Render vertices (T, V, 3) in mm of `rig` and write them as mp4.

    Parameters
    ----------
    samples : (N,) float32 mono at `rate` Hz, or None for a silent video
    size : side of the square picture, pixels
    camera : (2, 3) mm to pixels; the whole head if None

    Raises
    ------
    TalkmeshError
        If the vertices are not finite or not of the rig, or no picture can be rendered on this machine.
    """
    check_animation(path, vertices, fps, rig)
    images = tqdm(
        rendered(vertices, rig, size, camera),
        Path(path).name,
        len(vertices),
        unit="frame",
        leave=False,
        disable=None,
    )
    write_video(path, images, fps, samples, rate)
