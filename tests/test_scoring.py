"""Scores of one clip: on which vertices, and errors that name the clip for meshes that are not the rig's."""

import dataclasses

import numpy as np
import pytest

from talkmesh import metrics
from talkmesh.errors import TalkmeshError
from talkmesh.intervals import Bootstrap
from talkmesh.landmarks import opening_of_lips
from talkmesh.scoring import (
    NEED_FILM,
    NEED_TRUTH,
    Film,
    Scoring,
    check_meshes,
    clip_scores,
    inner_gap_mm,
    lip_distance_mm,
    mesh_opening,
    project,
)
from tiny_project import FPS, poses, tiny_rig

HOW = Scoring(0.2, 1.0, Bootstrap(100, 7))
RIG = tiny_rig()
TRUTH = RIG.vertices(poses("talk_a"))
CAMERA = np.array([[0.5, 0.0, 16.0], [0.0, -0.5, 16.0]])


def film(frames: int) -> Film:
    lips = project(TRUTH[:, RIG.landmarks], CAMERA)[:frames]
    return Film(lips, np.ones(len(lips), bool), 20.0, CAMERA)


def test_every_metric_is_there_and_the_truth_is_perfect() -> None:
    scores = clip_scores(TRUTH, RIG, FPS, HOW, TRUTH, film(20))
    assert set(scores) == {*NEED_TRUTH, *NEED_FILM, "jitter_mm"}
    for name in ("lve_mm", "lve_sq_mm2", "lve_centered_mm", "lve_rms_mm", "mve_mm", "fdd_mm", "mtm_ms"):
        assert scores[name] == pytest.approx(0, abs=1e-9)
    assert scores["opening_truth_r"] == pytest.approx(1)
    assert scores["closure_percent"] == 100
    assert scores["lle_px"] == pytest.approx(0, abs=1e-4)


def test_lips_and_upper_face_are_those_of_the_rig() -> None:
    """A brow that moves is no lip error; a chin that moves is neither lip nor brow."""
    predicted = TRUTH.copy()
    predicted[::2, RIG.upper[-1], 2] += 3.0
    scores = clip_scores(predicted, RIG, FPS, HOW, TRUTH)
    assert scores["lve_mm"] == 0
    assert scores["fdd_mm"] < 0  # livelier than the truth
    assert scores["mve_mm"] == pytest.approx(1.5 / len(RIG.neutral), rel=1e-3)
    without = dataclasses.replace(RIG, upper=np.zeros(0, int))
    assert "fdd_mm" not in clip_scores(predicted, without, FPS, HOW, TRUTH)


def test_gap_distance_and_opening_grow_with_the_jaw() -> None:
    shut, open_ = RIG.vertices(np.array([[0.0, 0.0]])), RIG.vertices(np.array([[0.5, 0.0]]))
    assert inner_gap_mm(open_, RIG)[0] > inner_gap_mm(shut, RIG)[0] + 5
    assert lip_distance_mm(open_, RIG)[0] > lip_distance_mm(shut, RIG)[0] + 5
    seen = opening_of_lips(project(open_[:, RIG.landmarks], CAMERA))
    np.testing.assert_allclose(mesh_opening(open_, RIG), seen, rtol=1e-6)  # no camera is needed


def spoiled(how: str) -> np.ndarray:
    bad = TRUTH.copy()
    if how == "nan":
        bad[3, 5, 1] = np.nan
    return {
        "nan": bad,
        "metres": bad / 1000,
        "centimetres": bad / 10,
        "offsets": bad - RIG.neutral,
        "empty": bad[:0],
        "topology": bad[:, :-1],
        "flat": bad.reshape(len(bad), -1),
        "axes": bad[..., [2, 0, 1]],
        "moved": bad + np.array([0.0, 0.0, 400.0]),
    }[how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", "NaN or infinite values in 1 of 20 frames, first in frame 3"),
        ("metres", "looks like metres, and must be millimetres"),
        ("centimetres", "looks like centimetres, and must be millimetres"),
        ("offsets", "is it offsets"),
        ("empty", "there are no frames"),
        ("topology", r"must be \(frames, 120, 3\); got \(20, 119, 3\): another topology"),
        ("flat", r"got \(20, 360\)"),
        ("axes", "the order of vertices or the axes are others"),
        ("moved", "or the head is moved"),
    ],
)
def test_what_is_not_a_mesh_of_the_rig_is_an_error_that_names_the_clip(how: str, message: str) -> None:
    with pytest.raises(TalkmeshError, match=f"voca, clip s081: .*{message}"):
        clip_scores(spoiled(how), RIG, FPS, HOW, TRUTH, where="voca, clip s081")
    with pytest.raises(TalkmeshError, match=f"voca, clip s081, against its ground truth: .*{message}"):
        clip_scores(TRUTH, RIG, FPS, HOW, spoiled(how), where="voca, clip s081")


def test_shuffled_vertices_are_found_out() -> None:
    order = np.random.default_rng(0).permutation(len(RIG.neutral))
    with pytest.raises(TalkmeshError, match=r"clip x.*order of vertices"):
        check_meshes(TRUTH[:, order], RIG, "clip x")
    check_meshes(TRUTH * 1.2, RIG, "another person's face")


def test_lengths_and_faces_that_are_missing_name_the_clip() -> None:
    with pytest.raises(
        TalkmeshError, match="clip x, against its ground truth: 18 predicted frames against 20"
    ):
        clip_scores(TRUTH[:18], RIG, FPS, HOW, TRUTH, where="clip x")
    with pytest.raises(TalkmeshError, match="clip x, against its crops: 20 predicted frames against 17"):
        clip_scores(TRUTH, RIG, FPS, HOW, None, film(17), "clip x")
    blind = dataclasses.replace(film(20), good=np.zeros(20, bool))
    with pytest.raises(TalkmeshError, match="clip x: no frame with a good face"):
        clip_scores(TRUTH, RIG, FPS, HOW, None, blind, "clip x")


def test_headline_is_the_metric_of_the_same_name() -> None:
    predicted = TRUTH + np.random.default_rng(1).normal(0, 1, TRUTH.shape)
    scores = clip_scores(predicted, RIG, FPS, HOW, TRUTH)
    assert scores["lve_mm"] == metrics.lve_mm(predicted[:, RIG.lips], TRUTH[:, RIG.lips])
