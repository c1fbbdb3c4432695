"""Colours at the vertices of a glTF primitive: its material's colour, texture and vertex colours multiplied.

n vertices. glTF's colours are linear, those of textures and of this module's results sRGB.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from PIL import Image

from talkmesh.rig.accessors import Gltf

log = logging.getLogger(__name__)

TEXTURE = 512  # pixels: textures are made this small before their colours are taken at vertices


def _srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )


def _linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def colours(gltf: Gltf, primitive: dict[str, Any], count: int) -> tuple[np.ndarray | None, float]:
    """Return sRGB and opacity (n, 4) at the vertices, or None if the file says nothing of colours, and the opacity
    below which a triangle is not seen."""
    attributes = primitive["attributes"]
    if "material" not in primitive and "COLOR_0" not in attributes:
        return None, 0.0
    material = gltf["materials"][primitive["material"]] if "material" in primitive else {}
    look = material.get("pbrMetallicRoughness", {})
    rgba = np.tile(np.array(look.get("baseColorFactor", (1, 1, 1, 1)), float), (count, 1))
    if "COLOR_0" in attributes:
        colour = gltf.array(attributes["COLOR_0"]).astype(float)
        rgba[:, : colour.shape[1]] *= colour
    if texture := look.get("baseColorTexture"):
        move = texture.get("extensions", {}).get("KHR_texture_transform", {})
        channel = f"TEXCOORD_{move.get('texCoord', texture.get('texCoord', 0))}"
        picture = gltf.picture(texture["index"])
        if picture is None:
            log.warning("%s: a texture of %s cannot be read and is left out", gltf.path, material.get("name"))
        elif channel in attributes:
            uv = gltf.array(attributes[channel]) * np.array(move.get("scale", (1, 1)), float)
            cos, sin = np.cos(move.get("rotation", 0.0)), np.sin(move.get("rotation", 0.0))
            uv = uv @ np.array([[cos, -sin], [sin, cos]]) + np.array(move.get("offset", (0, 0)), float)
            texels = _sampled(picture, uv)
            texels[:, :3] = _linear(texels[:, :3])
            rgba *= texels
    rgba[:, :3] = _srgb(np.clip(rgba[:, :3], 0, 1))
    cutoff = {"MASK": float(material.get("alphaCutoff", 0.5)), "BLEND": 0.5}
    return rgba, cutoff.get(material.get("alphaMode", "OPAQUE"), 0.0)


def _sampled(picture: Image.Image, uv: np.ndarray) -> np.ndarray:
    """Return the RGBA (n, 4) in [0, 1] of a picture that repeats, at uv (n, 2), v down."""
    if max(picture.size) > TEXTURE:
        shrink = TEXTURE / max(picture.size)
        size = (max(1, round(picture.width * shrink)), max(1, round(picture.height * shrink)))
        picture = picture.resize(size, Image.Resampling.BOX)
    pixels = np.asarray(picture, float) / 255
    sides = np.array([picture.width, picture.height])
    place = uv * sides - 0.5
    low = np.floor(place).astype(int)
    share = place - low
    result = np.zeros((len(uv), 4))
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = ((low + np.array([dx, dy])) % sides).T
            weight = np.abs(1 - dx - share[:, 0]) * np.abs(1 - dy - share[:, 1])
            result += weight[:, None] * pixels[y, x]
    return result
