"""How far a predicted animation is from the true one: pure functions of arrays, the unit in every name.

T frames, V vertices, N lip landmarks. All functions give one number a clip; they raise `TalkmeshError` on
arrays of different shapes, on NaN and on clips without frames. What is undefined (a correlation with a
constant) is NaN.
"""

from __future__ import annotations

import numpy as np

from talkmesh.errors import TalkmeshError

# A lip opening (ratio of gap to mouth width, or gap in mm) that varies less than this does not move.
STILL = 1e-6


def same_length(predicted: np.ndarray, reference: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Cut two sequences to the shorter if they differ by one frame at most; `what` names them in the error.

    One frame is what rounding a duration to frames can cost; more means that they are of different clips.
    """
    if abs(len(predicted) - len(reference)) > 1:
        raise TalkmeshError(
            f"{what}: {len(predicted)} predicted frames against {len(reference)} of the reference; "
            "they are not of the same clip or frame rate, make the prediction again"
        )
    frames = min(len(predicted), len(reference))
    return predicted[:frames], reference[:frames]


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths (...) of vectors (..., D), several times faster than numpy's norm for short ones."""
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors))


def checked(predicted: np.ndarray, reference: np.ndarray, axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64; they must be of one shape with `axes` axes, finite and not empty."""
    predicted, reference = np.asarray(predicted, np.float64), np.asarray(reference, np.float64)
    if predicted.shape != reference.shape or predicted.ndim != axes or predicted.size == 0:
        raise TalkmeshError(
            f"a metric needs two arrays of one shape with {axes} axes and at least one frame; "
            f"got {predicted.shape} and {reference.shape}"
        )
    for array, name in ((predicted, "prediction"), (reference, "reference")):
        if not np.isfinite(array).all():
            raise TalkmeshError(
                f"the {name} holds NaN or infinite values; leave out such frames or make it again"
            )
    return predicted, reference


# ------------------------------------------------------------------------------------- vertices, millimetres


def _distances(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    predicted, truth = checked(predicted, truth, 3)
    return lengths(predicted - truth)  # (T, V)


def lve_mm(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Lip vertex error, the headline: mean over frames of the largest distance of a lip vertex.

    ``mean_t max_v ||p_tv - g_tv||``: FaceFormer's "maximal L2 error of all lip vertices", Imitator's too, and
    the reading of Yang et al. 2023 that fits its unit.

    Parameters
    ----------
    predicted, truth : (T, V, 3), mm, lip vertices only
    """
    return float(_distances(predicted, truth).max(1).mean())


def lve_sq_mm2(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Lip vertex error of CodeTalker, FaceDiffuser and torchmetrics: ``mean_t max_v d^2``, squared mm."""
    return float((_distances(predicted, truth) ** 2).max(1).mean())


def lve_centered_mm(predicted: np.ndarray, truth: np.ndarray) -> float:
    """`lve_mm` with every mesh first centred on its own lips, frame by frame (MeshTalk's author).

    The shape of the lips alone: a jaw that carries both lips too low costs nothing.
    """
    predicted, truth = checked(predicted, truth, 3)
    return lve_mm(predicted - predicted.mean(1, keepdims=True), truth - truth.mean(1, keepdims=True))


def lve_rms_mm(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Lip vertex error of ARTalk: the root of `lve_sq_mm2`."""
    return float(np.sqrt(lve_sq_mm2(predicted, truth)))


def mve_mm(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance over all frames and all vertices given (the whole face)."""
    return float(_distances(predicted, truth).mean())


def _upper_face_gap(predicted: np.ndarray, truth: np.ndarray, neutral: np.ndarray, power: int) -> float:
    """Mean over vertices of how much more the truth's ``||motion||^power`` varies over time than the prediction's."""
    predicted, truth = checked(predicted, truth, 3)
    spreads = [(lengths(v - neutral) ** power).std(0) for v in (truth, predicted)]
    return float((spreads[0] - spreads[1]).mean())


def fdd_mm(predicted: np.ndarray, truth: np.ndarray, neutral: np.ndarray) -> float:
    """Upper-face dynamics deviation as CodeTalker's paper prints it.

    ``mean_v (std_t ||g_tv - n_v|| - std_t ||p_tv - n_v||)``, signed: positive where the prediction moves less than
    the truth. It compares how much faces move, not when.

    Parameters
    ----------
    predicted, truth : (T, V, 3), mm, vertices of the upper face only
    neutral : (V, 3), mm, the face at rest
    """
    return _upper_face_gap(predicted, truth, neutral, 1)


def fdd_sq_mm2(predicted: np.ndarray, truth: np.ndarray, neutral: np.ndarray) -> float:
    """Upper-face dynamics deviation as CodeTalker's code computes it: `fdd_mm` with squared norms, in mm^2.

    What FaceDiffuser, DiffSpeaker and others report (times their own unit squared). No two repositories agree on
    square, sign and unit.
    """
    return _upper_face_gap(predicted, truth, neutral, 2)


def jitter_mm(vertices: np.ndarray) -> float:
    """Mean length of the second difference in time, mm a frame squared: of the prediction alone.

    Compare with the same number of the truth: smoother is not better. NaN below three frames.
    """
    vertices, _ = checked(vertices, vertices, 3)
    if len(vertices) < 3:
        return float("nan")
    return float(lengths(np.diff(vertices, n=2, axis=0)).mean())


# ------------------------------------------------------------------------------------ lip landmarks, pixels


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the similarity without reflection that takes `source` nearest to `target` (Umeyama 1991).

    Parameters
    ----------
    source, target : (..., N, D)

    Returns
    -------
    scale (...,), rotation (..., D, D), translation (..., D), so that
    ``target ~ scale * source @ rotation.T + translation`` in least squares
    """
    source_mean, target_mean = source.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    x, y = source - source_mean, target - target_mean
    u, values, vt = np.linalg.svd(np.swapaxes(y, -1, -2) @ x)
    signs = np.ones_like(values)
    signs[..., -1] = np.sign(
        np.linalg.det(u) * np.linalg.det(vt)
    )  # turns a reflection into the best rotation
    rotation = (u * signs[..., None, :]) @ vt
    size = (x**2).sum((-2, -1))
    scale = (values * signs).sum(-1) / np.where(size > 0, size, 1)
    translation = (
        target_mean[..., 0, :] - scale[..., None] * (rotation @ np.swapaxes(source_mean, -1, -2))[..., 0]
    )
    return scale, rotation, translation


def _aligned_error_px(predicted: np.ndarray, real: np.ndarray, over: np.ndarray, onto: np.ndarray) -> float:
    """Mean over frames of the RMSE over points, after the similarities that take `over` `onto`."""
    scale, rotation, translation = similarity(over, onto)
    moved = scale[..., None, None] * predicted @ np.swapaxes(rotation, -1, -2) + translation[..., None, :]
    return float(np.sqrt(((moved - real) ** 2).sum(2).mean(1)).mean())


def lle_px(predicted: np.ndarray, real: np.ndarray) -> float:
    """Lip landmark error of Yang et al. 2023: every frame aligned by its own similarity, RMSE over points.

    ``mean_t sqrt(mean_n ||s_t R_t x_tn + t_t - y_tn||^2)``. A frame's own scale hides errors of amplitude in
    part; `lle_clip_px` does not.

    Parameters
    ----------
    predicted, real : (T, N, 2), pixels of the crop, y down
    """
    predicted, real = checked(predicted, real, 3)
    return _aligned_error_px(predicted, real, predicted, real)


def lle_clip_px(predicted: np.ndarray, real: np.ndarray) -> float:
    """`lle_px` with one similarity for all frames of the clip: how far the lips move counts too."""
    predicted, real = checked(predicted, real, 3)
    return _aligned_error_px(predicted, real, predicted.reshape(-1, 2), real.reshape(-1, 2))


def lle_percent(predicted: np.ndarray, real: np.ndarray, mouth_px: float) -> float:
    """`lle_px` as a percentage of `mouth_px`, the mouth width of the speaker's neutral crop."""
    if not mouth_px > 0:
        raise TalkmeshError(f"the speaker's mouth width must be positive; got {mouth_px}")
    return 100 * lle_px(predicted, real) / mouth_px


# ---------------------------------------------------------------------------------------------- lip opening


def closure_percent(predicted: np.ndarray, truth: np.ndarray, rest_mm: float, tolerance_mm: float) -> float:
    """Share of the frames in which the true lips close that the predicted lips close too, in percent.

    Lips are closed where their gap is at most `tolerance_mm` wider than at rest. Rest before the first and after the
    last opened mouth does not count: what is left are the sounds that close the lips (/m b p/) and pauses. A face
    that never opens its mouth scores 100: read this beside the amplitude.

    Parameters
    ----------
    predicted, truth : (T,), mm, gap of the inner lips
    rest_mm : gap of the neutral face

    Returns
    -------
    percent; NaN if the true lips do not close between two openings
    """
    predicted, truth = checked(predicted, truth, 1)
    closed = truth <= rest_mm + tolerance_mm
    opened = np.flatnonzero(~closed)
    if len(opened) == 0 or closed[opened[0] : opened[-1]].sum() == 0:
        return float("nan")
    inside = slice(opened[0], opened[-1])
    return float(100 * (predicted[inside] <= rest_mm + tolerance_mm)[closed[inside]].mean())


def _correlation(predicted: np.ndarray, reference: np.ndarray) -> float:
    """Pearson's r; NaN if either series does not move."""
    if len(predicted) < 2 or min(np.ptp(predicted), np.ptp(reference)) < STILL:
        return float("nan")
    return float(np.corrcoef(predicted, reference)[0, 1])


def opening_r(predicted: np.ndarray, reference: np.ndarray, good: np.ndarray | None = None) -> float:
    """Pearson correlation of two lip openings (T,) over the `good` frames; NaN if either does not move."""
    good = np.ones(len(reference), bool) if good is None else good
    return _correlation(*checked(predicted[good], reference[good], 1))


def opening_sd_ratio(predicted: np.ndarray, reference: np.ndarray, good: np.ndarray | None = None) -> float:
    """Standard deviation of the predicted lip opening over that of the reference.

    1 is right, below 1 the lips move too little. NaN if the reference does not move.
    """
    good = np.ones(len(reference), bool) if good is None else good
    predicted, reference = checked(predicted[good], reference[good], 1)
    if np.ptp(reference) < STILL:
        return float("nan")
    return 0.0 if np.ptp(predicted) < STILL else float(predicted.std() / reference.std())


def opening_lag_ms(
    predicted: np.ndarray, reference: np.ndarray, fps: float, max_lag_s: float, good: np.ndarray | None = None
) -> float:
    """How late the prediction is: the shift with the highest correlation, refined by a parabola.

    Positive: the prediction comes after the reference. Every shift up to `max_lag_s` is tried on the frames
    that overlap and are good in the reference.

    Returns
    -------
    milliseconds; NaN if either series does not move, if no shift correlates positively, or if the best shift
    lies at the edge of the window. Shifts that leave less than half of the good frames are not tried.
    """
    good = np.ones(len(reference), bool) if good is None else good
    checked(predicted[good], reference[good], 1)
    frames, reach = len(reference), min(round(max_lag_s * fps), len(reference) // 2)
    r = np.full(2 * reach + 1, np.nan)
    for i, lag in enumerate(range(-reach, reach + 1)):
        times = np.arange(max(0, -lag), min(frames, frames - lag))
        times = times[good[times]]  # of the reference
        if 2 * len(times) >= good.sum():
            r[i] = _correlation(predicted[times + lag], reference[times])
    if not np.isfinite(r).any():
        return float("nan")
    peak = int(np.nanargmax(r))
    around = r[max(0, peak - 1) : peak + 2]
    if r[peak] <= 0 or len(around) < 3 or not np.isfinite(around).all():
        return float("nan")
    before, top, after = around
    bend = before - 2 * top + after
    return float((peak - reach + (0.5 * (before - after) / bend if bend < 0 else 0.0)) * 1000 / fps)
