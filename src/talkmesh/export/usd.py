"""A motion as USD: a mesh with blend shapes of UsdSkel, their weights over time.

Centimetres, y up, the face looking along +z; one time code a frame, from 0. Needs the package `usd-core`.

T frames, V vertices, K shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.export.glb import linear
from talkmesh.export.npz import check_animation
from talkmesh.export.shapes import Shapes, shapes_of
from talkmesh.files import replacing
from talkmesh.rig import Rig

CENTIMETRE = 0.1  # of a millimetre


def check_usd(path: str | Path) -> None:
    """Raise a `TalkmeshError` that says what to install if USD cannot be written."""
    try:
        import pxr  # noqa: F401
    except ImportError:
        raise TalkmeshError(
            f"{path}: writing USD needs the package usd-core: pip install 'talkmesh[usd]'"
        ) from None


def write_animation_usd(
    path: str | Path, vertices: np.ndarray, fps: float, rig: Rig, shapes: Shapes | None = None
) -> Shapes:
    """Write vertices (T, V, 3) in mm of `rig` as USD, `.usdc` or `.usda`; return the shapes in it and their error.

    Raises
    ------
    TalkmeshError
        If `usd-core` is absent, or the vertices are not finite or not of the rig.
    """
    check_usd(path)
    check_animation(path, vertices, fps, rig)
    from pxr import Usd

    shapes = shapes or shapes_of(rig, vertices)
    with replacing(path) as temporary:
        stage = Usd.Stage.CreateNew(str(temporary))
        _fill(stage, rig, shapes, fps)
        stage.GetRootLayer().Save()
    return shapes


def _fill(stage: Any, rig: Rig, shapes: Shapes, fps: float) -> None:
    from pxr import Gf, Tf, UsdGeom, UsdSkel, Vt

    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 0.01)
    stage.SetTimeCodesPerSecond(fps)
    stage.SetFramesPerSecond(fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(len(shapes.weights) - 1)
    root = UsdSkel.Root.Define(stage, f"/{Tf.MakeValidIdentifier(rig.name)}")
    stage.SetDefaultPrim(root.GetPrim())
    mesh = _mesh(stage, root.GetPath().AppendChild("face"), rig)
    skeleton = UsdSkel.Skeleton.Define(stage, root.GetPath().AppendChild("skeleton"))
    still = Vt.Matrix4dArray([Gf.Matrix4d(1.0)])  # blend shapes hang on a skeleton, even one that never moves
    skeleton.CreateJointsAttr(["root"])
    skeleton.CreateBindTransformsAttr(still)
    skeleton.CreateRestTransformsAttr(still)
    motion = UsdSkel.Animation.Define(stage, skeleton.GetPath().AppendChild("motion"))
    names = [Tf.MakeValidIdentifier(name) for name in shapes.names]
    motion.CreateBlendShapesAttr(names)
    weights = motion.CreateBlendShapeWeightsAttr()
    for i, row in enumerate(shapes.weights):
        weights.Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(row, np.float32)), i)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([motion.GetPath()])
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateJointIndicesPrimvar(True, 1).Set(Vt.IntArray([0]))
    binding.CreateJointWeightsPrimvar(True, 1).Set(Vt.FloatArray([1.0]))
    binding.CreateBlendShapesAttr(names)
    targets = []
    for name, delta in zip(names, shapes.deltas, strict=True):
        shape = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(name))
        moved = np.flatnonzero(delta.any(1))
        shape.CreateOffsetsAttr(_points(delta[moved]))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved.astype(np.int32)))
        targets.append(shape.GetPath())
    binding.CreateBlendShapeTargetsRel().SetTargets(targets)


def _points(vectors: np.ndarray) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(vectors * CENTIMETRE, np.float32))


def _mesh(stage: Any, path: Any, rig: Rig) -> Any:
    from pxr import UsdGeom, Vt

    mesh = UsdGeom.Mesh.Define(stage, path)
    points = _points(rig.neutral)
    mesh.CreatePointsAttr(points)
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray([3] * len(rig.faces)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(rig.faces.ravel().astype(np.int32)))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(points))
    mesh.CreateDoubleSidedAttr(True)
    colours = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
    colours.Set(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(linear(painted(rig)), np.float32)))
    return mesh


def painted(rig: Rig) -> np.ndarray:
    """Return the colours (V, 3) of a rig, sRGB, with what its texture has at each vertex."""
    if rig.uv is None or rig.texture is None:
        return rig.colours
    height, width = rig.texture.shape[:2]
    column, row = np.clip((rig.uv * (width, height)).astype(int), 0, (width - 1, height - 1)).T
    return rig.colours * rig.texture[row, column] / 255
