"""Metrics against slow loops, closed forms and invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkmesh import metrics
from talkmesh.errors import TalkmeshError

FPS = 25.0
seeds = st.integers(0, 2**32 - 1)


def meshes(seed: int, frames: int = 7, vertices: int = 11) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 10, (frames, vertices, 3))
    return truth + rng.normal(0, 1, truth.shape), truth


def points(seed: int, frames: int = 6, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    real = rng.normal(0, 12, (1, count, 2)) + rng.normal(0, 2, (frames, count, 2)) + 32
    return real + rng.normal(0, 1, real.shape), real


def rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def speech(frames: int = 200, delay: float = 0.0) -> np.ndarray:
    """A smooth band-limited opening that can be shifted by any fraction of a frame."""
    t = (np.arange(frames) - delay) / FPS
    return 0.2 + sum(
        0.03 * np.sin(2 * np.pi * f * t + p) for f, p in ((0.7, 0.1), (1.9, 2.0), (3.1, 0.7), (4.3, 4))
    )


# ------------------------------------------------------------------------------------------------ vertices


def test_vertex_errors_against_loops() -> None:
    predicted, truth = meshes(0)
    largest, squares, centred, every = [], [], [], []
    for p, g in zip(predicted, truth, strict=True):
        distances = [
            sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) ** 0.5 for x, y in zip(p, g, strict=True)
        ]
        largest.append(max(distances))
        squares.append(max(d * d for d in distances))
        every += distances
        p0, g0 = p - sum(p) / len(p), g - sum(g) / len(g)
        centred.append(max(np.linalg.norm(x - y) for x, y in zip(p0, g0, strict=True)))
    assert metrics.lve_mm(predicted, truth) == pytest.approx(sum(largest) / 7)
    assert metrics.lve_sq_mm2(predicted, truth) == pytest.approx(sum(squares) / 7)
    assert metrics.lve_rms_mm(predicted, truth) == pytest.approx((sum(squares) / 7) ** 0.5)
    assert metrics.lve_centered_mm(predicted, truth) == pytest.approx(sum(centred) / 7)
    assert metrics.mve_mm(predicted, truth) == pytest.approx(sum(every) / 77)


def test_one_moved_vertex_has_the_error_it_was_moved_by() -> None:
    _, truth = meshes(1, frames=4, vertices=10)
    predicted = truth.copy()
    predicted[2, 5] += (0.0, 3.0, 4.0)  # 5 mm in one frame of four
    assert metrics.lve_mm(predicted, truth) == pytest.approx(5 / 4)
    assert metrics.lve_sq_mm2(predicted, truth) == pytest.approx(25 / 4)
    assert metrics.lve_rms_mm(predicted, truth) == pytest.approx(2.5)
    assert metrics.mve_mm(predicted, truth) == pytest.approx(5 / 40)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_order_of_the_vertex_errors(seed: int) -> None:
    predicted, truth = meshes(seed)
    mean, largest, root = (f(predicted, truth) for f in (metrics.mve_mm, metrics.lve_mm, metrics.lve_rms_mm))
    assert 0 < mean <= largest <= root + 1e-12
    assert metrics.lve_mm(truth, truth) == 0
    moved = predicted + np.random.default_rng(seed).normal(0, 5, (len(predicted), 1, 3))
    assert metrics.lve_centered_mm(moved, truth) == pytest.approx(metrics.lve_centered_mm(predicted, truth))


def test_lve_sq_agrees_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.multimodal")
    predicted, truth = meshes(2, vertices=30)
    lips = [3, 7, 8, 21]
    theirs = functional.lip_vertex_error(torch.tensor(predicted), torch.tensor(truth), lips)
    assert metrics.lve_sq_mm2(predicted[:, lips], truth[:, lips]) == pytest.approx(float(theirs))


def test_jitter() -> None:
    t = np.arange(9.0)[:, None, None]
    steady = np.broadcast_to(t * [1.0, 2.0, 3.0], (9, 4, 3))
    assert metrics.jitter_mm(steady) == pytest.approx(0)
    assert metrics.jitter_mm(steady + t**2 * [0.0, 1.5, 2.0]) == pytest.approx(5.0)  # acceleration 2 * 2.5
    assert np.isnan(metrics.jitter_mm(steady[:2]))


def test_upper_face_dynamics_against_loops() -> None:
    predicted, truth = meshes(3, frames=9, vertices=5)
    neutral = np.random.default_rng(9).normal(0, 10, (5, 3))

    def spread(sequence: np.ndarray, vertex: int, power: int) -> float:
        sizes = [sum((a - b) ** 2 for a, b in zip(f[vertex], neutral[vertex], strict=True)) for f in sequence]
        sizes = [size ** (power / 2) for size in sizes]
        mean = sum(sizes) / len(sizes)
        return (sum((s - mean) ** 2 for s in sizes) / len(sizes)) ** 0.5

    for metric, power in ((metrics.fdd_mm, 1), (metrics.fdd_sq_mm2, 2)):
        expected = sum(spread(truth, v, power) - spread(predicted, v, power) for v in range(5)) / 5
        assert metric(predicted, truth, neutral) == pytest.approx(expected)
        assert metric(truth, predicted, neutral) == pytest.approx(-expected)


def test_upper_face_dynamics_of_half_the_motion() -> None:
    """One vertex that moves along a line by 4 mm and back, predicted with half of it: closed forms."""
    neutral = np.zeros((1, 3))
    truth = np.array([0.0, 4.0] * 5)[:, None, None] * [0.0, 1.0, 0.0]
    assert metrics.fdd_mm(truth / 2, truth, neutral) == pytest.approx(1.0)  # deviations 2 and 1
    assert metrics.fdd_sq_mm2(truth / 2, truth, neutral) == pytest.approx(6.0)  # 8 and 2
    assert metrics.fdd_mm(2 * truth, truth, neutral) == pytest.approx(-2.0)  # too lively is negative
    assert metrics.fdd_mm(truth[::-1], truth, neutral) == 0  # when it moves does not matter


# ------------------------------------------------------------------------------------------------ landmarks


@given(seeds, st.floats(0.2, 5), st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_similarity_is_found_again(seed: int, scale: float, angle: float) -> None:
    source, _ = points(seed)
    target = scale * source @ rotation(angle).T + [3.0, -7.0]
    s, r, t = metrics.similarity(source, target)
    np.testing.assert_allclose(s, scale, rtol=1e-9)
    np.testing.assert_allclose(r, np.broadcast_to(rotation(angle), r.shape), atol=1e-9)
    np.testing.assert_allclose(
        s[:, None, None] * source @ np.swapaxes(r, 1, 2) + t[:, None], target, atol=1e-7
    )


def test_similarity_is_the_best_of_many() -> None:
    """Independent reference: in the plane the least squares have a closed form in complex numbers."""
    source, target = points(5, frames=1)
    x, y = (a[0] @ [1, 1j] for a in (source, target))
    factor = np.vdot(x - x.mean(), y - y.mean()) / np.vdot(x - x.mean(), x - x.mean()).real
    residual = np.abs(factor * (x - x.mean()) - (y - y.mean()))
    assert metrics.lle_px(source, target) == pytest.approx(np.sqrt((residual**2).mean()))


def test_a_mirrored_mouth_is_not_a_match() -> None:
    real = points(3)[1]
    assert metrics.lle_px(real * [-1.0, 1.0], real) > 5
    _, r, _ = metrics.similarity(real * [-1.0, 1.0], real)
    np.testing.assert_allclose(np.linalg.det(r), 1)


@given(seeds, st.floats(0.3, 3), st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_landmark_errors_ignore_a_similarity_of_the_prediction(seed: int, scale: float, angle: float) -> None:
    predicted, real = points(seed)
    moved = scale * predicted @ rotation(angle).T + [40.0, -9.0]
    for metric in (metrics.lle_px, metrics.lle_clip_px):
        assert metric(moved, real) == pytest.approx(metric(predicted, real), rel=1e-6)
        assert metric(scale * real @ rotation(angle).T, real) == pytest.approx(0, abs=1e-6)
    assert metrics.lle_px(predicted, real) <= metrics.lle_clip_px(predicted, real) + 1e-9


def test_scale_of_a_frame_counts_only_over_the_clip() -> None:
    real = points(4)[1]
    predicted = real * np.linspace(0.7, 1.3, len(real))[:, None, None]
    assert metrics.lle_px(predicted, real) == pytest.approx(0, abs=1e-9)
    assert metrics.lle_clip_px(predicted, real) > 1


def test_landmark_error_is_rmse_over_points_in_pixels() -> None:
    """Four corners of a square, each moved by one pixel in a way that no similarity can follow."""
    square = np.array([[[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]]])
    pull = np.array([[[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]]])  # orthogonal to the similarities
    assert metrics.lle_px(square, square + pull) == pytest.approx(1.0)
    assert metrics.lle_percent(square, square + pull, mouth_px=20) == pytest.approx(5.0)


# -------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize("delay", [0.0, 1.0, -3.0, 2.4, -0.5, 6.25])
def test_known_delay_is_the_lag(delay: float) -> None:
    lag = metrics.opening_lag_ms(speech(delay=delay), speech(), FPS, 0.4)
    assert lag == pytest.approx(delay * 40, abs=1.5)


def test_lag_bridges_frames_without_a_face() -> None:
    good = np.ones(200, bool)
    good[60:80] = False
    reference = np.where(good, speech(), np.nan)
    assert metrics.opening_lag_ms(speech(delay=2), reference, FPS, 0.4, good) == pytest.approx(80, abs=1.5)
    assert metrics.opening_r(speech(), reference, good) == pytest.approx(1)
    assert metrics.opening_sd_ratio(0.5 * speech(), reference, good) == pytest.approx(0.5)


def test_no_lag_outside_the_window_or_against_the_motion() -> None:
    assert np.isnan(metrics.opening_lag_ms(speech(delay=20), speech(), FPS, 0.04))
    rising = np.arange(50.0)
    assert np.isnan(metrics.opening_lag_ms(-rising, rising, FPS, 0.2))


@given(seeds, st.floats(0.05, 4), st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_opening_under_gain_and_offset(seed: int, gain: float, offset: float) -> None:
    a, b = np.random.default_rng(seed).uniform(0, 0.5, (2, 60))
    assert metrics.opening_r(gain * a + offset, b) == pytest.approx(metrics.opening_r(a, b), abs=1e-9)
    assert metrics.opening_sd_ratio(gain * b + offset, b) == pytest.approx(gain)
    assert -1 <= metrics.opening_r(a, b) <= 1
    assert metrics.opening_r(a, b) == pytest.approx(metrics.opening_r(b, a))


def test_a_face_that_does_not_move_has_no_correlation() -> None:
    still = np.full(200, 0.03) + 1e-9 * np.random.default_rng(0).normal(size=200)  # rounding is not motion
    assert np.isnan(metrics.opening_r(still, speech()))
    assert np.isnan(metrics.opening_lag_ms(still, speech(), FPS, 0.4))
    assert metrics.opening_sd_ratio(still, speech()) == 0
    assert np.isnan(metrics.opening_sd_ratio(speech(), still))


# -------------------------------------------------------------------------------------------------- closure


def test_closures_between_openings_count_and_rest_does_not() -> None:
    truth = np.array([0.5, 0.5, 6, 7, 1.4, 0.5, 5, 8, 0.6, 4, 0.5, 0.5])  # closed in 4, 5 and 8
    assert metrics.closure_percent(truth, truth, 0.5, 1.0) == 100
    assert metrics.closure_percent(truth + 0.2, truth, 0.5, 1.0) == pytest.approx(200 / 3)  # 1.6 in frame 4
    assert metrics.closure_percent(truth + 5, truth, 0.5, 1.0) == 0
    assert metrics.closure_percent(np.full(12, 0.5), truth, 0.5, 1.0) == 100  # a still face: said so
    opened_at_rest = truth.copy()
    opened_at_rest[[0, 1, 10, 11]] = 9.0
    assert metrics.closure_percent(opened_at_rest, truth, 0.5, 1.0) == 100


@pytest.mark.parametrize("truth", [[0.5] * 6, [5.0] * 6, [0.5, 5, 5, 0.5]])
def test_no_closure_is_undefined(truth: list[float]) -> None:
    assert np.isnan(metrics.closure_percent(np.array(truth), np.array(truth), 0.5, 1.0))


# --------------------------------------------------------------------------------------------------- errors


def test_lengths_may_differ_by_one_frame() -> None:
    a, b = metrics.same_length(np.arange(10), np.arange(11), "clip x")
    assert len(a) == len(b) == 10
    with pytest.raises(TalkmeshError, match=r"clip x: 10 predicted frames against 12"):
        metrics.same_length(np.arange(10), np.arange(12), "clip x")


@pytest.mark.parametrize("metric", [metrics.lve_mm, metrics.mve_mm, metrics.lle_px, metrics.lle_clip_px])
def test_nan_and_wrong_shapes_are_errors(metric) -> None:  # type: ignore[no-untyped-def]
    good = np.random.default_rng(0).normal(size=(5, 6, 2))
    bad = good.copy()
    bad[2, 3, 1] = np.nan
    with pytest.raises(TalkmeshError, match="prediction holds NaN"):
        metric(bad, good)
    with pytest.raises(TalkmeshError, match="reference holds NaN"):
        metric(good, bad)
    with pytest.raises(TalkmeshError, match="one shape"):
        metric(good, good[:4])
    with pytest.raises(TalkmeshError, match="one shape"):
        metric(good[:0], good[:0])


def test_nan_in_an_opening_is_an_error_unless_masked() -> None:
    holed = speech()
    holed[3] = np.nan
    with pytest.raises(TalkmeshError, match="reference holds NaN"):
        metrics.opening_r(speech(), holed)
    with pytest.raises(TalkmeshError, match="mouth width"):
        metrics.lle_percent(*points(0), mouth_px=0.0)
