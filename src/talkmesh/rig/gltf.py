"""Any glTF 2.0 file (`.glb`, `.gltf`) whose meshes have morph targets: one face of all of them.

The scene is read as a viewer shows it, with node transforms and skins, at weight 0 of all shapes. What belongs
together is joined: shapes of one name in several meshes and primitives, and vertices that the file has several times
because of texture seams or hard edges, when they lie in one place and move alike (lips that merely touch do not).
What the face does not need is left out: triangles far from what the shapes move (a body), and transparent ones.

n vertices of a primitive, V of the rig, K shapes. The format is in metres, y up; exporters write centimetres as well.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.rig.accessors import Gltf, open_gltf
from talkmesh.rig.material import colours
from talkmesh.rig.names import ARKIT, VISEMES, canonicals
from talkmesh.rig.rigfile import RigFile

log = logging.getLogger(__name__)

LARGEST = 100_000_000  # numbers of all vertices at rest and in all shapes: 400 MB
MOVED = 0.1  # of a shape's largest motion: what moves at least so far says where the face is
# How far the head reaches beyond that: to the sides, in widths; down and up, in heights
SIDES, BELOW, ABOVE = 0.6, 0.4, 1.5


@dataclass(frozen=True)
class _Piece:
    """A primitive: position (n, 3); shapes : offsets (n, 3) by name; triangles (m, 3); rgba (n, 4) or None; key
    (n, bytes) : equal for vertices of one `mesh` that are one."""

    mesh: int
    position: np.ndarray
    shapes: dict[str, np.ndarray]
    triangles: np.ndarray
    rgba: np.ndarray | None
    key: np.ndarray


def load(path: Path) -> RigFile:
    """Read a glTF file.

    Raises
    ------
    TalkmeshError
        If it is missing, broken, compressed, of another version, or has no morph targets.
    """
    gltf = open_gltf(path)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused
            pieces = _pieces(gltf)
            given = list(dict.fromkeys(name for piece in pieces for name in piece.shapes))
            if not any(delta.any() for piece in pieces for delta in piece.shapes.values()):
                raise TalkmeshError(
                    f"{path} has no morph targets that move anything: export the face with its shape keys"
                )
            return _joined(pieces, given).checked(path)
    except TalkmeshError:
        raise
    except Exception as error:  # a broken file can fail in any way
        raise TalkmeshError(f"{path} is a broken glTF file ({type(error).__name__}: {error})") from None


def _pieces(gltf: Gltf) -> list[_Piece]:
    """Return the primitives of all nodes that are shown, if there is room for them."""
    pieces, size = [], 0
    for number, (node, world) in enumerate(_instances(gltf)):
        for piece in _primitives(gltf, number, node, world):
            size += piece.position.size * (1 + len(piece.shapes))
            if size > LARGEST:
                raise ValueError("its meshes are too large to be a face's")
            pieces.append(piece)
    return pieces


# ------------------------------------------------------------------------------------------------- the scene


def _local(node: dict[str, Any]) -> np.ndarray:
    """Return the transform (4, 4) of a node in its parent."""
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1, 1, 1)), float)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _instances(gltf: Gltf) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield the nodes of the scene that have a mesh, each with what brings its vertices into the scene: (4, 4), or
    (joints, 4, 4) for a skin."""
    nodes = gltf["nodes"]
    scenes = gltf["scenes"]
    below = [child for node in nodes for child in node.get("children", ())]
    children = set(below)
    if len(children) < len(below):
        raise ValueError("a node hangs on two others")
    roots = [i for i in range(len(nodes)) if i not in children]
    shown = scenes[gltf.json.get("scene", 0)].get("nodes", []) if scenes else roots
    shown = list(dict.fromkeys(shown))
    world: dict[int, np.ndarray] = {}

    def place(index: int, parent: np.ndarray) -> None:
        world[index] = parent @ _local(nodes[index])
        for child in nodes[index].get("children", ()):
            place(child, world[index])

    for root in roots:  # joints may lie outside of the scene that is shown
        place(root, np.eye(4))

    def visit(index: int) -> Iterator[int]:
        yield index
        for child in nodes[index].get("children", ()):
            yield from visit(child)

    for index in [i for root in shown for i in visit(root)]:
        node = nodes[index]
        if "mesh" not in node:
            continue
        if "skin" not in node:
            yield node, world[index]
            continue
        skin = gltf["skins"][node["skin"]]
        joints = np.stack([world[j] for j in skin["joints"]])
        if "inverseBindMatrices" in skin:
            joints = joints @ gltf.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        yield node, joints


def _names(gltf: Gltf, mesh: dict[str, Any]) -> list[str]:
    """Return the names of a mesh's targets: its own list, else those of their accessors, else numbers."""
    first = mesh["primitives"][0]
    targets = first.get("targets", [])
    for where in (mesh, first):
        names = (where.get("extras") or {}).get("targetNames", [])
        if len(names) == len(targets):
            return [str(name) for name in names]
    accessors = [gltf["accessors"][t["POSITION"]] if "POSITION" in t else {} for t in targets]
    return [str(a.get("name") or f"shape_{i:03d}") for i, a in enumerate(accessors)]


def _primitives(gltf: Gltf, number: int, node: dict[str, Any], world: np.ndarray) -> Iterator[_Piece]:
    """Yield the primitives of a node's mesh, the `number`th of the scene, in the scene's coordinates."""
    mesh = gltf["meshes"][node["mesh"]]
    names = canonicals(_names(gltf, mesh))
    for primitive in mesh["primitives"]:
        if primitive.get("mode", 4) != 4:
            log.warning(
                "%s: a primitive of %s is not of triangles and is left out", gltf.path, mesh.get("name")
            )
            continue
        attributes = primitive["attributes"]
        position = gltf.array(attributes["POSITION"]).astype(np.float32)
        if position.size * (1 + len(names)) > LARGEST:
            raise ValueError("a mesh is too large to be a face's")
        raw = np.zeros((len(names), *position.shape), np.float32)
        for i, target in enumerate(primitive.get("targets", ())[: len(names)]):
            if "POSITION" in target:
                raw[i] = gltf.array(target["POSITION"])
        key = [position, *raw]
        matrix = np.broadcast_to(world, (len(position), 4, 4)) if world.ndim == 2 else None
        if matrix is None:
            joints, weights = _skin(gltf, attributes)
            key += [joints.astype(np.float32), weights.astype(np.float32)]
            matrix = np.einsum("nj,njab->nab", weights, world[joints])
        triangles = _triangles(gltf, primitive, len(position))
        if np.linalg.det(matrix[:, :3, :3].mean(0)) < 0:  # a mirrored mesh
            triangles = triangles[:, ::-1]
        rgba, opaque = colours(gltf, primitive, len(position))
        if opaque > 0 and rgba is not None:
            triangles = triangles[rgba[triangles, 3].mean(1) >= opaque]
        rows = np.ascontiguousarray(np.concatenate(key, 1) + 0.0)  # + 0: no negative zeros
        turn = matrix[:, :3, :3]
        yield _Piece(
            number,
            np.einsum("nab,nb->na", turn, position) + matrix[:, :3, 3],
            {name: np.einsum("nab,nb->na", turn, delta) for name, delta in zip(names, raw, strict=True)},
            triangles,
            rgba,
            rows.view(np.uint8),
        )


def _skin(gltf: Gltf, attributes: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return joints (n, 4 or more) and weights that sum to 1."""
    sets = sum(name.startswith("JOINTS_") for name in attributes)
    joints = np.concatenate([gltf.array(attributes[f"JOINTS_{i}"]) for i in range(sets)], 1).astype(int)
    weights = np.concatenate([gltf.array(attributes[f"WEIGHTS_{i}"]) for i in range(sets)], 1).astype(float)
    return joints, weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)


def _triangles(gltf: Gltf, primitive: dict[str, Any], count: int) -> np.ndarray:
    ids = gltf.array(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(count)
    triangles = ids[: len(ids) // 3 * 3].reshape(-1, 3).astype(np.int64)
    if triangles.min(initial=0) < 0 or triangles.max(initial=0) >= count:
        raise ValueError(f"a triangle names vertex {triangles.max()} of {count}")
    return triangles


# --------------------------------------------------------------------------------------------------- joining


def _joined(pieces: list[_Piece], names: list[str]) -> RigFile:
    """Return one mesh of all pieces."""
    starts = np.cumsum([0, *(len(p.position) for p in pieces)])
    neutral = np.concatenate([p.position for p in pieces])
    deltas = np.zeros((len(names), *neutral.shape), np.float32)
    for piece, start in zip(pieces, starts, strict=False):
        for name, delta in piece.shapes.items():
            deltas[names.index(name), start : start + len(delta)] = delta
    faces = np.concatenate([p.triangles + s for p, s in zip(pieces, starts, strict=False)])
    merged = _first_alike(pieces)
    faces = _distinct(merged[faces])
    faces = faces[_of_head(neutral, deltas, names)[faces].all(1)]
    kept = np.unique(faces)
    place = np.full(len(neutral), -1, np.int32)
    place[kept] = np.arange(len(kept))
    origin = place[merged]
    return RigFile(
        neutral[kept],
        place[faces],
        tuple(names),
        deltas[:, kept],
        _mean_colours(pieces, origin, len(kept)),
        origin=origin,
    )


def _first_alike(pieces: list[_Piece]) -> np.ndarray:
    """Return for each vertex of all pieces the first one that is the same: of its mesh, in its place, moving alike."""
    merged = np.arange(sum(len(p.key) for p in pieces))
    starts = np.cumsum([0, *(len(p.key) for p in pieces)])
    meshes: dict[tuple[int, int], list[int]] = {}
    for i, piece in enumerate(pieces):
        meshes.setdefault((piece.mesh, piece.key.shape[1]), []).append(i)
    for (_, width), members in meshes.items():
        ids = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in members])
        rows = np.concatenate([pieces[i].key for i in members]).view(f"V{width}").ravel()
        _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
        merged[ids] = ids[first[inverse]]
    return merged


def _distinct(faces: np.ndarray) -> np.ndarray:
    """Return faces (m, 3) without those of no area, and each once: a sheet's other side is not needed."""
    ordered = np.sort(faces, 1)
    faces, ordered = (
        f[(ordered[:, 0] < ordered[:, 1]) & (ordered[:, 1] < ordered[:, 2])] for f in (faces, ordered)
    )
    _, first = np.unique(ordered, axis=0, return_index=True)
    return faces[np.sort(first)]


def _of_head(neutral: np.ndarray, deltas: np.ndarray, names: list[str]) -> np.ndarray:
    """Return (V,) bool: which vertices lie about what the face's shapes move."""
    moving = [i for i, delta in enumerate(deltas) if delta.any()]
    moved = np.zeros(len(neutral), bool)
    for i in [i for i in moving if names[i] in ARKIT or names[i] in VISEMES] or moving:
        far = np.linalg.norm(deltas[i], axis=1)
        moved |= far > MOVED * far.max()
    low, high = neutral[moved].min(0), neutral[moved].max(0)
    wide, tall, _ = high - low
    low -= np.array([SIDES * wide, BELOW * tall, np.inf])
    high += np.array([SIDES * wide, ABOVE * tall, np.inf])
    return ((neutral >= low) & (neutral <= high)).all(1)


def _mean_colours(pieces: list[_Piece], origin: np.ndarray, count: int) -> np.ndarray | None:
    """Return colours (V, 3), the mean of the file's vertices that are one; None if no piece has any."""
    if all(p.rgba is None for p in pieces):
        return None
    rgb = np.concatenate(
        [np.full((len(p.position), 3), 0.7) if p.rgba is None else p.rgba[:, :3] for p in pieces]
    )
    used = origin >= 0
    total = np.zeros((count, 3))
    np.add.at(total, origin[used], rgb[used])
    return total / np.bincount(origin[used], minlength=count)[:, None]
