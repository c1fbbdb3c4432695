"""A motion as GLB: one mesh, its blendshapes as morph targets, one animation of their weights.

Metres, y up, the face looking along +z: glTF's axes are the rig's. Shapes that move few vertices are sparse accessors.
Equal motions give equal bytes. glTF 2.0 without extensions.

T frames, V vertices, K shapes.
"""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.export.npz import check_animation
from talkmesh.export.shapes import Shapes, shapes_of
from talkmesh.files import replacing
from talkmesh.rig import Rig

METRE = 1e-3  # of a millimetre
FLOAT, USHORT, UINT = 5126, 5123, 5125  # glTF's codes of number types
CODES = {"f4": FLOAT, "u2": USHORT, "u4": UINT}
VERTICES, INDICES = 34962, 34963  # what a buffer view is for
ROUGHNESS = 0.6  # of skin, about


@dataclass
class _File:
    """What a file is written from: its JSON and its binary part, both growing."""

    json: dict[str, Any]
    binary: bytearray = field(default_factory=bytearray)
    # of moved vertices, and their views: many shapes share one
    lists: dict[bytes, int] = field(default_factory=dict)

    def view(self, data: bytes, target: int | None = None) -> int:
        """Add bytes and return the number of their view."""
        self.binary += b"\0" * (-len(self.binary) % 4)
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)}
        self.binary += data
        return self._add("bufferViews", view if target is None else view | {"target": target})

    def accessor(
        self, values: np.ndarray, kind: str, target: int | None = None, bounds: bool = False, **more: Any
    ) -> int:
        """Add values (n,) or (n, width) as numbers of `kind` and return the number of their accessor."""
        values = np.ascontiguousarray(values, "<" + kind)
        new = _described(values, kind, bounds) | {"bufferView": self.view(values.tobytes(), target)} | more
        return self._add("accessors", new)

    def offsets(self, delta: np.ndarray) -> int:
        """Add a morph target (V, 3), sparse where that is smaller, and return the number of its accessor."""
        delta = np.ascontiguousarray(delta, "<f4") + np.float32(0)  # no negative zeros
        moved = np.flatnonzero(delta.any(1))
        moved = moved if len(moved) else np.zeros(1, int)  # a sparse accessor needs an element
        kind = "u2" if len(delta) <= 0xFFFF else "u4"
        if len(moved) * (12 + int(kind[1])) >= delta.nbytes:
            return self.accessor(delta, "f4", VERTICES, bounds=True)
        which = moved.astype("<" + kind).tobytes()
        if which not in self.lists:
            self.lists[which] = self.view(which)
        sparse = {
            "count": len(moved),
            "indices": {"bufferView": self.lists[which], "componentType": CODES[kind]},
            "values": {"bufferView": self.view(delta[moved].tobytes())},
        }
        return self._add("accessors", _described(delta, "f4", True) | {"sparse": sparse})

    def bytes(self) -> bytes:
        """Return the file."""
        self.json["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.json, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self.binary) + b"\0" * (-len(self.binary) % 4)
        head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(binary))
        chunks = ((b"JSON", text), (b"BIN\0", binary))
        return head + b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in chunks)

    def _add(self, kind: str, thing: dict[str, Any]) -> int:
        self.json.setdefault(kind, []).append(thing)
        return len(self.json[kind]) - 1


def _described(values: np.ndarray, kind: str, bounds: bool) -> dict[str, Any]:
    width = values.shape[1] if values.ndim == 2 else 1
    what = {
        "componentType": CODES[kind],
        "count": len(values),
        "type": "SCALAR" if width == 1 else f"VEC{width}",
    }
    if bounds:
        columns = values.reshape(len(values), width)
        what |= {"min": columns.min(0).tolist(), "max": columns.max(0).tolist()}
    return what


def write_animation_glb(
    path: str | Path,
    vertices: np.ndarray,
    fps: float,
    rig: Rig,
    shapes: Shapes | None = None,
) -> Shapes:
    """Write vertices (T, V, 3) in mm of `rig` as GLB; return the shapes in it, which state their error in mm.

    Parameters
    ----------
    shapes : of these vertices (`export.shapes.shapes_of`), if they are known already

    Raises
    ------
    TalkmeshError
        If the vertices are not finite or not of the rig.
    """
    check_animation(path, vertices, fps, rig)
    shapes = shapes or shapes_of(rig, vertices)
    data = glb(rig, shapes, fps, Path(path).stem)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return shapes


def glb(rig: Rig, shapes: Shapes, fps: float, title: str) -> bytes:
    """Return the bytes of a GLB with the motion `shapes` of `rig`; `title` names the animation."""
    file = _File(
        {
            "asset": {"version": "2.0", "generator": "talkmesh"},
            "scene": 0,
            "scenes": [{"name": rig.name, "nodes": [0]}],
            "nodes": [{"name": rig.name, "mesh": 0}],
        }
    )
    primitive = _neutral(file, rig)
    mesh: dict[str, Any] = {"name": f"{rig.name}_face", "primitives": [primitive]}
    file.json["meshes"] = [mesh]
    if not shapes.names:  # nothing moves: a still face has no animation
        return file.bytes()
    primitive["targets"] = [{"POSITION": file.offsets(delta * METRE)} for delta in shapes.deltas]
    mesh |= {"weights": [0.0] * len(shapes.names), "extras": {"targetNames": list(shapes.names)}}
    times = np.arange(len(shapes.weights)) / fps
    sampler = {
        "input": file.accessor(times, "f4", bounds=True),
        "interpolation": "LINEAR",
        "output": file.accessor(shapes.weights.ravel(), "f4"),
    }
    file.json["animations"] = [
        {
            "name": title,
            "channels": [{"sampler": 0, "target": {"node": 0, "path": "weights"}}],
            "samplers": [sampler],
            "extras": {
                "fps": fps,
                "error_max_mm": round(shapes.deviation.max_mm, 6),
                "error_rms_mm": round(shapes.deviation.rms_mm, 6),
            },
        }
    ]
    return file.bytes()


def _neutral(file: _File, rig: Rig) -> dict[str, Any]:
    """Add the face at rest and its material, and return its primitive."""
    from talkmesh.render import normal_operator, seamless, vertex_normals

    normals = vertex_normals(
        rig.neutral, rig.faces, seamless(rig, normal_operator(rig.faces, len(rig.neutral)))
    )
    flat = np.linalg.norm(normals, axis=1) < 0.5  # vertices of no triangle
    normals[flat] = (0, 0, 1)
    attributes = {
        "POSITION": file.accessor(rig.neutral * METRE, "f4", VERTICES, bounds=True),
        "NORMAL": file.accessor(normals / np.linalg.norm(normals, axis=1, keepdims=True), "f4", VERTICES),
        "COLOR_0": file.accessor(_colours(rig), "u2", VERTICES, normalized=True),
    }
    material: dict[str, Any] = {
        "name": "face",
        "doubleSided": True,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": ROUGHNESS},
    }
    if rig.uv is not None and rig.texture is not None:
        attributes["TEXCOORD_0"] = file.accessor(rig.uv, "f4", VERTICES)
        file.json["images"] = [
            {"name": "face", "mimeType": "image/png", "bufferView": file.view(_png(rig.texture))}
        ]
        file.json["samplers"] = [{}]
        file.json["textures"] = [{"source": 0, "sampler": 0}]
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    file.json["materials"] = [material]
    kind = "u2" if len(rig.neutral) < 0xFFFF else "u4"
    return {
        "attributes": attributes,
        "indices": file.accessor(rig.faces.ravel(), kind, INDICES),
        "material": 0,
        "mode": 4,
    }


def linear(colours: np.ndarray) -> np.ndarray:
    """Return sRGB colours in [0, 1] as linear ones, which is what vertex colours are in glTF and USD."""
    c = np.clip(colours.astype(float), 0, 1)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _colours(rig: Rig) -> np.ndarray:
    opaque = np.ones((len(rig.colours), 1))
    return np.rint(np.concatenate([linear(rig.colours), opaque], 1) * 0xFFFF)


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
