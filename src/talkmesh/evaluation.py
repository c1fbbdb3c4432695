"""Judge one method: its predictions for the test clips against the exact meshes, if any, and the filmed lips.

Every metric is computed per clip; the result is the mean over clips with its 95 % confidence interval:
a long sentence counts no more than a short one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from talkmesh import metrics
from talkmesh.contracts import (
    CLIPS,
    CROPS,
    PREDICTIONS,
    RENDERS,
    RESULTS,
    RIGS,
    Crops,
    Speaker,
    read_crops,
    read_ground_truth,
    read_kept,
    read_prediction,
    read_speakers,
)
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, replacing, write_json
from talkmesh.landmarks import LIPS, opening_of_lips
from talkmesh.rig import Rig, read_rig

log = logging.getLogger(__name__)

STILL, TRUTH = (
    "still",
    "truth",
)  # methods that need no training: the neutral face, and the exact meshes themselves
LANDMARKS = "MediaPipe's 40 lip points"
NEED_TRUTH = (
    *("lve_mm", "lve_sq_mm2", "lve_centered_mm", "lve_rms_mm", "mve_mm"),
    *("opening_truth_r", "opening_truth_sd_ratio", "opening_truth_lag_ms"),
)


@dataclass(frozen=True)
class EvaluateParams:
    """track : its renders' camera is used; rig : file in models/rigs; max_lag_s : largest lag looked for."""

    track: str
    rig: str
    max_lag_s: float


# ------------------------------------------------------------------------------------------------- one clip


def project(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Project points (..., 3) in mm to crop pixels (..., 2) by the frontal camera (2, 3) of renders."""
    return points[..., :2] @ camera[:, :2].T + camera[:, 2]


def read_camera(folder: Path) -> np.ndarray:
    """Return the camera (2, 3) of the renders in `folder`, mm to crop pixels."""
    if not (folder / "camera.npy").exists():
        raise TalkmeshError(f"{folder}/camera.npy not found: run `dvc repro render`")
    camera: np.ndarray = np.load(folder / "camera.npy")
    return camera


def mesh_opening(vertices: np.ndarray, rig: Rig, camera: np.ndarray) -> np.ndarray:
    """Return the lip opening (T,) of meshes (T, V, 3)."""
    return opening_of_lips(project(vertices[:, rig.landmarks], camera))


def good_frames(crops: Crops) -> np.ndarray:
    """Return the mask (T,) of the frames whose lips are known."""
    return crops.good & np.isfinite(crops.landmarks[:, list(LIPS)]).all((1, 2))


def clip_metrics(
    predicted: np.ndarray,
    rig: Rig,
    camera: np.ndarray,
    crops: Crops,
    mouth_px: float,
    fps: float,
    max_lag_s: float,
    truth: np.ndarray | None = None,
    where: str = "clip",
) -> dict[str, float]:
    """Return every metric of one clip.

    Parameters
    ----------
    predicted : (T, V, 3), mm
    camera : (2, 3), mm to crop pixels
    mouth_px : mouth width of the speaker's neutral crop
    truth : (T, V, 3), mm, or None: then the metrics that need it are absent
    where : names the clip in errors

    Raises
    ------
    TalkmeshError
        If lengths differ by more than a frame, no frame has good lips, or a prediction holds NaN.
    """
    values: dict[str, float] = {}
    if truth is not None:
        p, g = metrics.same_length(predicted, truth, f"{where}, against its ground truth")
        lips, true_lips = p[:, rig.lips], g[:, rig.lips]
        for metric in (metrics.lve_mm, metrics.lve_sq_mm2, metrics.lve_centered_mm, metrics.lve_rms_mm):
            values[metric.__name__] = metric(lips, true_lips)
        values["mve_mm"] = metrics.mve_mm(p, g)
        pair = mesh_opening(p, rig, camera), mesh_opening(g, rig, camera)
        values["opening_truth_r"] = metrics.opening_r(*pair)
        values["opening_truth_sd_ratio"] = metrics.opening_sd_ratio(*pair)
        values["opening_truth_lag_ms"] = metrics.opening_lag_ms(*pair, fps, max_lag_s)
    p, real = metrics.same_length(predicted, crops.landmarks[:, list(LIPS)], f"{where}, against its crops")
    good = good_frames(crops)[: len(p)]
    if not good.any():
        raise TalkmeshError(
            f"{where}: no frame with a good face; run `dvc repro crop`, which drops such clips"
        )
    points = project(p[:, rig.landmarks], camera)
    values["lle_px"] = metrics.lle_px(points[good], real[good])
    values["lle_clip_px"] = metrics.lle_clip_px(points[good], real[good])
    values["lle_percent"] = metrics.lle_percent(points[good], real[good], mouth_px)
    pair = mesh_opening(p, rig, camera), opening_of_lips(real)
    values["opening_r"] = metrics.opening_r(*pair, good)
    values["opening_sd_ratio"] = metrics.opening_sd_ratio(*pair, good)
    values["opening_lag_ms"] = metrics.opening_lag_ms(*pair, fps, max_lag_s, good)
    values["jitter_mm"] = metrics.jitter_mm(predicted[:, rig.lips])
    return values


def interval(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Return mean, 95 % confidence interval (Student's t over clips) and number of the defined values.

    One value has a mean and no interval; none has neither (NaN, which JSON shows as null).
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    n = len(known)
    mean = float(known.mean()) if n else float("nan")
    half = float(stats.t.ppf(0.975, n - 1) * known.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return {"mean": mean, "ci95": [mean - half, mean + half], "n_clips": n}


# ---------------------------------------------------------------------------------------------- all clips


@dataclass(frozen=True)
class Clip:
    """A test clip; frames is its length in the clip table."""

    name: str
    speaker: str
    fps: float
    frames: int


def judged_clips() -> list[Clip]:
    """Return the clips that are judged: those of the test split whose faces were found.

    Raises
    ------
    TalkmeshError
        If there is none.
    """
    table = read_kept("test")
    columns = (table[name] for name in ("clip", "speaker", "fps", "frames"))
    clips = [Clip(str(c), str(s), float(f), int(n)) for c, s, f, n in zip(*columns, strict=True)]
    if not clips:
        raise TalkmeshError(
            f"{CLIPS}/clips.csv has no test clip with crops in {CROPS}: set segment.test above 0"
        )
    return clips


def clip_truth(clip: str, rig: Rig) -> np.ndarray | None:
    """Return the exact vertices (T, V, 3) in mm of a clip, or None if there are none for this rig."""
    path = CLIPS / clip / "ground_truth.npz"
    return read_ground_truth(path).on(rig) if path.exists() else None


def predicted_vertices(method: str, clip: str, rig: Rig) -> np.ndarray:
    """Return what `method` predicts for a clip, (T, V, 3) mm; the method `truth` is the truth itself."""
    if method == TRUTH:
        truth = clip_truth(clip, rig)
        if truth is None:
            raise TalkmeshError(f"clip {clip} has no ground truth for the rig {rig.name}")
        return truth
    return read_prediction(PREDICTIONS / method / f"{clip}.npz", rig)


def why_skipped(method: str, clips: list[Clip], rig: Rig) -> str | None:
    """Return why a method cannot be judged at all, or None.

    A stage that cannot run its method writes ``predictions/<method>/skipped.json`` with a "reason".
    """
    if method == TRUTH:
        return None if clip_truth(clips[0].name, rig) is not None else _no_truth(clips, rig)
    note = PREDICTIONS / method / "skipped.json"
    if note.exists():
        return str(read_json(note)["reason"])
    if not list((PREDICTIONS / method).glob("*.npz")):
        return f"{PREDICTIONS / method} holds no predictions"
    return None


def _no_truth(clips: list[Clip], rig: Rig) -> str:
    if (CLIPS / clips[0].name / "ground_truth.npz").exists():
        return f"the corpus' ground truth does not apply to the rig {rig.name}"
    return "the corpus has no ground truth"


def evaluate(method: str, params: EvaluateParams, corpus: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """Judge a method on all test clips.

    Returns
    -------
    result : ``{"corpus", "track", "measured_on", "methods": {method: {metric: {"mean", "ci95", "n_clips",
        "seeds"}}}, "absent": {metric: reason}}``; ``{"skipped": reason}`` for a method that cannot run
    per_clip : one row a clip, one column a metric

    Raises
    ------
    TalkmeshError
        If some clips are predicted and others are not, or a clip's arrays do not fit each other.
    """
    rig = read_rig(RIGS / f"{params.rig}.npz")
    camera = read_camera(RENDERS / params.track)
    clips, speakers = judged_clips(), read_speakers()
    size = read_crops(clips[0].name).images.shape[1]
    result: dict[str, Any] = {
        "corpus": corpus,
        "track": params.track,
        "measured_on": {
            "crop_px": size,
            "landmarks": LANDMARKS,
            "rig": rig.name,
            "rig_hash": rig.hash,
            "lip_vertices": len(rig.lips),
            "clips": len(clips),
        },
        "absent": {},
    }
    reason = why_skipped(method, clips, rig)
    if reason is not None:
        log.warning("%s is not judged: %s", method, reason)
        return {**result, "methods": {method: {"skipped": reason}}}, pd.DataFrame()
    truths = {clip.name: clip_truth(clip.name, rig) for clip in clips}
    rows = [
        {"clip": clip.name, "speaker": clip.speaker, "frames": clip.frames}
        | clip_metrics(
            predicted_vertices(method, clip.name, rig),
            rig,
            camera,
            read_crops(clip.name),
            _speaker(speakers, clip.speaker).mouth_px,
            clip.fps,
            params.max_lag_s,
            truths[clip.name],
            f"{method}, clip {clip.name}",
        )
        for clip in clips
    ]
    per_clip = pd.DataFrame(rows)
    names = [name for name in per_clip.columns if name not in ("clip", "speaker", "frames")]
    seeds = 0 if method in (STILL, TRUTH) else 1  # trainings behind the predictions
    result["methods"] = {
        method: {name: interval(per_clip[name].to_numpy(float)) | {"seeds": seeds} for name in names}
    }
    if any(truth is None for truth in truths.values()):
        result["absent"] = {name: _no_truth(clips, rig) for name in NEED_TRUTH if name not in names}
    return result, per_clip


def _speaker(speakers: dict[str, Speaker], name: str) -> Speaker:
    if name not in speakers:
        raise TalkmeshError(f"{CROPS}/speakers.json lacks the speaker {name}: run `dvc repro crop`")
    return speakers[name]


def write_result(method: str, result: dict[str, Any], per_clip: pd.DataFrame, folder: Path = RESULTS) -> None:
    """Write ``<method>.json`` and ``<method>.csv``; a skipped method has a CSV with a header only."""
    write_json(folder / f"{method}.json", result)
    with replacing(folder / f"{method}.csv") as temporary:
        table = per_clip if len(per_clip) else pd.DataFrame(columns=["clip", "speaker", "frames"])
        table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
