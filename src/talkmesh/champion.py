"""Whether a model is better than the champion: by one metric, by a margin, on the same test set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from talkmesh.contracts import Track
from talkmesh.definitions import METRICS
from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash
from talkmesh.judged import judged_clips


@dataclass(frozen=True)
class ChampionParams:
    """metric : name of a score in reports/metrics.json; margin : by how much, in its unit, a model must be better than
    the champion to take its place."""

    metric: str
    margin: float

    def __post_init__(self) -> None:
        scores = [name for name, metric in METRICS.items() if metric.better]
        if self.metric not in scores:
            raise TalkmeshError(
                f"params.yaml: champion.metric is '{self.metric}', which is no score; scores are {', '.join(scores)}"
            )


@dataclass(frozen=True)
class Contender:
    """A judged model. bundle : hash of its bundle; test_set : see `set_hash`; scores : means by metric."""

    bundle: str
    test_set: str
    scores: Mapping[str, float]


def set_hash(track: Track, measured_on: Mapping[str, Any]) -> str:
    """Return the hash of all that scores are measured on: sounds, truth, filmed lips, and how they are judged."""
    parts: list[Any] = [dict(measured_on)]
    for clip in judged_clips(track):
        files = [track.sounds / clip.name / "audio.flac", clip.folder / "ground_truth.npz"]
        parts += [clip.name, *(file for file in files if file.exists())]
        if clip.crops is not None:
            parts += [clip.crops.landmarks, clip.crops.good]
    return content_hash(*parts)


def cost(metric: str, value: float) -> float:
    """Return a number that is the lower the better `value` is."""
    better = METRICS[metric].better
    return {"low": value, "high": -value, "one": abs(value - 1), "zero": abs(value)}[str(better)]


def verdict(new: Contender, present: Contender | None, how: ChampionParams) -> tuple[bool, str]:
    """Return whether `new`, which must have the score that counts, takes the champion's place, and why."""
    metric, value = how.metric, new.scores[how.metric]
    if present is None:
        return True, f"the first champion, {metric} {value:.4g}"
    if present.bundle == new.bundle:
        return False, "it is the champion already"
    if present.test_set != new.test_set:
        return False, (
            f"the champion was judged on another test set ({present.test_set}, this is {new.test_set}): remove its "
            "alias in MLflow to begin anew"
        )
    if metric not in present.scores:
        return False, f"the champion has no {metric}: remove its alias in MLflow to begin anew"
    ahead = cost(metric, present.scores[metric]) - cost(metric, value)
    compared = f"{metric} {value:.4g} against {present.scores[metric]:.4g}"
    if ahead < how.margin:
        return False, f"the champion stays: {compared}, not better by {how.margin:g}"
    return True, f"the new champion: {compared}"
