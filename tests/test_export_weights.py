"""Weights of a mesh: against an independent solver, in closed form, and what they do when a mesh is not of the rig."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from motions import assert_lips_agree, nameless, poses
from talkmesh.export import weights
from talkmesh.export.shapes import corrections, shapes_of
from talkmesh.export.weights import LIPS, arkit_shapes, deviation, fit_weights
from talkmesh.landmarks import INNER_LOWER, INNER_UPPER
from talkmesh.landmarks import LIPS as MOUTH
from talkmesh.rig import Rig
from talkmesh.rig.bounded import bounded
from talkmesh.scoring import inner_gap_mm
from tiny_project import tiny_rig


def rich_rig(seed: int = 0, shapes: int = 8) -> Rig:
    """The tiny rig with smooth shapes that partly do the same."""
    rig = tiny_rig()
    rng = np.random.default_rng(seed)
    waves = np.stack([np.sin(rig.neutral @ rng.normal(0, 0.05, (3, 3)) + i) for i in range(shapes)])
    mixed = np.tensordot(np.eye(shapes) + 0.5 * rng.random((shapes, shapes)), waves, 1)
    return dataclasses.replace(
        rig, names=tuple(f"s{i}" for i in range(shapes)), deltas=(3 * mixed).astype(np.float32)
    )


def test_every_frame_is_fitted_as_by_scipy() -> None:
    rig = rich_rig()
    rng = np.random.default_rng(1)
    wanted = rng.normal(0.4, 0.6, (12, 8))  # many weights end at a bound
    vertices = rig.vertices(wanted) + rng.normal(0, 0.2, (12, *rig.neutral.shape))
    found = fit_weights(rig, vertices, smooth=0)
    share = np.ones(len(rig.neutral))
    share[rig.lips] = LIPS
    root = np.sqrt(np.repeat(share / share.sum(), 3))
    pairs = np.sqrt(weights.OPENING / len(INNER_UPPER))

    def rows(moved: np.ndarray) -> np.ndarray:  # of all vertices, and of the gaps between the inner lips
        high, low = (
            moved[rig.landmarks[[MOUTH.index(i) for i in ids]], 1] for ids in (INNER_UPPER, INNER_LOWER)
        )
        return np.concatenate([root * moved.ravel(), pairs * (high - low)])

    matrix = np.stack([rows(delta) for delta in rig.deltas.astype(float)], 1)
    exact = [lsq_linear(matrix, rows(v - rig.neutral), (0, 1), tol=1e-12).x for v in vertices.astype(float)]
    np.testing.assert_allclose(found, exact, atol=2e-4)
    assert (found == 0).any()
    assert (found == 1).any()


def test_lips_open_as_far_as_those_of_a_mesh_that_no_weights_make(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rich_rig()
    rng = np.random.default_rng(2)
    vertices = rig.vertices(rng.uniform(0.2, 0.8, (30, 8))) + rng.normal(0, 0.3, (30, *rig.neutral.shape))
    wanted = inner_gap_mm(vertices, rig)

    def error(opening: float) -> float:
        monkeypatch.setattr(weights, "OPENING", opening)
        return float(np.abs(inner_gap_mm(rig.vertices(fit_weights(rig, vertices)), rig) - wanted).max())

    errors = [error(opening) for opening in (0.0, weights.OPENING, 1e4)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.3 * errors[0]  # eight shapes, which end at their bounds


def test_weights_that_made_the_mesh_come_back() -> None:
    rig = tiny_rig()
    made = poses(rig)
    found = fit_weights(rig, rig.vertices(made), smooth=0)
    np.testing.assert_allclose(found, made, atol=1e-4)
    smooth = fit_weights(rig, rig.vertices(made))
    np.testing.assert_allclose(smooth, made, atol=2e-3)
    assert deviation(rig, rig.vertices(made), rig.deltas, smooth).max_mm < 0.02


def test_the_bend_is_weighed_as_stated() -> None:
    """Against scipy on the whole problem at once, all frames and bends as rows of one matrix."""
    rng = np.random.default_rng(0)
    frames, matrix = 15, rng.normal(size=(6, 2))
    targets = rng.normal(0.3, 1.5, (frames, 6))
    second = np.diff(np.eye(frames), 2, axis=0)
    rows = np.concatenate([np.kron(np.eye(frames), matrix), np.sqrt(0.7) * np.kron(second, np.eye(2))])
    aims = np.concatenate([targets.ravel(), np.zeros(2 * (frames - 2))])
    exact = lsq_linear(rows, aims, (0, 1), tol=1e-13).x.reshape(frames, 2)
    found = bounded(matrix.T @ matrix, targets @ matrix, 0.7)
    np.testing.assert_allclose(found, exact, atol=1e-4)
    assert (found == 0).any()
    assert ((found > 0.01) & (found < 0.99)).any()


def test_steady_motion_is_not_damped_and_jitter_between_like_shapes_is() -> None:
    rig = tiny_rig()
    ramp = np.zeros((30, 2), np.float32)
    ramp[:, 0] = np.linspace(0.1, 0.9, 30)
    np.testing.assert_allclose(fit_weights(rig, rig.vertices(ramp), smooth=10.0), ramp, atol=1e-3)

    rng = np.random.default_rng(0)
    alike = np.stack([rig.deltas[0], rig.deltas[0] * np.float32(1.0)])
    alike[1, rig.lips[:5]] += rng.normal(0, 0.05, (5, 3)).astype(np.float32)
    twins = dataclasses.replace(rig, names=("jawOpen", "jawForward"), deltas=alike)
    noisy = twins.vertices(np.tile([0.3, 0.3], (30, 1))) + rng.normal(0, 0.02, (30, *rig.neutral.shape))

    def jitter(weights: np.ndarray) -> float:
        return float(np.abs(np.diff(weights, 2, axis=0)).mean())

    assert jitter(fit_weights(twins, noisy)) < 0.5 * jitter(fit_weights(twins, noisy, smooth=0))


def test_the_deviation_is_in_millimetres() -> None:
    rig = tiny_rig()
    vertices = rig.vertices(np.zeros((4, 2), np.float32))
    vertices[2, 100] += (3, 0, 4)  # not a lip
    vertices[3, rig.lips[0]] += (0, 2, 0)
    found = deviation(rig, vertices, rig.deltas, np.zeros((4, 2), np.float32))
    assert found.max_mm == pytest.approx(5)
    assert found.lips_max_mm == pytest.approx(2)
    assert found.rms_mm == pytest.approx(np.sqrt((25 + 4) / (4 * len(rig.neutral))))


def test_arkit_shapes_are_found_in_any_spelling_and_each_once() -> None:
    rig = tiny_rig()
    names = (
        "JawOpen",
        "mouthSmile_L",
        "mouthSmileRight",
        "mouthSmile",
        "browDown",
        "browInnerUp_L",
        "browInnerUp_R",
        "x",
    )
    many = dataclasses.replace(rig, names=names, deltas=np.zeros((8, *rig.neutral.shape), np.float32))
    assert [many.names[i] for i in arkit_shapes(many)] == [n for n in names if n not in ("mouthSmile", "x")]
    assert arkit_shapes(nameless(rig)) == []


def off_the_rig(rig: Rig, size: float) -> np.ndarray:
    """A motion of the rig and something that none of its shapes does, in three ways at once, `size` mm large."""
    t = np.arange(300)
    ways = np.stack([np.cos(rig.neutral * 0.07 + i) for i in range(3)])
    course = np.stack([np.sin(0.11 * t), np.sin(0.23 * t), np.sin(0.05 * t)], 1)
    return (rig.vertices(poses(rig)) + size * np.tensordot(course, ways, 1)).astype(np.float32)


def test_corrections_bring_every_vertex_within_the_tolerance() -> None:
    rig = tiny_rig()
    vertices = off_the_rig(rig, 0.5)
    shapes = shapes_of(rig, vertices)
    assert shapes.names[:4] == (*rig.names, "correction_00", "correction_01")
    assert len(shapes.names) <= 6  # three ways, and what the bounds of the weights leave
    assert shapes.named == 2
    assert shapes.named_deviation.max_mm > 0.5
    assert shapes.deviation.max_mm <= 0.1
    assert shapes.deviation == deviation(rig, vertices, shapes.deltas, shapes.weights)
    np.testing.assert_allclose(np.abs(shapes.weights[:, 2:]).max(0), 1, atol=1e-6)
    made = rig.neutral + np.tensordot(shapes.weights, shapes.deltas, 1)
    assert_lips_agree(rig, made, vertices)
    assert len(shapes_of(rig, vertices, tolerance=5.0).names) == 2


def test_a_rig_without_arkit_is_compressed_and_room_is_kept_to() -> None:
    rig = nameless(rich_rig(shapes=30))
    vertices = rig.vertices(poses(rig))
    all_of_it = shapes_of(rig, vertices)
    assert all_of_it.named == 0
    assert 1 < len(all_of_it.names) <= 30
    assert all_of_it.deviation.max_mm <= 0.1
    few = shapes_of(rig, vertices, most=3)
    assert len(few.names) <= 3
    assert few.deviation.max_mm > 0.1  # and says so
    assert few.deviation == deviation(rig, vertices, few.deltas, few.weights)


def test_noise_gets_the_fewest_corrections_that_do_nearly_as_well() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (200, 1500, 3)).astype(np.float32)

    def error(most: int) -> tuple[int, float]:
        deltas, driven = corrections(noise, 0.1, most)
        assert driven.shape == (200, len(deltas))
        left = noise - np.tensordot(driven, deltas, 1)
        return len(deltas), float(np.linalg.norm(left, axis=2).max())

    taken, reached = error(12)
    assert taken < 12  # more would take space and leave the error about as it is
    _, best = error(24)
    assert reached < 1.15 * best


def test_a_still_face_needs_nothing() -> None:
    rig = nameless(tiny_rig())
    shapes = shapes_of(rig, np.tile(rig.neutral, (3, 1, 1)))
    assert shapes.names == ()
    assert shapes.weights.shape == (3, 0)
    assert shapes.deviation.max_mm == 0
