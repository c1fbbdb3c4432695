"""How long scoring takes, pictures excluded: `python -m benchmarks.scoring [--json]`.

Twenty clips of the embedded corpus' own sentences on its character, 10 methods whose predictions are read from files:
every metric of every clip, intervals, and the paired tests between all methods. Needs the extra `sample`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from talkmesh import contracts, params
from talkmesh.contracts import Crops, GroundTruth, Renders, Speaker, Track
from talkmesh.evaluation import evaluate, write_result
from talkmesh.files import link_folder
from talkmesh.framing import Framing
from talkmesh.gallery import camera_of
from talkmesh.landmarks import COUNT, LIPS
from talkmesh.report import collect
from talkmesh.rig import Rig, write_rig
from talkmesh.rig.source import Source, load
from talkmesh.sample.corpus import SampleConfig, act, plan
from talkmesh.sample.performance import ARKIT
from talkmesh.sample.voice import Voice
from talkmesh.scoring import Scoring, project

TRACK = Track("cg", "character", str(contracts.CLIPS))
TRUE = "exact"  # the method whose files all others differ from


def sentences(config: SampleConfig) -> dict[str, np.ndarray]:
    """Return the weights (T, 52) of `ARKIT`'s shapes in every test sentence of the embedded corpus."""
    voice = Voice(config.speed)
    tests = [recording for recording in plan(config) if recording.split == "test"]
    return {recording.stem: act(config, voice, recording)[1].weights for recording in tests}


def write_clip(clip: str, weights: np.ndarray, rig: Rig, camera: np.ndarray) -> None:
    """Write truth and filmed lips of a clip: its own lips, found with an error of half a pixel."""
    rng = np.random.default_rng(len(weights))
    truth = GroundTruth(25.0, weights, ARKIT)
    contracts.write_ground_truth(contracts.CLIPS / clip / "ground_truth.npz", truth)
    vertices = truth.on(rig)
    assert vertices is not None
    points = project(vertices[:, rig.landmarks], camera)
    landmarks = np.zeros((len(points), COUNT, 2), np.float32)
    landmarks[:, list(LIPS)] = points + rng.normal(0, 0.5, points.shape)
    transforms = np.tile(np.eye(2, 3, dtype=np.float32), (len(points), 1, 1))
    images = np.zeros((len(points), 64, 64, 3), np.uint8)
    contracts.write_crops(clip, Crops(images, landmarks, transforms, np.ones(len(points), bool)))
    noise = np.cumsum(rng.normal(0, 0.05, (len(points), 1, 3)), 0)
    predicted = (0.8 * vertices + 0.2 * rig.neutral + noise).astype(np.float32)
    contracts.write_prediction(contracts.PREDICTIONS / TRUE / f"{clip}.npz", predicted, 25.0, rig)


@contextmanager
def inside(folder: str) -> Iterator[None]:
    """Work in a folder, and come back."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def write_project(methods: list[str], rig: Rig, config: SampleConfig) -> int:
    """Write what `evaluate` reads, and return the number of frames; every method has the same files."""
    camera = camera_of(rig, Framing.of_params())
    write_rig(contracts.RIGS / "character.npz", rig)
    picture = np.zeros((64, 64, 3), np.uint8)
    renders = Renders(picture[None], np.zeros((1, len(rig.names))), picture, camera)
    contracts.write_renders(renders, contracts.RENDERS / TRACK.name)
    rows, crops, spoken = [], [], sentences(config)
    for clip, weights in spoken.items():
        write_clip(clip, weights, rig, camera)
        row = dict.fromkeys(contracts.CLIP_COLUMNS, "") | {"clip": clip, "speaker": "a", "split": "test"}
        rows.append(row | {"start_s": 0.0, "end_s": len(weights) / 25, "fps": 25.0, "frames": len(weights)})
        crops.append(dict.fromkeys(contracts.CROP_COLUMNS, 0) | {"clip": clip, "dropped_why": ""})
    contracts.write_clips(pd.DataFrame(rows, columns=list(contracts.CLIP_COLUMNS)))
    contracts.write_crop_table(pd.DataFrame(crops, columns=list(contracts.CROP_COLUMNS)))
    contracts.write_speakers({"a": Speaker(next(iter(spoken)), 0, 64 / 1.9)})
    for method in methods:
        link_folder(contracts.PREDICTIONS / TRUE, contracts.PREDICTIONS / method)
    return sum(int(row["frames"]) for row in rows)


def measure(count: int) -> dict[str, float]:
    """Score `count` methods in this process and return the figures."""
    config, how = params.section(SampleConfig, "sample"), params.section(Scoring, "evaluate")
    rig = load(params.section(Source, "rig"), "character")
    methods = [f"method_{i}" for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy("params.yaml", folder)
        with inside(folder):
            frames = write_project(methods, rig, config)
            begin, cpu = time.perf_counter(), time.process_time()
            for method in methods:
                write_result(method, *evaluate(method, TRACK, how, "embedded"))
            scored = time.perf_counter()
            collect(methods, "embedded", how.bootstrap)
            end, cpu = time.perf_counter(), time.process_time() - cpu
    return {
        "seconds_20x10": end - begin,
        "cpu_s": cpu,
        "scoring_s": scored - begin,
        "paired_tests_s": end - scored,
        "clips": float(config.test),
        "methods": float(count),
        "frames": float(frames),
        "vertices": float(len(rig.neutral)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--methods", type=int, default=10, help="methods (default: %(default)s)")
    arguments = parser.parse_args()
    figures = measure(arguments.methods)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<20}{value:10.2f}")


if __name__ == "__main__":
    main()
