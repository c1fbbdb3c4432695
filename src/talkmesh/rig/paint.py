"""Natural colours for a face that comes without any: skin, lips, the inside of the mouth, eyes, teeth.

Crude on purpose: enough that pictures read as a face, to MediaPipe and to a network. V vertices; sRGB in [0, 1].
"""

from __future__ import annotations

import numpy as np

from talkmesh.rig import Rig
from talkmesh.rig.surface import visible

SKIN, LIP, MOUTH = (0.86, 0.67, 0.57), (0.72, 0.40, 0.38), (0.30, 0.11, 0.10)
WHITE, IRIS, PUPIL = (0.93, 0.92, 0.90), (0.36, 0.42, 0.45), (0.02, 0.02, 0.02)
TEETH = (0.90, 0.86, 0.78)
ARCH = 0.25  # of the mouth's width: depth of the row of teeth that is seen
DEPTH = 0.05  # of the mouth's width behind the lips: there its inside begins
# MediaPipe's points of the irises, the middle and four about it
IRISES = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))


def natural(rig: Rig, skin: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return colours (V, 3) for `rig`.

    Parameters
    ----------
    skin : (V,) bool, the pieces of the mesh that are skin
    points : (478, 2) mm, MediaPipe's points on the face from the front
    """
    colours = np.tile(np.asarray(SKIN, np.float32), (len(rig.neutral), 1))
    lips, flat = rig.neutral[rig.landmarks], rig.neutral[:, :2]
    width = float(np.ptp(lips[:, 0]))
    behind = lips[:, 2].mean() - rig.neutral[:, 2]
    close = (np.abs(flat - lips[:, :2].mean(0)) < (0.75 * width, 0.6 * width)).all(1)
    hidden = np.flatnonzero(skin & close & (behind > DEPTH * width))
    if len(hidden):  # by closed lips
        hidden = hidden[~visible(rig.neutral, rig.faces, hidden)]
    colours[hidden] = MOUTH
    colours[rig.lips] = LIP
    parts = ~skin & close
    if parts.any():  # teeth, and behind them gums and tongue
        front = rig.neutral[parts, 2].max() - rig.neutral[:, 2]
        colours[parts] = MOUTH
        colours[parts & (front < ARCH * width)] = TEETH
    for iris in IRISES:
        centre = points[iris[0]]
        radius = float(np.linalg.norm(points[list(iris[1:])] - centre, axis=1).mean())
        off = np.linalg.norm(flat - centre, axis=1)
        eye = ~skin & (off < 3.5 * radius)
        if not eye.any():
            continue
        colours[eye] = WHITE
        front = eye.copy()
        front[eye] = rig.neutral[eye, 2] > np.median(rig.neutral[eye, 2])
        colours[front & (off < radius)] = IRIS
        colours[front & (off < 0.45 * radius)] = PUPIL
    return colours
