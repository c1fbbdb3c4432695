"""Decoded face images kept beside predictions, for people to look at: D_R and D_S of every frame of a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from talkmesh.files import read_npz, write_npz


def write_strip(folder: Path, clip: str, d_r: np.ndarray, d_s: np.ndarray) -> None:
    """Write the decoded images (T, H, W, 3) uint8 of one clip to <folder>/strips/<clip>.npz."""
    write_npz(folder / "strips" / f"{clip}.npz", d_r=d_r, d_s=d_s)


def read_strip(folder: Path, clip: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Read the decoded images of one clip, D_R's and D_S's; None if the method has none."""
    path = folder / "strips" / f"{clip}.npz"
    if not path.exists():
        return None
    data = read_npz(path)
    return data["d_r"], data["d_s"]
