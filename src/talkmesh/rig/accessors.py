"""The container of a glTF 2.0 file, `.glb` or `.gltf`: its JSON, its arrays of numbers, its pictures.

Read with `json` and NumPy: what there is in libraries for Python leaves accessors, sparse ones, quantisation and skins
to the caller (pygltflib) or loses vertex order and blendshapes (trimesh); see docs/decisions/rig-files.md.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np
from PIL import Image

from talkmesh.errors import TalkmeshError

LARGEST = 100_000_000  # numbers of an array, pixels of a picture
TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
PACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
# Extensions that a file may call required: of these nothing is needed for the shape of a face.
HARMLESS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_mesh_quantization", "KHR_lights_", "VRM")


@dataclass(frozen=True)
class Gltf:
    """An open file. json : its description; binary : the second part of a GLB."""

    path: Path
    json: dict[str, Any]
    binary: bytes

    def __getitem__(self, kind: str) -> list[dict[str, Any]]:
        """Return the list of all things of one kind: "nodes", "meshes", ..."""
        things: list[dict[str, Any]] = self.json.get(kind, [])
        return things

    @functools.cached_property
    def buffers(self) -> list[memoryview]:
        """The bytes of all buffers: the GLB's own, of files beside it, or written in the JSON."""
        uris = [buffer.get("uri") for buffer in self["buffers"]]
        return [memoryview(self.binary if uri is None else self._resource(uri)) for uri in uris]

    def _resource(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        if "://" in uri:
            raise TalkmeshError(
                f"{self.path} refers to {uri}: download it, and save the model with all its parts"
            )
        name = PurePosixPath(os.path.normpath(unquote(uri)))
        path = self.path.parent / name
        if not name.is_absolute() and ".." not in name.parts and path.is_file():  # no device, no pipe
            return path.read_bytes()
        raise TalkmeshError(f"{self.path} refers to {uri}, which is not beside it: put it into its folder")

    def view(self, index: int) -> tuple[memoryview, int]:
        """Return the bytes of a buffer view and its stride (0: packed)."""
        view = self["bufferViews"][index]
        start = view.get("byteOffset", 0)
        return self.buffers[view["buffer"]][start : start + view["byteLength"]], view.get("byteStride", 0)

    def array(self, index: int) -> np.ndarray:
        """Return the elements (n, width) of an accessor, normalised integers as floats in [-1, 1]."""
        accessor = self["accessors"][index]
        count, width = accessor["count"], WIDTHS[accessor["type"]]
        if not 0 < count <= LARGEST // width:
            raise ValueError(f"an accessor of {count} elements")
        kind = np.dtype(TYPES[accessor["componentType"]])
        if "bufferView" in accessor:
            values = self._read(accessor["bufferView"], accessor.get("byteOffset", 0), count, width, kind)
        else:
            values = np.zeros((count, width), kind)
        if sparse := accessor.get("sparse"):
            where, what = sparse["indices"], sparse["values"]
            number = np.dtype(TYPES[where["componentType"]])
            rows = self._read(where["bufferView"], where.get("byteOffset", 0), sparse["count"], 1, number)[
                :, 0
            ]
            values = values.copy()
            values[rows] = self._read(
                what["bufferView"], what.get("byteOffset", 0), sparse["count"], width, kind
            )
        if accessor.get("normalized"):
            values = np.maximum(values.astype(np.float32) / np.iinfo(kind).max, -1)
        return values

    def _read(self, view: int, offset: int, count: int, width: int, kind: np.dtype[Any]) -> np.ndarray:
        data, stride = self.view(view)
        size = width * kind.itemsize
        stride = stride or size
        if count < 1 or offset + (count - 1) * stride + size > len(data):
            raise ValueError(f"{count} elements do not fit into buffer view {view}")
        return np.ndarray((count, width), kind, data, offset, (stride, kind.itemsize))

    def picture(self, index: int) -> Image.Image | None:
        """Return a texture's picture, or None if it is of a kind that cannot be read (KTX2)."""
        texture = self["textures"][index]
        extensions = texture.get("extensions", {}).values()
        sources = [e["source"] for e in (*extensions, texture) if "source" in e]
        for source in sources:
            image = self["images"][source]
            data = (
                self.view(image["bufferView"])[0] if "bufferView" in image else self._resource(image["uri"])
            )
            try:
                found = Image.open(io.BytesIO(data))
                if found.width * found.height <= LARGEST:
                    return found.convert("RGBA")
            except Exception:  # a broken picture can fail in any way
                continue
        return None


def open_gltf(path: Path) -> Gltf:
    """Open a `.glb` or `.gltf` file.

    Raises
    ------
    TalkmeshError
        If it is missing, not glTF 2.0, or needs an extension that is not read here, compression above all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TalkmeshError(f"{path} cannot be read: {error.strerror}") from None
    binary = b""
    try:
        if data[:4] == b"glTF":
            chunks = _chunks(data)
            data, binary = chunks[0x4E4F534A], chunks.get(0x004E4942, b"")
        description = json.loads(data)
        version = str(description["asset"]["version"])
        required = [str(name) for name in description.get("extensionsRequired") or ()]
    except Exception as error:  # a broken file can fail in any way
        raise TalkmeshError(f"{path} is not a glTF file ({type(error).__name__}: {error})") from None
    if not version.startswith("2."):
        raise TalkmeshError(f"{path} is of glTF version {version}; save it as version 2.0")
    for extension in required:
        if extension in PACKED:
            raise TalkmeshError(
                f"{path} is compressed ({extension}), which is not read here: save it without compression"
            )
        if not extension.startswith(HARMLESS):
            raise TalkmeshError(f"{path} needs the extension {extension}, which is not read here")
    return Gltf(path, description, binary)


def _chunks(data: bytes) -> dict[int, bytes]:
    """Return the parts of a GLB by their type."""
    chunks: dict[int, bytes] = {}
    place = 12
    while place + 8 <= len(data):
        length, kind = struct.unpack_from("<II", data, place)
        if place + 8 + length > len(data):
            raise ValueError("it ends too early")
        chunks.setdefault(kind, data[place + 8 : place + 8 + length])
        place += 8 + length
    return chunks
