"""The performance: bounds, determinism, and the mouth shapes that it must contain."""

from __future__ import annotations

import numpy as np
import pytest

import heads
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import opening_of_lips
from talkmesh.rig.poses import TOTAL, VISEMES, Performance, perform

pytest.importorskip("anny")
HOW = Performance(frames=3000, ramp=8, facs=0.2, speech=0.45, upper=0.1, asymmetry=0.07, seed=7)


@pytest.fixture(scope="module")
def rig():
    return heads.plain()


@pytest.fixture(scope="module")
def poses(rig):
    return perform(rig.names, HOW)


def column(rig, poses, name):
    return poses[:, [i for i, n in enumerate(rig.names) if n.startswith(name)]].mean(1)


def test_poses_are_bounded_and_the_first_is_neutral(rig, poses):
    assert poses.shape == (3000, 52)
    assert poses.dtype == np.float32
    assert poses.min() == 0
    assert poses.max() <= 1
    assert not poses[0].any()


def test_same_seed_same_poses(rig, poses):
    np.testing.assert_array_equal(perform(rig.names, HOW), poses)
    other = Performance(**{**HOW.__dict__, "seed": 8})
    assert np.abs(perform(rig.names, other) - poses).max() > 0.5


def test_ramps_come_first_and_move_one_unit_at_a_time(rig, poses):
    ramps = poses[1:600]
    units = [
        {rig.names[i].removesuffix("Left").removesuffix("Right") for i in np.flatnonzero(p)} for p in ramps
    ]
    assert all(len(u) == 1 for u in units[: 8 * 20])
    peak = column(rig, poses[:600], "jawOpen").argmax()
    assert column(rig, poses, "jawOpen")[peak] == 1
    assert (np.diff(column(rig, poses, "jawOpen")[peak - 6 : peak + 1]) > 0).all()


def test_lips_close_only_what_the_jaw_opens(rig, poses):
    assert (column(rig, poses, "mouthClose") <= column(rig, poses, "jawOpen") + 1e-6).all()


def test_mixtures_stay_within_the_total_and_are_mostly_symmetric(rig, poses):
    mixed = poses[600:]
    mouth = [i for i, n in enumerate(rig.names) if n.startswith("mouth") and n != "mouthClose"]
    both = [i for i in mouth if rig.names[i].endswith("Left") and rig.names[i] != "mouthLeft"]
    right = [rig.names.index(rig.names[i][:-4] + "Right") for i in both]
    left_weights, right_weights = mixed[:, both], mixed[:, right]
    sums = mixed[:, mouth].sum(1) - right_weights.sum(1)  # a unit of two sides counts once
    assert np.percentile(sums, 99) < TOTAL + 0.6 + 0.2
    active = left_weights > 0.1
    assert np.abs(left_weights / np.maximum(right_weights, 1e-6) - 1)[active].mean() < 0.2


def test_the_mouth_shapes_of_speech_are_covered(rig, poses):
    vertices = rig.vertices(poses)[:, rig.landmarks, :2] * (1, -1)
    gap = opening_of_lips(vertices)
    width = np.linalg.norm(vertices[:, 10] - vertices[:, 0], axis=1)
    width /= np.linalg.norm(vertices[0, 10] - vertices[0, 0])
    upper, lower = column(rig, poses, "mouthUpperUp"), column(rig, poses, "mouthLowerDown")
    jaw = column(rig, poses, "jawOpen")
    shapes = {
        "closed": np.abs(gap) < 0.03,
        "wide open": gap > 0.45,
        "rounded": width < 0.88,
        "rounded and open": (width < 0.93) & (gap > 0.15),
        "spread, teeth shown": (width > 1.05) & (upper + lower > 0.4),
        "lips pressed": (column(rig, poses, "mouthPress") > 0.4) & (gap < 0.04),
        "lip at the teeth (f, v)": (column(rig, poses, "mouthRollLower") > 0.3) & (upper > 0.2) & (jaw < 0.2),
        "blink": column(rig, poses, "eyeBlink") > 0.5,
    }
    few = {name: int(found.sum()) for name, found in shapes.items() if found.sum() < 10}
    assert not few
    assert np.percentile(gap, 0.5) > -0.1  # of the mouth's width: lips do not go through each other
    assert set(VISEMES) >= {"p", "f", "s", "a", "i", "u", "o"}


def test_what_cannot_be_performed_is_said():
    with pytest.raises(TalkmeshError, match="no ARKit mouth shapes"):
        perform(["phoneme_a"], HOW)
    with pytest.raises(TalkmeshError, match="frames and ramp"):
        Performance(**{**HOW.__dict__, "frames": 0})
    with pytest.raises(TalkmeshError, match="shares"):
        Performance(**{**HOW.__dict__, "facs": 0.8})
