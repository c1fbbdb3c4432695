"""Pictures of rigs to look at: lips and landmarks marked on a face, expressions of several rigs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from talkmesh.preview import contact_sheet
from talkmesh.render import MeshRenderer
from talkmesh.rig import Rig, place
from talkmesh.rig.correspondence import mouth_width
from talkmesh.rig.transfer import Transfer

SIZE = 384
LIP, LANDMARK, UPPER = (255, 214, 0), (0, 130, 60), (60, 110, 255)
# Ten faces by the names of their shapes; those that a rig lacks are left out
EXPRESSIONS: dict[str, dict[str, float]] = {
    "rest": {},
    "a": {"jawOpen": 0.7},
    "i": {"jawOpen": 0.12, "mouthStretchLeft": 0.5, "mouthStretchRight": 0.5, "mouthLowerDownLeft": 0.5,
          "mouthLowerDownRight": 0.5, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3},
    "u": {"mouthPucker": 0.9, "jawOpen": 0.1},
    "o": {"mouthFunnel": 0.7, "jawOpen": 0.3},
    "p": {"mouthPressLeft": 0.5, "mouthPressRight": 0.5, "mouthRollLower": 0.4, "mouthRollUpper": 0.3},
    "f": {"mouthRollLower": 0.6, "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4, "jawOpen": 0.06},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4},
    "frown": {"mouthFrownLeft": 0.8, "mouthFrownRight": 0.8, "browDownLeft": 0.8, "browDownRight": 0.8},
    "jaw left": {"jawLeft": 0.7, "jawOpen": 0.2, "browInnerUp": 0.7},
}  # fmt: skip


def poses_of(rig: Rig, faces: Mapping[str, Mapping[str, float]] = EXPRESSIONS) -> np.ndarray:
    """Return the poses (N, K) float32 of faces given by shape names."""
    poses = np.zeros((len(faces), len(rig.names)), np.float32)
    for pose, face in zip(poses, faces.values(), strict=True):
        for name, weight in face.items():
            if name in rig.names:
                pose[rig.names.index(name)] = weight
    return poses


def close_up(rig: Rig, size: int, widths: float, up: float = 0.0) -> np.ndarray:
    """Return the camera (2, 3) of a square picture, so many mouth widths wide and about the mouth, which lies `up`
    picture heights below the middle."""
    mouth = rig.neutral[rig.landmarks].mean(0)
    scale = size / (widths * mouth_width(rig))
    linear = np.diag([scale, -scale])
    return np.column_stack([linear, np.array([0.5, 0.5 + up]) * size - linear @ mouth[:2]])


def marked(rig: Rig, jaw: str | None = None, size: int = SIZE) -> np.ndarray:
    """Draw lips (yellow), landmarks (green) and the upper face (blue) on the resting face and on the lips, open."""
    panes = []
    for vertices, camera in (
        (rig.neutral, close_up(rig, size, 3.6, 0.2)),
        (place.opened(rig, jaw), close_up(rig, size, 1.5)),
    ):
        image = MeshRenderer(rig, size, camera).image(vertices).copy()
        for ids, colour, radius in ((rig.upper, UPPER, 1), (rig.lips, LIP, 1), (rig.landmarks, LANDMARK, 3)):
            for x, y in vertices[ids, :2] @ camera[:, :2].T + camera[:, 2]:
                cv2.circle(image, (round(float(x)), round(float(y))), radius, colour, -1, cv2.LINE_AA)
        panes.append(image)
    return np.concatenate(panes, axis=1)


def expressions(source: Rig, targets: Sequence[tuple[Rig, Transfer]], size: int = 192) -> np.ndarray:
    """Draw ten expressions of `source`, a row each rig, on it and as they are carried over to `targets`."""
    poses = poses_of(source)
    rows = [(source, poses)] + [(rig, carried.poses(poses)) for rig, carried in targets]
    images, labels = [], []
    for rig, weights in rows:
        renderer = MeshRenderer(rig, size, close_up(rig, size, 3.0, 0.18))
        images += [renderer.image(v) for v in rig.vertices(weights)]
        labels += [f"{rig.name}: {name}" for name in EXPRESSIONS]
    return contact_sheet(np.stack(images), len(poses), labels)
