"""Expressions carried from one rig to another: the fit against an independent solver, and what it must keep."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import lsq_linear

import heads
from talkmesh.contracts import GroundTruth
from talkmesh.errors import TalkmeshError
from talkmesh.face_model import face_landmarker_path
from talkmesh.rig import Rig, place
from talkmesh.rig.bounded import bounded
from talkmesh.rig.correspondence import Fit, correspondence, fitted, mouth_width
from talkmesh.rig.poses import Performance, perform
from talkmesh.rig.transfer import Transfer, read_transfer, write_transfer
from tiny_project import tiny_rig

FLAT = Fit(by="landmarks", names=0.0)


def test_bounded_fit_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(60, 12)) @ np.diag(np.geomspace(1, 0.05, 12))
    targets = a @ rng.normal(0.4, 0.8, (12, 20))  # many weights end at a bound
    found = bounded(a.T @ a, targets.T @ a)
    for w, b in zip(found, targets.T, strict=True):
        exact = lsq_linear(a, b, (0, 1), tol=1e-12).x
        assert np.sum((a @ w - b) ** 2) <= np.sum((a @ exact - b) ** 2) * (1 + 1e-4) + 1e-6
        assert w.min() >= 0
        assert w.max() <= 1


def test_the_same_face_in_another_size_gets_the_same_weights() -> None:
    rig = tiny_rig()
    large = dataclasses.replace(rig, neutral=rig.neutral * 2, deltas=rig.deltas * 2, name="large")
    assert mouth_width(large) == pytest.approx(2 * mouth_width(rig))
    poses = np.random.default_rng(0).random((30, 2)).astype(np.float32)
    np.testing.assert_allclose(fitted(rig, large, FLAT).poses(poses), poses, atol=0.01)


def test_shapes_that_are_weaker_are_driven_harder_until_they_end() -> None:
    rig = tiny_rig()
    weak = dataclasses.replace(rig, deltas=rig.deltas * 0.5)
    poses = np.array([[0.2, 0.3], [0.4, 0.0], [0.9, 0.8]], np.float32)
    np.testing.assert_allclose(
        fitted(rig, weak, FLAT).poses(poses), [[0.4, 0.6], [0.8, 0], [1, 1]], atol=0.01
    )


def test_a_shape_that_moves_nothing_stays_at_rest_unless_names_say_otherwise() -> None:
    rig = tiny_rig()
    more = dataclasses.replace(
        rig, names=(*rig.names, "blink"), deltas=np.concatenate([rig.deltas, 0 * rig.deltas[:1]])
    )
    poses = np.array([[0.5, 0.2, 0.7]], np.float32)
    assert fitted(more, more, FLAT).poses(poses)[0, 2] == 0
    named = fitted(more, more, dataclasses.replace(FLAT, names=0.01)).poses(poses)
    np.testing.assert_allclose(named, poses, atol=0.01)


def test_truth_is_carried_by_name_and_other_truth_is_left_alone(tmp_path) -> None:
    carried = Transfer(("a", "b"), ("x",), "1", "2", np.eye(1), np.array([[0.5, 0.25]]))
    truth = GroundTruth(25.0, np.array([[0.4, 1.0]], np.float32), ("b", "a"))
    moved = carried.truth(truth)
    assert moved.names == ("x",)
    assert moved.weights is not None
    np.testing.assert_allclose(moved.weights, [[0.5 * 1.0 + 0.25 * 0.4]], atol=1e-6)
    strange = GroundTruth(25.0, np.zeros((1, 1), np.float32), ("tail",))
    assert carried.truth(strange) is strange
    meshes = GroundTruth(25.0, vertices=np.zeros((1, 3, 3), np.float32))
    assert carried.truth(meshes) is meshes
    write_transfer(tmp_path / "t.npz", carried)
    np.testing.assert_array_equal(read_transfer(tmp_path / "t.npz").linear, carried.linear)
    with pytest.raises(TalkmeshError, match="not found"):
        read_transfer(tmp_path / "no.npz")


@pytest.fixture(scope="module")
def two() -> tuple[Rig, Rig]:
    """A head, and another person's in another topology."""
    pytest.importorskip("anny")
    try:
        face_landmarker_path()
    except TalkmeshError as error:
        pytest.skip(str(error))
    from talkmesh.rig import anny, soma

    return heads.plain(), soma.load(heads.WOMAN, anny.Look())


@pytest.mark.slow
def test_points_find_their_place_on_the_other_face(two) -> None:
    source, target = two
    ids, links = correspondence(source, target)
    np.testing.assert_allclose(np.asarray(links.sum(1)).ravel(), 1, atol=1e-6)
    drop = place.jaw_shape(source), place.jaw_shape(target)
    here, there = source.deltas[drop[0], ids, 1], links @ target.deltas[drop[1], :, 1]
    lips = np.isin(ids, source.lips)
    assert np.corrcoef(here[lips], there[lips])[0, 1] > 0.97  # lower lip to lower lip, upper to upper
    assert np.abs(here - there)[lips].mean() < 0.06 * np.abs(source.deltas[drop[0], :, 1]).max()


@pytest.mark.slow
@pytest.mark.parametrize(("by", "percent"), [("dense", 2.0), ("landmarks", 3.0)])
def test_there_and_back_keeps_the_lips(two, by, percent) -> None:
    source, target = two
    poses = perform(source.names, Performance(120, 8, 0.2, 0.45, 0.1, 0.07, 1))
    fit = Fit(by=by)
    back = fitted(target, source, fit).poses(fitted(source, target, fit).poses(poses))
    wanted, found = source.vertices(poses)[:, source.lips], source.vertices(back)[:, source.lips]
    error = np.linalg.norm(wanted - found, axis=-1).mean() / mouth_width(source) * 100
    assert error < percent
    assert (
        np.linalg.norm(wanted - source.neutral[source.lips], axis=-1).mean() > 2
    )  # mm: there was something to keep
