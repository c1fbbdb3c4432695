"""One take before the studio's camera, written as video with sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from talkmesh.media import write_video
from talkmesh.sample.idle import Head

if TYPE_CHECKING:
    from talkmesh.sample.appearance import Speaker
    from talkmesh.sample.studio import Studio


class Grain:
    """Sensor noise: a window at random places of one large noise picture."""

    def __init__(self, size: int, sigma: float, rng: np.random.Generator) -> None:
        self.size, self.rng = size, rng
        shape = (size + 97, size + 97, 1)
        both = rng.standard_normal(shape) + 0.5 * rng.standard_normal((*shape[:2], 3))
        self.noise = np.round(both * sigma).astype(np.int16)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the image (size, size, 3) uint8 with noise."""
        row, column = self.rng.integers(0, 98, 2)
        window = self.noise[row : row + self.size, column : column + self.size]
        return np.clip(image + window, 0, 255).astype(np.uint8)


def shoot(
    path: Path,
    speaker: Speaker,
    studio: Studio,
    poses: np.ndarray,
    head: Head,
    grain: Grain,
    fps: float,
    sound: np.ndarray,
    rate: int,
) -> None:
    """Film poses (T, K) of the speaker's rig with the motion of `head`, one a frame, and `sound` (N,) at `rate` Hz."""
    frames = (
        grain(studio.film(speaker.vertices(pose, rotation, position)))
        for pose, rotation, position in zip(poses, head.rotation, head.position, strict=True)
    )
    write_video(path, frames, fps, sound, rate)
