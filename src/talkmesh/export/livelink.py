"""A motion as the CSV of the app Live Link Face: ARKit's 52 shapes and nine angles, frame by frame.

Column for column the app's own files. The angles, of head and eyes in radians, are 0: the head is still, and gaze is in
the eyeLook shapes. Timecodes start at 00:00:00:00 and count frames at the rate of the motion, which stands nowhere in
such a file; the app writes 60 a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from talkmesh.curves import plain
from talkmesh.errors import TalkmeshError
from talkmesh.export.npz import check_animation
from talkmesh.export.shapes import Shapes, shapes_of
from talkmesh.export.weights import Deviation, arkit_shapes
from talkmesh.files import replacing
from talkmesh.rig import Rig

SHAPES = (
    "EyeBlinkLeft", "EyeLookDownLeft", "EyeLookInLeft", "EyeLookOutLeft", "EyeLookUpLeft", "EyeSquintLeft",
    "EyeWideLeft", "EyeBlinkRight", "EyeLookDownRight", "EyeLookInRight", "EyeLookOutRight", "EyeLookUpRight",
    "EyeSquintRight", "EyeWideRight", "JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel",
    "MouthPucker", "MouthRight", "MouthLeft", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft",
    "MouthFrownRight", "MouthDimpleLeft", "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight",
    "MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper", "MouthPressLeft", "MouthPressRight",
    "MouthLowerDownLeft", "MouthLowerDownRight", "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft",
    "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft",
    "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight", "TongueOut",
)  # fmt: skip
ANGLES = (
    "HeadYaw", "HeadPitch", "HeadRoll", "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch",
    "RightEyeRoll",
)  # fmt: skip
HEADER = ("Timecode", "BlendshapeCount", *SHAPES, *ANGLES)
COUNT = len(SHAPES) + len(ANGLES)  # 61


def write_animation_csv(
    path: str | Path, vertices: np.ndarray, fps: float, rig: Rig, shapes: Shapes | None = None
) -> Deviation:
    """Write vertices (T, V, 3) in mm of `rig` as weights of ARKit's shapes; return what they leave.

    Parameters
    ----------
    shapes : of these vertices (`export.shapes.shapes_of`), if they are known already

    Raises
    ------
    TalkmeshError
        If the rig has none of ARKit's shapes, or the vertices are not finite or not of the rig.
    """
    check_animation(path, vertices, fps, rig)
    if not arkit_shapes(rig):
        raise TalkmeshError(
            f"{path}: the rig {rig.name} has none of ARKit's shapes, which is what a Live Link Face CSV holds; "
            "write .glb, .usdc or .npz instead"
        )
    shapes = shapes or shapes_of(rig, vertices, most=0)
    write_curves(path, shapes.names[: shapes.named], shapes.weights[:, : shapes.named], fps)
    return shapes.named_deviation


def write_curves(path: str | Path, names: Sequence[str], weights: np.ndarray, fps: float) -> None:
    """Write weights (T, K) of shapes `names` at `fps`, which is rounded to whole frames a second."""
    values = on_arkit(names, weights)
    rate = round(fps)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(",".join(HEADER) + "\n")
        still = ",".join(["0.0000000000"] * len(ANGLES))
        for code, row in zip(_timecodes(len(values), rate), values, strict=True):
            file.write(f"{code},{COUNT},{','.join(f'{x:.10f}' for x in row)},{still}\n")


def on_arkit(names: Sequence[str], weights: np.ndarray) -> np.ndarray:
    """Return weights (T, 52) of `SHAPES`: a shape of both sides goes to each, two halves to their mean, others to 0."""
    index = {plain(name): i for i, name in enumerate(names)}
    out = np.zeros((len(weights), len(SHAPES)))
    for k, shape in enumerate(SHAPES):
        name = plain(shape)
        stem = name.removesuffix("left").removesuffix("right")
        halves = [index[name + side] for side in ("left", "right") if name + side in index]
        if name in index:
            out[:, k] = weights[:, index[name]]
        elif stem not in ("jaw", "mouth") and stem in index:
            out[:, k] = weights[:, index[stem]]
        elif halves:
            out[:, k] = weights[:, halves].mean(1)
    return np.clip(out, 0, 1)


def _timecodes(frames: int, rate: int) -> Iterator[str]:
    for i in range(frames):
        seconds, frame = divmod(i, rate)
        yield f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:02d}.000"
