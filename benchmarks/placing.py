"""How well placed landmarks stand for MediaPipe's: `python -m benchmarks.placing [--json]`.

For each rig, pictures of faces it was not placed on: mean distance between MediaPipe's 40 lip points and the
projected vertices, in percent of the mouth's width and in pixels of a crop of 256.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.rigs import rigs
from talkmesh.landmarks import LIPS
from talkmesh.rig import Rig, place
from talkmesh.rig.correspondence import mouth_width
from talkmesh.rig.pictures import EXPRESSIONS, poses_of

CROP, MOUTH_WIDTHS = 256, 1.9


def measure(rig: Rig) -> dict[str, float]:
    """Return the figures of one rig over the ten expressions in which a face is found."""
    vertices = rig.vertices(poses_of(rig))
    points = [place.face_points(rig, v) for v in vertices]
    away = {
        name: float(np.linalg.norm(seen[list(LIPS)] - v[rig.landmarks, :2], axis=1).mean() / mouth_width(rig))
        for name, seen, v in zip(EXPRESSIONS, points, vertices, strict=True)
        if seen is not None
    }
    mean = float(np.mean(list(away.values())))
    return {
        "percent": 100 * mean,
        "rest_percent": 100 * away["rest"],
        "px": mean * CROP / MOUTH_WIDTHS,
        "faces": float(len(away)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--ict", type=Path, help="ICT-FaceKit's folder FaceXModel or its npz")
    arguments = parser.parse_args()
    figures = {
        f"{name}_{key}": value
        for name, rig in rigs(arguments.ict).items()
        for key, value in measure(rig).items()
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<24}{value:10.3f}")


if __name__ == "__main__":
    main()
