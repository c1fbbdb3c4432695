"""A small writer of glTF files, for tests: what exporters do, one trick at a time."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Writer:
    """Collects a glTF's JSON and its buffer."""

    def __init__(self) -> None:
        self.binary = b""
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "accessors": [],
            "bufferViews": [],
            "meshes": [],
            "nodes": [],
            "scenes": [{"nodes": []}],
            "scene": 0,
        }

    def view(self, data: bytes, **more: Any) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        views = self.json["bufferViews"]
        views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **more})
        self.binary += data
        return len(views) - 1

    def accessor(
        self, values: np.ndarray, kind: str = "f4", sparse: bool = False, pad: int = 0, **more: Any
    ) -> int:
        """Add (n, width) values; `pad` bytes between elements make a stride; `sparse` stores what is not 0."""
        values = np.asarray(values).reshape(len(values), -1).astype("<" + kind)
        new: dict[str, Any] = {
            "componentType": CODES[kind],
            "count": len(values),
            "type": TYPES[values.shape[1]],
            **more,
        }
        if sparse:
            rows = np.flatnonzero(values.any(1))
            new["sparse"] = {
                "count": len(rows),
                "indices": {
                    "bufferView": self.view(rows.astype("<u2").tobytes()),
                    "componentType": CODES["u2"],
                },
                "values": {"bufferView": self.view(values[rows].tobytes())},
            }
            if not len(rows):
                del new["sparse"]
        elif pad:
            rows = np.concatenate(
                [values.view(np.uint8).reshape(len(values), -1), np.full((len(values), pad), 255, "u1")], 1
            )
            new["bufferView"] = self.view(b"\1\2\3\4" + rows.tobytes(), byteStride=rows.shape[1])
            new["byteOffset"] = 4
        else:
            new["bufferView"] = self.view(values.tobytes())
        self.json["accessors"].append(new)
        return len(self.json["accessors"]) - 1

    def primitive(
        self, position: np.ndarray, faces: np.ndarray, deltas: np.ndarray, **attributes: np.ndarray
    ) -> dict[str, Any]:
        """Return a primitive, plain floats; `attributes` by glTF's names."""
        return {
            "attributes": {
                "POSITION": self.accessor(position),
                **{k: self.accessor(v) for k, v in attributes.items()},
            },
            "indices": self.accessor(faces.reshape(-1, 1), "u4"),
            "targets": [{"POSITION": self.accessor(d)} for d in deltas],
        }

    def mesh(self, primitives: list[dict[str, Any]], names: list[str] | None = None) -> int:
        self.json["meshes"].append(
            {"primitives": primitives} | ({"extras": {"targetNames": names}} if names else {})
        )
        return len(self.json["meshes"]) - 1

    def node(self, root: bool = True, **what: Any) -> int:
        self.json["nodes"].append(what)
        index = len(self.json["nodes"]) - 1
        if root:
            self.json["scenes"][0]["nodes"].append(index)
        return index

    def glb(self, path: Path) -> Path:
        self.json["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + b"\0" * (-len(self.binary) % 4)
        length = 12 + 8 + len(text) + 8 + len(binary)
        path.write_bytes(
            struct.pack("<4sII", b"glTF", 2, length)
            + struct.pack("<I4s", len(text), b"JSON")
            + text
            + struct.pack("<I4s", len(binary), b"BIN\0")
            + binary
        )
        return path

    def gltf(self, path: Path, inside: bool) -> Path:
        """Write `.gltf` with its buffer inside as base64, or in a file beside it whose name has a blank."""
        uri = "my%20data.bin"
        if inside:
            uri = "data:application/octet-stream;base64," + base64.b64encode(self.binary).decode()
        else:
            (path.parent / "my data.bin").write_bytes(self.binary)
        self.json["buffers"] = [{"byteLength": len(self.binary), "uri": uri}]
        path.write_text(json.dumps(self.json))
        return path
