"""Exports as others read them: nothing of the writers is used. Meshes (T, V, 3) in mm, times (T,) in seconds.

T frames, V vertices, K shapes.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = {5123: np.uint16, 5125: np.uint32, 5126: np.float32}  # glTF's component types
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def accessor(file: Any, index: int) -> np.ndarray:
    """Return an accessor's values of a pygltflib file, as the specification says, sparse ones too."""
    accessor = file.accessors[index]
    width, binary = WIDTHS[accessor.type], file.binary_blob()

    def read(view: int, number: int, count: int, width: int) -> np.ndarray:
        start = file.bufferViews[view].byteOffset or 0
        return np.frombuffer(binary, NUMBERS[number], count * width, start).reshape(count, width)

    if accessor.sparse is None:
        return read(accessor.bufferView, accessor.componentType, accessor.count, width)
    out = np.zeros((accessor.count, width), NUMBERS[accessor.componentType])
    sparse = accessor.sparse
    ids = read(sparse.indices.bufferView, sparse.indices.componentType, sparse.count, 1)[:, 0]
    out[ids] = read(sparse.values.bufferView, accessor.componentType, sparse.count, width)
    return out


def glb(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return times and meshes of a GLB, with pygltflib."""
    import pygltflib

    file = pygltflib.GLTF2().load(str(path))
    primitive = file.meshes[0].primitives[0]
    (channel,) = file.animations[0].channels
    (sampler,) = file.animations[0].samplers
    assert (channel.target.path, channel.target.node, sampler.interpolation) == ("weights", 0, "LINEAR")
    times = accessor(file, sampler.input)[:, 0]
    targets = np.stack([accessor(file, target["POSITION"]) for target in primitive.targets])
    weights = accessor(file, sampler.output).reshape(len(times), len(targets))
    neutral = accessor(file, primitive.attributes.POSITION)
    return times, 1000 * (neutral + np.tensordot(weights, targets, 1))


def usd(path: Path) -> tuple[Any, np.ndarray]:
    """Return the stage and the meshes of a USD file, with usd-core: rest, and offsets at the weights that UsdSkel maps
    to them."""
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.Open(str(path))
    cache = UsdSkel.Cache()
    root = UsdSkel.Root(stage.GetDefaultPrim())
    cache.Populate(root, Usd.PrimDefaultPredicate)
    (binding,) = cache.ComputeSkelBindings(root, Usd.PrimDefaultPredicate)
    (skinned,) = binding.GetSkinningTargets()
    mesh = UsdGeom.Mesh(skinned.GetPrim())
    query = UsdSkel.BlendShapeQuery(UsdSkel.BindingAPI(mesh.GetPrim()))
    animation = cache.GetSkelQuery(binding.GetSkeleton()).GetAnimQuery()
    neutral = np.array(mesh.GetPointsAttr().Get())
    shapes = np.zeros((query.GetNumBlendShapes(), *neutral.shape), np.float32)
    for i, shape in enumerate(shapes):
        one = query.GetBlendShape(i)
        shape[np.array(one.GetPointIndicesAttr().Get(), int)] = np.array(one.GetOffsetsAttr().Get())
    times = range(int(stage.GetStartTimeCode()), int(stage.GetEndTimeCode()) + 1)
    mapper = skinned.GetBlendShapeMapper()
    weights = np.array([mapper.Remap(animation.ComputeBlendShapeWeights(time)) for time in times])
    return stage, (neutral + np.tensordot(weights, shapes, 1)) * (UsdGeom.GetStageMetersPerUnit(stage) * 1000)


def livelink(path: Path, fps: int) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return times, names as ARKit spells them and weights (T, K) of a Live Link Face CSV that counts `fps` frames a
    second, with the csv module."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    times = []
    for row in rows:
        hours, minutes, seconds, frames = row[0].split(":")
        times.append(3600 * int(hours) + 60 * int(minutes) + int(seconds) + float(frames) / fps)
    names = [name[0].lower() + name[1:] for name in header[2:54]]
    return np.array(times), names, np.array([row[2:54] for row in rows], float)


def obj(folder: Path) -> tuple[float, np.ndarray]:
    """Return frames a second and meshes of a folder of OBJ files, with trimesh."""
    import trimesh

    said = json.loads((folder / "sequence.json").read_text())
    files = sorted(folder.glob("*.obj"))
    assert (len(files), said["unit"]) == (said["frames"], "mm")
    meshes = [trimesh.load(file, process=False, maintain_order=True).vertices for file in files]
    return float(said["fps"]), np.array(meshes)


def mp4(path: Path) -> tuple[float, float, float, np.ndarray]:
    """Return frames a second, seconds of picture and of sound, and frames (T, H, W, 3) uint8 of a video, with PyAV."""
    import av

    with av.open(str(path)) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        seen, heard = (float((stream.duration or 0) * (stream.time_base or 0)) for stream in (video, audio))
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video)])
        return float(video.average_rate or 0), seen, heard, frames
