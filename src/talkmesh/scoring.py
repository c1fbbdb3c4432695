"""Every metric of one clip, from arrays: predicted meshes against exact ones, and against the filmed lips.

T frames, V vertices. What is measured is in `talkmesh.metrics`; here is on which vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkmesh import metrics
from talkmesh.errors import TalkmeshError
from talkmesh.intervals import Bootstrap
from talkmesh.judged import Film
from talkmesh.landmarks import LIPS, LOWER_OF_LIPS, UPPER_OF_LIPS, opening_of_lips
from talkmesh.misalignment import mtm_ms
from talkmesh.rig import Rig

NEED_TRUTH = (
    *("lve_mm", "lve_sq_mm2", "lve_centered_mm", "lve_rms_mm", "mve_mm", "fdd_mm", "fdd_sq_mm2"),
    *("closure_percent", "mtm_ms", "opening_truth_r", "opening_truth_sd_ratio", "opening_truth_lag_ms"),
)
NEED_FILM = ("lle_px", "lle_clip_px", "lle_percent", "opening_r", "opening_sd_ratio", "opening_lag_ms")

UNITS = {"metres": 1000.0, "centimetres": 10.0}
SIZES = (0.5, 2.0)  # of a face against the rig's, beyond which it is not in the rig's unit
AWAY = 0.15  # of the rig's size: a face farther from the rig's is not in its place
MIDDLES = (0, 17)  # MediaPipe's middle of the outer edge of the upper and of the lower lip


@dataclass(frozen=True)
class Scoring:
    """The section `evaluate`.

    max_lag_s : largest lag of the lip opening that is looked for; closure_mm : lips are closed where their gap is at
    most this much wider than at rest; bootstrap : of the intervals.
    """

    max_lag_s: float
    closure_mm: float
    bootstrap: Bootstrap


def project(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Project points (..., 3) in mm to crop pixels (..., 2) by the frontal camera (2, 3) of renders."""
    return points[..., :2] @ camera[:, :2].T + camera[:, 2]


def mesh_opening(vertices: np.ndarray, rig: Rig) -> np.ndarray:
    """Return the lip opening (T,) of meshes (T, V, 3), seen from the front."""
    return opening_of_lips(vertices[:, rig.landmarks, :2] * (1.0, -1.0))


def inner_gap_mm(vertices: np.ndarray, rig: Rig) -> np.ndarray:
    """Return the vertical gap (T,) of the inner lips of meshes (T, V, 3): mean of three pairs in the middle."""
    upper, lower = rig.landmarks[UPPER_OF_LIPS], rig.landmarks[LOWER_OF_LIPS]
    return (vertices[:, upper, 1] - vertices[:, lower, 1]).mean(1)


def lip_distance_mm(vertices: np.ndarray, rig: Rig) -> np.ndarray:
    """Return the distance (T,) between the middles of upper and lower lip of meshes (T, V, 3)."""
    upper, lower = rig.landmarks[[LIPS.index(i) for i in MIDDLES]]
    return np.linalg.norm(vertices[:, upper] - vertices[:, lower], axis=1)


def check_meshes(vertices: np.ndarray, rig: Rig, where: str) -> None:
    """Raise a `TalkmeshError` that names `where` unless `vertices` can be meshes (T, V, 3) of `rig` in millimetres.

    Found out: no frames, another topology, NaN, another unit, offsets in place of positions, another order of vertices,
    and other axes or a moved head.
    """
    v = len(rig.neutral)
    if vertices.ndim != 3 or vertices.shape[1:] != (v, 3):
        raise TalkmeshError(
            f"{where}: meshes of the rig {rig.name} must be (frames, {v}, 3); got {vertices.shape}: another topology?"
        )
    if len(vertices) == 0:
        raise TalkmeshError(f"{where}: there are no frames; make it again or leave it out")
    bad = ~np.isfinite(vertices).all((1, 2))
    if bad.any():
        raise TalkmeshError(
            f"{where}: NaN or infinite values in {bad.sum()} of {len(bad)} frames, first in frame {bad.argmax()}"
        )
    ratio, away = _size_and_distance(vertices[0], rig)
    if not SIZES[0] < ratio < SIZES[1]:
        unit = next((u for u, factor in UNITS.items() if _fits(vertices[0] * factor, rig)), None)
        why = f"it looks like {unit}, and must be millimetres" if unit else "is it offsets, or another unit?"
        raise TalkmeshError(f"{where}: the face is {ratio:.3g} times as large as the rig {rig.name}; {why}")
    if away > AWAY:
        raise TalkmeshError(
            f"{where}: half of the vertices are farther than {100 * away:.0f} % of the face from where the rig "
            f"{rig.name} has them; the order of vertices or the axes are others, or the head is moved"
        )


def _size_and_distance(mesh: np.ndarray, rig: Rig) -> tuple[float, float]:
    """Return the size of a mesh (V, 3), and the median distance of its vertices from the rig's, in sizes of the rig."""
    size = float(np.linalg.norm(np.ptp(rig.neutral, axis=0)))
    away = float(np.median(metrics.lengths(mesh - rig.neutral)))
    return float(np.linalg.norm(np.ptp(mesh, axis=0))) / size, away / size


def _fits(mesh: np.ndarray, rig: Rig) -> bool:
    ratio, away = _size_and_distance(mesh, rig)
    return SIZES[0] < ratio < SIZES[1] and away <= AWAY


def clip_scores(
    predicted: np.ndarray,
    rig: Rig,
    fps: float,
    how: Scoring,
    truth: np.ndarray | None = None,
    film: Film | None = None,
    where: str = "clip",
) -> dict[str, float]:
    """Return every metric of one clip.

    Parameters
    ----------
    predicted : (T, V, 3), mm
    truth : (T, V, 3), mm, or None: then the metrics of `NEED_TRUTH` are absent
    film : None for a clip without film: then those of `NEED_FILM` are absent
    where : names the clip in errors

    Raises
    ------
    TalkmeshError
        If these are not meshes of the rig in mm, lengths differ by more than a frame, or no frame has good lips.
    """
    check_meshes(predicted, rig, where)
    values = {} if truth is None else against_truth(predicted, truth, rig, fps, how, where)
    values["jitter_mm"] = metrics.jitter_mm(predicted[:, rig.lips])
    return values if film is None else values | against_film(predicted, film, rig, fps, how, where)


def against_truth(
    predicted: np.ndarray, truth: np.ndarray, rig: Rig, fps: float, how: Scoring, where: str
) -> dict[str, float]:
    """Return the metrics of `NEED_TRUTH`; see `clip_scores`."""
    where = f"{where}, against its ground truth"
    check_meshes(truth, rig, where)
    p, g = metrics.same_length(predicted, truth, where)
    lips, true_lips = p[:, rig.lips], g[:, rig.lips]
    values = {
        metric.__name__: metric(lips, true_lips)
        for metric in (metrics.lve_mm, metrics.lve_sq_mm2, metrics.lve_centered_mm, metrics.lve_rms_mm)
    }
    values["mve_mm"] = metrics.mve_mm(p, g)
    if len(rig.upper):
        upper = p[:, rig.upper], g[:, rig.upper], rig.neutral[rig.upper]
        values |= {"fdd_mm": metrics.fdd_mm(*upper), "fdd_sq_mm2": metrics.fdd_sq_mm2(*upper)}
    rest = float(inner_gap_mm(rig.neutral[None], rig)[0])
    gaps = inner_gap_mm(p, rig), inner_gap_mm(g, rig)
    values["closure_percent"] = metrics.closure_percent(*gaps, rest, how.closure_mm)
    values["mtm_ms"] = mtm_ms(lip_distance_mm(p, rig), lip_distance_mm(g, rig), fps)
    pair = mesh_opening(p, rig), mesh_opening(g, rig)
    values["opening_truth_r"] = metrics.opening_r(*pair)
    values["opening_truth_sd_ratio"] = metrics.opening_sd_ratio(*pair)
    values["opening_truth_lag_ms"] = metrics.opening_lag_ms(*pair, fps, how.max_lag_s)
    return values


def against_film(
    predicted: np.ndarray, film: Film, rig: Rig, fps: float, how: Scoring, where: str
) -> dict[str, float]:
    """Return the metrics of `NEED_FILM`; see `clip_scores`."""
    p, real = metrics.same_length(predicted, film.lips, f"{where}, against its crops")
    good = film.good[: len(p)]
    if not good.any():
        raise TalkmeshError(
            f"{where}: no frame with a good face; run `dvc repro crop`, which drops such clips"
        )
    points = project(p[:, rig.landmarks], film.camera)
    pair = mesh_opening(p, rig), opening_of_lips(real)
    return {
        "lle_px": metrics.lle_px(points[good], real[good]),
        "lle_clip_px": metrics.lle_clip_px(points[good], real[good]),
        "lle_percent": metrics.lle_percent(points[good], real[good], film.mouth_px),
        "opening_r": metrics.opening_r(*pair, good),
        "opening_sd_ratio": metrics.opening_sd_ratio(*pair, good),
        "opening_lag_ms": metrics.opening_lag_ms(*pair, fps, how.max_lag_s, good),
    }
