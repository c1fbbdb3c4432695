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
    Crops,
    Speaker,
    Track,
    read_crops,
    read_ground_truth,
    read_prediction,
    read_speakers,
)
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, replacing, write_json
from talkmesh.landmarks import LIPS, opening_of_lips
from talkmesh.rig import Rig, read_rig
from talkmesh.rig.transfer import Transfer, read_transfer

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
NEED_FILM = ("lle_px", "lle_clip_px", "lle_percent", "opening_r", "opening_sd_ratio", "opening_lag_ms")


@dataclass(frozen=True)
class EvaluateParams:
    """max_lag_s : largest lag of the lip opening that is looked for."""

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


def read_carried(track: Track) -> Transfer | None:
    """Return how expressions of the character reach the track's rig; None for the character itself."""
    path = track.rig_file.with_suffix(".transfer.npz")
    return read_transfer(path) if path.exists() else None


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
    crops: Crops | None,
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
    crops : None for a clip without film: then the metrics of the filmed lips are absent
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
    values["jitter_mm"] = metrics.jitter_mm(predicted[:, rig.lips])
    if crops is None:
        return values
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
    """A test clip; frames is its length in the clip table, folder that of its sound and truth."""

    name: str
    speaker: str
    fps: float
    frames: int
    folder: Path

    @property
    def crops(self) -> Crops | None:
        """Its crops; None if there is no film of it."""
        return read_crops(self.name) if self.folder.parent == CLIPS else None


def judged_clips(track: Track) -> list[Clip]:
    """Return the clips that are judged: those of the test split, and of filmed ones those whose faces were found.

    Raises
    ------
    TalkmeshError
        If there is none.
    """
    table = track.tests()
    columns = (table[name] for name in ("clip", "speaker", "fps", "frames"))
    clips = [
        Clip(str(c), str(s), float(f), int(n), Path(track.clips) / str(c))
        for c, s, f, n in zip(*columns, strict=True)
    ]
    if not clips:
        raise TalkmeshError(
            f"{track.clips}/clips.csv has no test clip with crops in {CROPS}: set segment.test above 0"
        )
    return clips


def clip_truth(clip: Clip, rig: Rig, carried: Transfer | None = None) -> np.ndarray | None:
    """Return the exact vertices (T, V, 3) in mm of a clip, or None if there are none for this rig.

    `carried` brings truth that is given as weights to another topology's rig, as it brought the poses of its renders.
    """
    path = clip.folder / "ground_truth.npz"
    if not path.exists():
        return None
    truth = read_ground_truth(path)
    return (truth if carried is None else carried.truth(truth)).on(rig)


def predicted_vertices(method: str, clip: Clip, rig: Rig, truth: np.ndarray | None) -> np.ndarray:
    """Return what `method` predicts for a clip, (T, V, 3) mm; the method `truth` is the truth itself."""
    if method == TRUTH:
        if truth is None:
            raise TalkmeshError(f"clip {clip.name} has no ground truth for the rig {rig.name}")
        return truth
    return read_prediction(PREDICTIONS / method / f"{clip.name}.npz", rig)


def why_skipped(method: str, clips: list[Clip], rig: Rig, truths: dict[str, np.ndarray | None]) -> str | None:
    """Return why a method cannot be judged at all, or None.

    A stage that cannot run its method writes ``predictions/<method>/skipped.json`` with a "reason".
    """
    if method == TRUTH:
        return None if truths[clips[0].name] is not None else _no_truth(clips, rig)
    note = PREDICTIONS / method / "skipped.json"
    if note.exists():
        return str(read_json(note)["reason"])
    if not list((PREDICTIONS / method).glob("*.npz")):
        return f"{PREDICTIONS / method} holds no predictions"
    return None


def _no_truth(clips: list[Clip], rig: Rig) -> str:
    if (clips[0].folder / "ground_truth.npz").exists():
        return f"the corpus' ground truth does not apply to the rig {rig.name}"
    return "the corpus has no ground truth"


def evaluate(
    method: str, track: Track, params: EvaluateParams, corpus: str
) -> tuple[dict[str, Any], pd.DataFrame]:
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
    rig, carried = read_rig(track.rig_file), read_carried(track)
    camera = read_camera(RENDERS / track.name)
    clips = judged_clips(track)
    first = clips[0].crops
    speakers = read_speakers() if first is not None else {}
    result: dict[str, Any] = {
        "corpus": corpus,
        "track": track.name,
        "measured_on": {
            "clips_of": track.clips,
            "crop_px": None if first is None else first.images.shape[1],
            "landmarks": LANDMARKS,
            "rig": rig.name,
            "rig_hash": rig.hash,
            "lip_vertices": len(rig.lips),
            "clips": len(clips),
        },
        "absent": {},
    }
    truths = {clip.name: clip_truth(clip, rig, carried) for clip in clips}
    reason = why_skipped(method, clips, rig, truths)
    if reason is not None:
        log.warning("%s is not judged: %s", method, reason)
        return {**result, "methods": {method: {"skipped": reason}}}, pd.DataFrame()
    rows = [
        {"clip": clip.name, "speaker": clip.speaker, "frames": clip.frames}
        | clip_metrics(
            predicted_vertices(method, clip, rig, truths[clip.name]),
            rig,
            camera,
            clip.crops,
            _speaker(speakers, clip.speaker).mouth_px if speakers else 1.0,
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
    if first is None:
        result["absent"] |= {name: f"{track.clips} holds no film" for name in NEED_FILM}
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
