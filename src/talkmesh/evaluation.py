"""Judge one method: its predictions for the test clips against the exact meshes, if any, and the filmed lips.

Every metric is computed per clip; the result is the mean over clips with its 95 % bootstrap interval: a long sentence
counts no more than a short one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from talkmesh.contracts import PREDICTIONS, RENDERS, RESULTS, Track, read_prediction
from talkmesh.files import read_json, read_npz, replacing, write_json, write_npz
from talkmesh.intervals import Bootstrap, intervals
from talkmesh.judged import (
    Clip,
    clip_film,
    clip_truth,
    judged_clips,
    read_camera,
    read_carried,
    speakers_of,
    without_truth,
)
from talkmesh.metrics import lengths
from talkmesh.references import REFERENCES
from talkmesh.rig import Rig, read_rig
from talkmesh.scoring import NEED_FILM, NEED_TRUTH, Scoring, clip_scores, mesh_opening

log = logging.getLogger(__name__)

LANDMARKS = "MediaPipe's 40 lip points"
KEYS = ("clip", "speaker", "frames")  # columns of a per-clip table that are no metrics


@dataclass
class Drawn:
    """What the report draws of a method, so that it need not open every prediction again.

    openings : clip to lip opening (T,); distances : (V,), sum over `frames` frames of a vertex' distance from the truth
    """

    openings: dict[str, np.ndarray] = field(default_factory=dict)
    distances: np.ndarray | None = None
    frames: int = 0

    def add(self, clip: str, predicted: np.ndarray, truth: np.ndarray | None, rig: Rig) -> None:
        """Take in one clip's meshes (T, V, 3)."""
        self.openings[clip] = mesh_opening(predicted, rig)
        if truth is not None:
            frames = min(len(predicted), len(truth))
            away = lengths(predicted[:frames] - truth[:frames]).sum(0, dtype=float)
            self.distances = away if self.distances is None else self.distances + away
            self.frames += frames

    def arrays(self) -> dict[str, np.ndarray]:
        """Return ``vertex_mm`` (V,), the mean distance of each vertex, and ``opening/<clip>`` (T,), float32."""
        found = {f"opening/{clip}": values for clip, values in self.openings.items()}
        if self.distances is not None:
            found["vertex_mm"] = self.distances / self.frames
        return {name: array.astype(np.float32) for name, array in found.items()}


def why_skipped(method: str) -> str | None:
    """Return why a method cannot be judged at all, or None.

    A stage that cannot run its method writes ``predictions/<method>/skipped.json`` with a "reason".
    """
    note = PREDICTIONS / method / "skipped.json"
    if note.exists():
        return str(read_json(note)["reason"])
    if not list((PREDICTIONS / method).glob("*.npz")):
        return f"{PREDICTIONS / method} holds no predictions"
    return None


def summary(per_clip: pd.DataFrame, how: Bootstrap) -> dict[str, dict[str, Any]]:
    """Return ``{metric: {"mean", "ci95", "n_clips"}}`` of a per-clip table."""
    names = [name for name in per_clip.columns if name not in KEYS]
    found = intervals(per_clip[names].to_numpy(float), how)
    return dict(zip(names, found, strict=True))


def evaluate(
    method: str, track: Track, how: Scoring, corpus: str
) -> tuple[dict[str, Any], pd.DataFrame, Drawn]:
    """Judge a method on all test clips.

    Returns
    -------
    result : ``{"corpus", "track", "measured_on", "methods": {method: {metric: {"mean", "ci95", "n_clips",
        "seeds"}}}, "absent": {metric: reason}}``; ``{"skipped": reason}`` for a method that cannot run
    per_clip : one row a clip, one column a metric
    drawn : what the report draws

    Raises
    ------
    TalkmeshError
        If some clips are predicted and others are not, or a clip's arrays do not fit each other.
    """
    rig, clips = read_rig(track.rig_file), judged_clips(track)
    result = _head(track, rig, clips, how, corpus)
    reason = why_skipped(method)
    if reason is not None:
        log.warning("%s is not judged: %s", method, reason)
        return {**result, "methods": {method: {"skipped": reason}}}, pd.DataFrame(), Drawn()
    carried, camera, speakers = read_carried(track), read_camera(RENDERS / track.name), speakers_of(clips)
    drawn, rows = Drawn(), []
    for clip in clips:
        predicted = read_prediction(PREDICTIONS / method / f"{clip.name}.npz", rig)
        truth, film = clip_truth(clip, rig, carried), clip_film(clip, camera, speakers)
        scores = clip_scores(predicted, rig, clip.fps, how, truth, film, f"{method}, clip {clip.name}")
        rows.append({"clip": clip.name, "speaker": clip.speaker, "frames": clip.frames} | scores)
        drawn.add(clip.name, predicted, truth, rig)
    per_clip = pd.DataFrame(rows)
    seeds = {"seeds": 0 if method in REFERENCES else 1}  # trainings behind the predictions
    values = summary(per_clip, how.bootstrap)
    result["methods"] = {method: {name: value | seeds for name, value in values.items()}}
    if drawn.distances is None:
        result["absent"] = dict.fromkeys(NEED_TRUTH, without_truth(clips[0], rig))
    if not speakers:
        result["absent"] |= dict.fromkeys(NEED_FILM, f"{track.clips} holds no film")
    return result, per_clip, drawn


def _head(track: Track, rig: Rig, clips: list[Clip], how: Scoring, corpus: str) -> dict[str, Any]:
    """What a result says beside the numbers."""
    crops = clips[0].crops
    return {
        "corpus": corpus,
        "track": track.name,
        "measured_on": {
            "clips_of": track.clips,
            "crop_px": None if crops is None else crops.images.shape[1],
            "landmarks": LANDMARKS,
            "rig": rig.name,
            "rig_hash": rig.hash,
            "lip_vertices": len(rig.lips),
            "upper_vertices": len(rig.upper),
            "closure_mm": how.closure_mm,
            "clips": len(clips),
        },
        "absent": {},
    }


def write_result(
    method: str, result: dict[str, Any], per_clip: pd.DataFrame, drawn: Drawn, folder: Path = RESULTS
) -> None:
    """Write ``<method>.json``, ``.csv`` and ``.npz``; a skipped method has a CSV with a header only."""
    write_json(folder / f"{method}.json", result)
    write_table(folder / f"{method}.csv", per_clip if len(per_clip) else pd.DataFrame(columns=list(KEYS)))
    write_npz(folder / f"{method}.npz", **drawn.arrays())


def write_table(path: Path, per_clip: pd.DataFrame) -> None:
    """Write a per-clip table as CSV."""
    with replacing(path) as temporary:
        per_clip.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def read_table(method: str, folder: Path = RESULTS) -> pd.DataFrame:
    """Read the per-clip table of a method, clips as the index; it is empty if there is none."""
    path = folder / f"{method}.csv"
    if not path.exists():
        return pd.DataFrame()
    texts = {"clip": str, "speaker": str}
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""]).set_index("clip")


def read_drawn(method: str, folder: Path = RESULTS) -> dict[str, np.ndarray]:
    """Read what is drawn of a method, see `Drawn.arrays`; nothing if there is no such file."""
    path = folder / f"{method}.npz"
    return read_npz(path) if path.exists() else {}
