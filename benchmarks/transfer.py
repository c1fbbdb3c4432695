"""How well expressions survive the way to another topology and back: `python -m benchmarks.transfer [--json]`.

From `anny`, the default character, to `soma`, the same head in another topology, to `second`, the rig of the section
`transfer` (another person), and to `ict`.

`round`: mean distance of lip vertices after there and back, mm and percent of the mouth's width. `one_way`: how far the
40 lip landmarks of the target are from moving as the source's do, scaled by the mouths' widths. `opening_r`:
correlation of the lip openings of both. `still`: the distance that doing nothing would leave.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.rigs import rigs
from stages.transfer import Section
from talkmesh import params
from talkmesh.landmarks import opening_of_lips
from talkmesh.preview import save_png
from talkmesh.rig import Rig
from talkmesh.rig.correspondence import Fit, fitted, mouth_width
from talkmesh.rig.pictures import expressions
from talkmesh.rig.poses import Performance, perform
from talkmesh.rig.source import load


def opening(rig: Rig, poses: np.ndarray) -> np.ndarray:
    """Return the lip opening (N,) of poses."""
    return opening_of_lips(rig.vertices(poses)[:, rig.landmarks, :2] * (1, -1))


def moves(rig: Rig, poses: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return how far vertices `ids` move (N, n, 3), in widths of the mouth."""
    return (rig.vertices(poses)[:, ids] - rig.neutral[ids]) / mouth_width(rig)


def measure(source: Rig, target: Rig, poses: np.ndarray, fit: Fit) -> dict[str, float]:
    """Return the figures of one pair."""
    begin = time.perf_counter()
    there, back = fitted(source, target, fit), fitted(target, source, fit)
    begin, fitting = time.perf_counter(), time.perf_counter() - begin
    carried = there.poses(poses)
    seconds = time.perf_counter() - begin
    returned = back.poses(carried)
    width = mouth_width(source)
    error = np.linalg.norm(moves(source, poses, source.lips) - moves(source, returned, source.lips), axis=-1)
    away = np.linalg.norm(
        moves(source, poses, source.landmarks) - moves(target, carried, target.landmarks), axis=-1
    )
    still = np.linalg.norm(moves(source, poses, source.lips), axis=-1)
    return {
        "round_mm": float(error.mean() * width),
        "round_percent": float(error.mean() * 100),
        "one_way_percent": float(away.mean() * 100),
        "still_percent": float(still.mean() * 100),
        "opening_r": float(np.corrcoef(opening(source, poses), opening(target, carried))[0, 1]),
        "poses_per_s": len(poses) / seconds,
        "both_fits_s": fitting,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--ict", type=Path, help="ICT-FaceKit's folder FaceXModel, its npz, or where that lies"
    )
    parser.add_argument(
        "--poses", type=int, default=400, help="poses of the performance (default: %(default)s)"
    )
    parser.add_argument("--picture", type=Path, help="write ten expressions of all rigs to this PNG")
    arguments = parser.parse_args()
    found = rigs(arguments.ict)
    found["second"] = load(params.section(Section, "transfer").rig, "second")
    source = found.pop("anny")
    how = dataclasses.replace(params.section(Performance, "perform"), frames=arguments.poses)
    poses = perform(source.names, how)
    fits = {by: Fit(by=by) for by in ("dense", "landmarks")}
    figures = {
        f"{name}_{by}_{key}": value
        for name, rig in found.items()
        for by, fit in fits.items()
        for key, value in measure(source, rig, poses, fit).items()
    }
    if arguments.picture:
        targets = [(rig, fitted(source, rig, fits["dense"])) for rig in found.values()]
        save_png(arguments.picture, expressions(source, targets))
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<36}{value:10.3f}")
    if "ict" not in found:
        print("ICT-FaceKit's face was not found: give --ict PATH")


if __name__ == "__main__":
    main()
