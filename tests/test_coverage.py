"""Lip shapes and how well a performance covers them, against slow references."""

import numpy as np
import pytest

from rigs import tiny_rig
from talkmesh.landmarks import COUNT, LIPS
from talkmesh.rig.coverage import (
    coverage,
    gap_and_width,
    lip_shapes,
    nearest,
    shapes_of_landmarks,
    shapes_of_poses,
    spread_out,
)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_shapes_do_not_know_place_nor_size_of_a_face(rng):
    neutral, points = rng.random((40, 2)), rng.random((5, 40, 2))
    own = lip_shapes(points, neutral)
    np.testing.assert_allclose(lip_shapes(7 * points + 3, 7 * neutral - 2), own)
    np.testing.assert_allclose(lip_shapes(neutral[None], neutral), 0)


def test_a_rig_and_a_film_of_it_have_the_same_shapes(rng):
    rig = tiny_rig()
    poses = rng.random((4, 3)).astype(np.float32)
    film = np.zeros((4, COUNT, 2))
    film[:, list(LIPS)] = rig.vertices(poses)[:, rig.landmarks, :2] * (2, -2) + 50
    rest = np.zeros((COUNT, 2))
    rest[list(LIPS)] = rig.neutral[rig.landmarks, :2] * (2, -2) + 50
    shapes = shapes_of_poses(rig, poses)
    np.testing.assert_allclose(shapes_of_landmarks(film, rest), shapes, atol=1e-6)
    np.testing.assert_allclose(gap_and_width(shapes)[:, 0], poses[:, 0] * 12 / 50, rtol=1e-5)
    np.testing.assert_allclose(gap_and_width(shapes)[:, 1], poses[:, 1] * 6 / 50, rtol=1e-5)


def test_nearest_is_the_nearest(rng):
    real, performed = rng.random((30, 40, 2)), rng.random((50, 40, 2))
    slow = [min(np.sqrt(((r - p) ** 2).sum(-1).mean()) for p in performed) for r in real]
    np.testing.assert_allclose(nearest(real, performed, chunk=7), slow)
    found = coverage(real, performed)
    assert found.median == pytest.approx(100 * np.median(slow))
    assert found.worst == pytest.approx(100 * max(slow))
    itself = coverage(real, real)
    assert itself.worst < 1e-4
    assert itself.within_1 == 1


def test_farthest_points_are_spread(rng):
    points = np.concatenate([rng.normal(0, 0.01, (100, 2)), [[5, 0], [0, 5]], [[5.01, 0]]])
    chosen = spread_out(points, 3)
    assert {tuple(np.round(points[i])) for i in chosen} == {(5, 0), (0, 5), (0, 0)}
    assert len(spread_out(points, 1000)) == len(points) == len(set(spread_out(points, 1000)))
