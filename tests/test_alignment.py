"""Similarities: exact on exact data, equal to a general solver on noisy data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import lstsq

from talkmesh.alignment import apply, compose, fit_similarity, mean_shape, residual, smooth

RNG = np.random.default_rng(0)


def similarity(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    a, b = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return np.array([[a, -b, x], [b, a, y]])


def moves(count: int) -> np.ndarray:
    return np.stack(
        [
            similarity(s, d, x, y)
            for s, d, x, y in zip(
                RNG.uniform(0.5, 2, count),
                RNG.uniform(-90, 90, count),
                RNG.normal(0, 50, count),
                RNG.normal(0, 50, count),
                strict=True,
            )
        ]
    )


def test_a_known_similarity_is_found() -> None:
    points, known = RNG.normal(100, 30, (9, 11, 2)), moves(9)
    assert np.allclose(fit_similarity(points, apply(known, points)), known)


def test_noisy_points_agree_with_a_general_least_squares_solver() -> None:
    source, target = RNG.normal(0, 30, (11, 2)), RNG.normal(0, 30, (11, 2))
    x, y = source.T
    zero, one = np.zeros(11), np.ones(11)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, u, v = lstsq(rows, target.T.ravel())[0]
    assert np.allclose(fit_similarity(source, target), [[a, -b, u], [b, a, v]])


def test_composition_is_application_in_turn() -> None:
    outer, inner, points = moves(4), moves(4), RNG.normal(0, 9, (4, 7, 2))
    assert np.allclose(apply(compose(outer, inner), points), apply(outer, apply(inner, points)))


def test_mean_shape_undoes_all_similarities_and_lies_level() -> None:
    shape = RNG.normal(0, 20, (11, 2))
    shapes = apply(moves(30), shape)
    mean = mean_shape(shapes, (0, 3))
    assert mean[3, 1] == pytest.approx(mean[0, 1])
    assert mean[3, 0] > mean[0, 0]
    fitted = apply(fit_similarity(shapes, mean), shapes)
    assert np.allclose(fitted, mean, atol=1e-6)
    sizes = np.linalg.norm(shapes - shapes.mean(1, keepdims=True), axis=(1, 2))
    assert np.linalg.norm(mean - mean.mean(0)) == pytest.approx(sizes.mean())


def test_smoothing_keeps_similarities_fills_gaps_and_ignores_the_origin() -> None:
    transforms = np.stack([similarity(1 + 0.001 * t, 0.2 * t, 3 * t, -t) for t in range(40)])
    good = np.ones(40, bool)
    good[[0, 1, 10, 11, 12, 39]] = False
    broken = np.where(good[:, None, None], transforms, 1e6)
    result = smooth(broken, good, 2.0)
    assert np.allclose(result[..., 0, 0], result[..., 1, 1])
    assert np.allclose(result[..., 0, 1], -result[..., 1, 0])
    assert np.abs(result[12:30] - transforms[12:30]).max() < 0.02
    assert np.abs(smooth(transforms, good | True, 2.0) - transforms).max() < 0.02  # at the ends, too
    elsewhere = np.broadcast_to(similarity(1, 0, 500, -300), transforms.shape)
    assert np.allclose(
        compose(smooth(broken, good, 2.0), elsewhere), smooth(compose(broken, elsewhere), good, 2.0)
    )


def test_smoothing_by_nothing_changes_nothing() -> None:
    transforms = moves(9)
    assert np.allclose(smooth(transforms, np.ones(9, bool), 0.0), transforms)


def test_residual_is_the_spread_of_a_point() -> None:
    points = np.zeros((4000, 3, 2)) + RNG.normal(0, [0.3, 0.4], (4000, 1, 2))
    assert residual(points) == pytest.approx(0.5, rel=0.05)
    assert residual(np.ones((5, 3, 2))) == 0
    assert np.isnan(residual(np.zeros((0, 3, 2))))
