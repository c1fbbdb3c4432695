"""How far real lip shapes are from the nearest pose of the performance: `python -m benchmarks.coverage [--json]`.

Real are the filmed lips in data/crops, and the curves of files given as arguments, put on the character.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from talkmesh import contracts, params
from talkmesh.curves import on_shapes, read_curves
from talkmesh.rig import Rig, anatomy, read_rig
from talkmesh.rig.coverage import coverage, shapes_of_landmarks, shapes_of_poses
from talkmesh.rig.poses import Performance, perform_on


def real_shapes(rig: Rig, files: list[Path]) -> dict[str, np.ndarray]:
    """Return the lip shapes (N, 40, 2) of each speaker in data/crops and of each take of the files."""
    found: dict[str, np.ndarray] = {}
    if (contracts.CROPS / "crops.csv").exists():
        kept = contracts.read_kept()
        for name, speaker in contracts.read_speakers().items():
            clips = [contracts.read_crops(clip) for clip in kept["clip"][kept["speaker"] == name]]
            landmarks = np.concatenate(
                [c.landmarks[c.good & np.isfinite(c.landmarks).all((1, 2))] for c in clips]
            )
            found[f"filmed {name}"] = shapes_of_landmarks(landmarks, contracts.neutral_crop(speaker)[1])
    for file in files:
        for take in read_curves(file):
            found[f"curves {take.name}"] = shapes_of_poses(rig, on_shapes(take, rig.names, rig.name))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="curves: .csv, .npz")
    parser.add_argument("--json", action="store_true", help="one JSON object of named figures")
    parser.add_argument("--frames", type=int, help="poses, instead of perform.frames of params.yaml")
    arguments = parser.parse_args()
    rig = read_rig(contracts.RIGS / "character.npz")
    over = {"frames": arguments.frames} if arguments.frames else {}
    poses, changed = perform_on(rig, params.section(Performance, "perform", over))
    performed = shapes_of_poses(rig, poses)
    figures: dict[str, object] = {
        "poses": len(poses),
        "eased_percent": 100 * changed / len(poses),
        "worst_lip_overlap_percent": 100 * float(anatomy.overlap(rig, poses).max()),
    }
    found = {name: coverage(real, performed) for name, real in real_shapes(rig, arguments.files).items()}
    if arguments.json:
        print(json.dumps(figures | {name: asdict(c) for name, c in found.items()}))
        return
    for name, value in figures.items():
        print(f"{name:26s} {value:10.2f}")
    print(f"\n{'% of the mouth width':32s}   median      95 %     worst  within 1 %")
    for name, c in found.items():
        print(f"{name:32s} {c.median:8.2f}  {c.p95:8.2f}  {c.worst:8.2f}  {100 * c.within_1:8.1f} %")


if __name__ == "__main__":
    main()
