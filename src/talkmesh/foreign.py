"""Score mesh sequences from anybody's repository with the metrics of the pipeline: `talkmesh evaluate`.

One file a clip, .npy or .npz, vertices (T, V, 3) or (T, 3V). The truth is a folder of such files, or the test clips of
the project that one stands in, with their filmed lips.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from talkmesh import params
from talkmesh.contracts import RENDERS, RIGS, Track, read_ground_truth
from talkmesh.defaults import parameters
from talkmesh.errors import TalkmeshError
from talkmesh.evaluation import summary
from talkmesh.files import read_npy, read_npz
from talkmesh.judged import Film, clip_film, clip_truth, judged_clips, read_camera, read_carried, speakers_of
from talkmesh.rig import Rig, read_rig
from talkmesh.scoring import NEED_FILM, NEED_TRUTH, Scoring, clip_scores
from talkmesh.timing import rate_of

log = logging.getLogger(__name__)

MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}  # millimetres in a unit
SUFFIXES = (".npy", ".npz")
NAMES = ("vertices", "verts", "pred", "prediction")  # of the array in an npz that holds several
CONDITION = "_condition_"  # FaceFormer and its descendants write <sentence>_condition_<style>.npy


@dataclass(frozen=True)
class Request:
    """What is to be scored.

    predictions : folder of one file a clip; rig : npz or its name in models/rigs; truth : folder, or None for the
    project's test clips; unit : of all meshes, a key of `MM`; fps, truth_fps : frames a second where files do not say
    """

    predictions: Path
    rig: str
    truth: Path | None = None
    unit: str = "mm"
    fps: float | None = None
    truth_fps: float | None = None


@dataclass(frozen=True)
class Pair:
    """One clip: predicted and true meshes (T, V, 3) in mm, and the filmed lips."""

    name: str
    predicted: np.ndarray
    fps: float
    truth: np.ndarray | None
    film: Film | None = None


def listed(folder: Path) -> dict[str, Path]:
    """Return the mesh files of a folder by name without suffix; none, or two of one name, are an error."""
    files = [p for p in sorted(folder.glob("*")) if p.suffix in SUFFIXES] if folder.is_dir() else []
    if not files:
        raise TalkmeshError(f"{folder}: no such folder, or no .npy or .npz file in it")
    found: dict[str, Path] = {}
    for path in files:
        if path.stem in found:
            raise TalkmeshError(f"{path} and {found[path.stem].name} are of one name: remove one of them")
        found[path.stem] = path
    return found


def read_meshes(path: Path, rig: Rig, mm: float) -> tuple[np.ndarray, float | None]:
    """Return the meshes (T, V, 3) of a file times `mm`, and its frames a second if it says so.

    An npz holds an array of one of `NAMES`, or a single array with meshes; or pose weights of the rig with their names,
    or without names as this pipeline predicts them.
    """
    if path.suffix == ".npy":
        return _meshes(read_npy(path), rig, path) * mm, None
    data = read_npz(path)
    fps = rate_of(data["fps"], path) if "fps" in data else None
    if "weights" in data and "vertices" not in data:
        return _posed(data, path, rig), fps
    named = [data[name] for name in NAMES if name in data]
    able = named or [
        a for a in data.values() if a.ndim >= 2 and a.shape[0] and a[0].size == 3 * len(rig.neutral)
    ]
    if len(able) != 1 and not named:
        raise TalkmeshError(
            f"{path}: cannot tell which of {', '.join(data)} holds meshes of {len(rig.neutral)} vertices; "
            "call it 'vertices'"
        )
    return _meshes(able[0], rig, path) * mm, fps


def _posed(data: dict[str, np.ndarray], path: Path, rig: Rig) -> np.ndarray:
    if "names" in data:
        meshes = read_ground_truth(path).on(rig)
        if meshes is None:
            raise TalkmeshError(f"{path}: the rig {rig.name} lacks some of its blendshapes")
        return meshes
    if data["weights"].shape[1:] != (len(rig.names),) or data["weights"].dtype.kind not in "iuf":
        raise TalkmeshError(
            f"{path}: weights must be (frames, {len(rig.names)}); got {data['weights'].shape}"
        )
    return rig.vertices(data["weights"])


def _meshes(array: np.ndarray, rig: Rig, path: Path) -> np.ndarray:
    """Return (T, 3V) as (T, V, 3); other shapes as they are, to be refused with a reason."""
    if array.dtype.kind not in "fiu" or not array.ndim:
        raise TalkmeshError(
            f"{path}: meshes must be numbers, frame by frame; got {array.dtype} {array.shape}"
        )
    flat = array.ndim == 2 and array.shape[1] == 3 * len(rig.neutral)
    return (array.reshape(len(array), len(rig.neutral), 3) if flat else array).astype(np.float32)


def _rate(found: float | None, given: float | None, path: Path) -> float:
    rate = given if found is None else found
    if rate is None:
        raise TalkmeshError(f"{path} does not say its frames a second: give --fps")
    return rate_of(rate, path)


def against_folder(request: Request, rig: Rig) -> Iterator[Pair]:
    """Yield the clips of two folders; a truth of twice the rate (or thrice, ...) gives every second of its frames."""
    assert request.truth is not None
    predictions, truths, mm = listed(request.predictions), listed(request.truth), MM[request.unit]
    for name, path in predictions.items():
        source = truths.get(name) or truths.get(name.split(CONDITION)[0])
        if source is None:
            raise TalkmeshError(f"{request.truth} has no truth for {path.name}: name it {name}.npy or .npz")
        predicted, found = read_meshes(path, rig, mm)
        fps = _rate(found, request.fps, path)
        truth, found = read_meshes(source, rig, mm)
        step = _rate(found, request.truth_fps or fps, source) / fps
        if abs(step - round(step)) > 1e-6 or step < 1:
            raise TalkmeshError(
                f"{source}: its {step * fps:g} frames a second are no multiple of the prediction's {fps:g}"
            )
        yield Pair(name, predicted, fps, truth[:: round(step)])


def against_project(request: Request, rig: Rig) -> Iterator[Pair]:
    """Yield the project's test clips; their film too if `rig` is the track's, for which the camera is made."""
    track = params.section(Track, "track")
    clips, files = judged_clips(track), listed(request.predictions)
    own = read_rig(track.rig_file).hash == rig.hash if track.rig_file.exists() else False
    if not own:
        log.warning("%s is not the rig of the track: only meshes are compared, not the film", rig.name)
    camera = read_camera(RENDERS / track.name) if own else np.zeros((2, 3))
    carried, speakers = read_carried(track) if own else None, speakers_of(clips)
    for clip in clips:
        if clip.name not in files:
            raise TalkmeshError(f"{request.predictions} has no file for the test clip {clip.name}")
        predicted, found = read_meshes(files[clip.name], rig, MM[request.unit])
        fps = found or request.fps or clip.fps
        if abs(fps - clip.fps) > 1e-3:
            raise TalkmeshError(f"{files[clip.name]}: {fps:g} frames a second; the clip has {clip.fps:g}")
        film = clip_film(clip, camera, speakers) if own else None
        yield Pair(clip.name, predicted, fps, clip_truth(clip, rig, carried), film)


def score(request: Request) -> tuple[dict[str, Any], pd.DataFrame]:
    """Score every clip.

    Returns
    -------
    result : ``{"predictions", "truth", "rig", "rig_hash", "metrics": {metric: {"mean", "ci95", "n_clips"}}, "absent":
        [metric]}``
    per_clip : one row a clip, one column a metric

    Raises
    ------
    TalkmeshError
        If a file is missing, cannot be read or does not fit the rig; the error names it.
    """
    path = Path(request.rig)
    rig = read_rig(path if path.suffix == ".npz" else RIGS / f"{request.rig}.npz")
    if request.truth is None and not params.PARAMS.exists():
        raise TalkmeshError("there is no params.yaml here: give --truth, or run this in the project's folder")
    how = params.section(Scoring, "evaluate", path=parameters())
    pairs = against_project(request, rig) if request.truth is None else against_folder(request, rig)
    rows = [
        {"clip": pair.name, "frames": len(pair.predicted)}
        | clip_scores(pair.predicted, rig, pair.fps, how, pair.truth, pair.film, f"clip {pair.name}")
        for pair in pairs
    ]
    per_clip = pd.DataFrame(rows)
    metrics = summary(per_clip, how.bootstrap)
    result = {
        "predictions": str(request.predictions),
        "truth": "the project's test clips" if request.truth is None else str(request.truth),
        "rig": rig.name,
        "rig_hash": rig.hash,
        "metrics": metrics,
        "absent": [name for name in NEED_TRUTH + NEED_FILM if name not in metrics],
    }
    return result, per_clip


def as_text(result: dict[str, Any]) -> str:
    """Return a result as a table for the terminal: metric, mean, 95 % interval, clips."""
    lines = [f"{result['predictions']} against {result['truth']}, rig {result['rig']}", ""]
    for name, value in result["metrics"].items():
        low, high = value["ci95"]
        interval = f"[{low:.4g}, {high:.4g}]" if np.isfinite(low) else ""
        mean = f"{value['mean']:.4g}" if value["n_clips"] else "-"
        lines.append(f"{name:<24}{mean:>10}  {interval:<22}{value['n_clips']:>4} clips")
    if result["absent"]:
        lines += ["", f"not measured, for want of truth or film: {', '.join(result['absent'])}"]
    return "\n".join(lines)
