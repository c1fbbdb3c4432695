"""What the page shows of a motion, as files that a browser reads without help.

| file | form |
|---|---|
| mesh.bin | faces (F, 3) uint32, then the twin of each vertex (V,) uint32, then colours (V, 4) uint8, sRGB |
| motion.bin | (T, V, 3) int16: mm = value * step + centre |
| sheet-<k>.jpg | pictures of `SHEET` frames, `COLUMNS` a row; each is D_R's picture and, on its right, D_S's |
| sound.wav | 48 kHz, one channel, 16 bit; sample 0 is at frame 0 |

Numbers are little-endian. A twin is the first vertex of those that lie and move together, whose normals are added up.
T frames, V vertices, F faces, H x W pixels.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy import sparse

from talkmesh.export.usd import painted
from talkmesh.render import seamless
from talkmesh.rig import Rig
from talkmesh.scoring import inner_gap_mm

SHEET, COLUMNS = 64, 8
LARGEST = 128  # pixels, side of a picture in a sheet
QUALITY = 90  # of JPEG
CHUNK = 64  # frames at a time
RANGE = 32_767  # largest int16


def write_mesh(path: Path, rig: Rig) -> dict[str, int]:
    """Write what does not move of a rig; return its numbers of vertices and faces."""
    colours = np.full((len(rig.neutral), 4), 255, np.uint8)
    colours[:, :3] = np.clip(painted(rig) * 255 + 0.5, 0, 255)
    with open(path, "wb") as file:
        file.write(rig.faces.astype("<u4").tobytes())
        file.write(twins(rig).astype("<u4").tobytes())
        file.write(colours.tobytes())
    return {"vertices": len(rig.neutral), "faces": len(rig.faces)}


def twins(rig: Rig) -> np.ndarray:
    """Return the first vertex (V,) of those that lie and move together with each vertex."""
    together = seamless(rig, sparse.identity(len(rig.neutral), np.float32, "csr"))
    return np.minimum.reduceat(together.indices, together.indptr[:-1])


def write_motion(path: Path, vertices: np.ndarray) -> dict[str, Any]:
    """Write vertices (T, V, 3) in mm as int16; return the step in mm and the centre by which they are read."""
    low, high = vertices.min((0, 1)), vertices.max((0, 1))
    centre = (low + high) / 2
    step = max(float((high - low).max()) / 2 / RANGE, 1e-9)
    with open(path, "wb") as file:
        for start in range(0, len(vertices), CHUNK):
            steps = np.rint((vertices[start : start + CHUNK] - centre) / step)
            file.write(np.clip(steps, -RANGE, RANGE).astype("<i2").tobytes())
    return {"step": step, "centre": [float(value) for value in centre]}


def write_sheets(folder: Path, decoded: np.ndarray, translated: np.ndarray) -> dict[str, int]:
    """Write pictures (T, H, W, 3) uint8 of the speaker and of the character as sheets; return how they are cut."""
    size = min(decoded.shape[1], LARGEST)
    for k, start in enumerate(range(0, len(decoded), SHEET)):
        part = slice(start, start + SHEET)
        pairs = [
            np.concatenate([_at_most(left, size), _at_most(right, size)], axis=1)
            for left, right in zip(decoded[part], translated[part], strict=True)
        ]
        sheet = np.zeros((-(-len(pairs) // COLUMNS) * size, COLUMNS * 2 * size, 3), np.uint8)
        for i, pair in enumerate(pairs):
            y, x = i // COLUMNS * size, i % COLUMNS * 2 * size
            sheet[y : y + size, x : x + 2 * size] = pair
        Image.fromarray(sheet).save(folder / f"sheet-{k}.jpg", quality=QUALITY, subsampling=0)
    return {"size": size, "sheet": SHEET, "columns": COLUMNS, "frames": len(decoded)}


def write_sound(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write samples (S,) in [-1, 1] as a WAV of 16 bit."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * RANGE).astype("<i2").tobytes())


def curves(vertices: np.ndarray, rig: Rig, samples: np.ndarray, rate: int, fps: float) -> dict[str, Any]:
    """Return what is drawn over time, a value a frame: ``opening``, the gap of the inner lips of meshes (T, V, 3) in
    mm, and ``loudness`` of the sound, of its loudest frame."""
    gaps = inner_gap_mm(vertices, rig)
    edges = np.rint(np.arange(len(vertices) + 1) * rate / fps).astype(int)
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=float))])
    energy = np.diff(power[np.minimum(edges, len(samples))]) / (rate / fps)
    loud = np.sqrt(np.maximum(energy, 0))
    return {
        "opening": [round(float(gap), 3) for gap in gaps],
        "loudness": [round(float(value), 3) for value in loud / max(loud.max(), 1e-9)],
    }


def _at_most(image: np.ndarray, size: int) -> np.ndarray:
    return image if len(image) == size else cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
