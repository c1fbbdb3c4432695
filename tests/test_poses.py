"""The performance: bounds, determinism, and the mouth shapes that it must contain."""

from __future__ import annotations

import numpy as np
import pytest

import heads
from talkmesh.curves import Curves
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import opening_of_lips
from talkmesh.rig import anatomy
from talkmesh.rig.coverage import shapes_of_poses
from talkmesh.rig.poses import EXTREMES, OPPOSITES, TOTAL, VISEMES, Performance, perform, perform_on

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
        Performance(**{**HOW.__dict__, "extreme": 0.5})
    with pytest.raises(TalkmeshError, match="shares"):
        Performance(**{**HOW.__dict__, "facs": 0.8})


def alone(rig, poses, unit):
    """Return the frames in which a unit moves alone, both sides or one."""
    own = [i for i, n in enumerate(rig.names) if n in (unit, f"{unit}Left", f"{unit}Right")]
    others = [i for i in range(len(rig.names)) if i not in own]
    return poses[(poses[:, own].max(1) > 0) & (poses[:, others].max(1) == 0)][:, own].max(1)


def test_every_unit_is_seen_alone_with_onset_apex_and_offset(rig):
    facs = perform(
        rig.names, Performance(**{**HOW.__dict__, "frames": 2000, "facs": 1.0, "speech": 0.0, "asymmetry": 0})
    )
    for unit in [*(u for pair in OPPOSITES for u in pair), "eyeBlink", "browInnerUp", "eyeWide"]:
        levels = alone(rig, facs, unit)
        assert levels.max() == 1, unit
        assert len(np.unique(levels.round(4))) >= 12, unit  # 8 on the way there, 4 others on the way back
    for side in ("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft"):
        twin = rig.names.index(side[:-5] + "Left" if side.endswith("Right") else side[:-4] + "Right")
        assert ((facs[:, rig.names.index(side)] == 1) & (facs[:, twin] == 0)).any()
    course = facs[: 2 * (HOW.ramp + HOW.ramp // 2)]
    jaw, chin = (course[:, rig.names.index(n)] for n in ("jawOpen", "mouthShrugLower"))
    np.testing.assert_allclose(jaw[:12], [0, *np.arange(2, 9) / 8, 0.9375, 0.6875, 0.4375, 0.1875])
    assert chin[:12].max() == 0  # then the opposite
    assert jaw[12:].max() == 0
    assert chin[12:].max() == 1


def test_extremes_go_further_than_speech_and_stay_possible(rig):
    how = Performance(**{**HOW.__dict__, "frames": 600, "facs": 0.0, "speech": 0.5, "extreme": 0.5})
    poses, changed = perform_on(rig, how)
    assert poses.shape == (600, 52)
    assert 0 < changed < 100
    assert anatomy.possible(rig, poses).all()
    assert (column(rig, poses, "mouthClose") <= column(rig, poses, "jawOpen") + 1e-6).all()
    speech, extreme = (np.abs(shapes_of_poses(rig, p)).max((1, 2)) for p in (poses[:300], poses[300:]))
    assert np.percentile(extreme, 90) > np.percentile(speech, 90)
    assert len(EXTREMES) >= 20
    again, _ = perform_on(rig, how)
    np.testing.assert_array_equal(poses, again)


def test_recorded_poses_join_and_those_that_differ_most(rig):
    t = np.linspace(0, 1, 400)[:, None]
    weights = np.concatenate([np.where(t < 0.05, 0.9 * t / 0.05, 0.5), 0 * t + 0.1], 1).astype(np.float32)
    take = Curves("take", ("JawOpen", "MouthFunnel"), np.arange(400) / 60, weights)
    how = Performance(**{**HOW.__dict__, "frames": 200, "recorded": 0.1})
    poses, _ = perform_on(rig, how, [take])
    assert poses.shape == (200, 52)
    assert not poses[0].any()
    jaw = poses[180:, rig.names.index("jawOpen")]
    np.testing.assert_allclose(poses[180:, rig.names.index("mouthFunnel")], 0.1)
    assert len(np.unique(jaw.round(3))) == 20  # 380 of 400 frames are alike: one of them is enough
    assert jaw.max() > 0.8
    np.testing.assert_array_equal(perform_on(rig, how, [take])[0], poses)
    without, _ = perform_on(rig, how)
    assert (without[180:, rig.names.index("mouthFunnel")] != np.float32(0.1)).any()
