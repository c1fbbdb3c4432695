"""High dynamic range video (PQ, HLG) as the ordinary video that everything after expects.

Up to `KNEE` of diffuse white (203 cd/m2, ITU-R BT.2408) brightness is kept as it is, so that faces look as they do in
ordinary video; what is brighter is rolled off, hue kept. Colours go from BT.2020 to BT.709.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

PQ, HLG = 16, 18  # code points of the transfer functions (ITU-T H.273)
WHITE = 203.0  # cd/m2
PEAK = 1000.0  # cd/m2, of the display that HLG is meant for
KNEE = 0.6  # of diffuse white
POINTS = 65  # a side of the lookup table
TO_BT709 = np.array(  # linear light, from BT.2020 (ITU-R BT.2087)
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)


def light(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Return the light (..., 3) in cd/m2 that a display emits for an RGB signal (..., 3), 0 to 1 (ITU-R BT.2100)."""
    if transfer == PQ:
        root = np.asarray(signal) ** (32 / 2523)
        return 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    return PEAK * luminance[..., None] ** 0.2 * scene


def to_sdr(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Return the BT.709 signal (..., 3), 0 to 1, of a BT.2020 signal (..., 3) with the transfer function PQ or HLG."""
    linear = np.maximum(light(signal, transfer) / WHITE @ TO_BT709.T, 0)
    brightest = linear.max(-1, keepdims=True)
    rolled = KNEE + (1 - KNEE) * -np.expm1(-np.maximum(brightest - KNEE, 0) / (1 - KNEE))
    scale = np.where(brightest > KNEE, rolled / np.maximum(brightest, 1e-9), 1)
    return (linear * scale) ** (1 / 2.4)  # of a display as in ITU-R BT.1886


@contextmanager
def lookup_table(transfer: int) -> Iterator[Path]:
    """Yield a file with `to_sdr` as a table that FFmpeg's filter `lut3d` reads."""
    axis = np.linspace(0, 1, POINTS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    table = to_sdr(np.stack([red, green, blue], -1), transfer).reshape(-1, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sdr.cube"
        with open(path, "w", encoding="ascii") as file:
            file.write(f"LUT_3D_SIZE {POINTS}\n")
            np.savetxt(file, table, fmt="%.6f")
        yield path
