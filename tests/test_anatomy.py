"""What a mouth cannot do, on a head whose lips and teeth are known."""

import dataclasses

import numpy as np
import pytest

import heads
from rigs import tiny_rig
from talkmesh.rig import anatomy

pytest.importorskip("anny")


@pytest.fixture(scope="module")
def rig():
    return heads.plain()


def pose(rig, **weights):
    out = np.zeros((1, len(rig.names)), np.float32)
    for name, weight in weights.items():
        out[0, [i for i, n in enumerate(rig.names) if n in (name, f"{name}Left", f"{name}Right")]] = weight
    return out


def test_overlap_is_that_of_the_posed_mesh(rig):
    poses = np.random.default_rng(0).random((20, len(rig.names))).astype(np.float32) * 0.3
    slow = []
    for vertices in rig.vertices(poses):
        worst = -np.inf
        for u, low in zip(anatomy.UPPER, anatomy.LOWER, strict=True):
            a, b = rig.landmarks[u], rig.landmarks[low]
            moved = (vertices[a] - vertices[b]) - (rig.neutral[a] - rig.neutral[b])
            worst = max(worst, -moved[1] - abs(moved[2]))
        slow.append(worst / anatomy.mouth_width(rig))
    np.testing.assert_allclose(anatomy.overlap(rig, poses), slow, atol=1e-4)


def test_pairs_face_each_other(rig):
    upper, lower = rig.neutral[rig.landmarks[anatomy.UPPER]], rig.neutral[rig.landmarks[anatomy.LOWER]]
    np.testing.assert_allclose(upper[:, 0], lower[:, 0], atol=3)  # mm
    assert anatomy.overlap(rig, pose(rig, jawOpen=1))[0] < -0.2
    assert anatomy.overlap(rig, pose(rig))[0] == 0


def test_lips_through_lips_are_eased_and_no_more_than_needed(rig):
    through = np.concatenate(
        [
            pose(rig, mouthClose=1.0, jawOpen=0.3),
            pose(rig, mouthPress=1.0, mouthShrugLower=0.5, eyeBlink=1.0),
            pose(rig, jawOpen=0.5),
            pose(rig),
        ]
    )
    out, changed = anatomy.eased(rig, through)
    assert changed == 2
    assert anatomy.overlap(rig, out).max() <= anatomy.SOFT
    close, jaw = rig.names.index("mouthClose"), rig.names.index("jawOpen")
    assert out[0, close] == pytest.approx(
        out[0, jaw]
    )  # the lips give way to the jaw, not the jaw to the lips
    assert out[0, jaw] == pytest.approx(0.3)
    np.testing.assert_array_equal(out[2:], through[2:])
    share = out[1].max() and out[1, rig.names.index("mouthPressLeft")]
    assert 0 < share < 1
    assert out[1, rig.names.index("eyeBlinkLeft")] == 1  # what does not move the mouth stays
    more = through[1:2] * np.where(np.abs(rig.deltas[:, rig.landmarks]).max((1, 2)) > 0.5, share + 0.05, 1)
    assert not anatomy.possible(rig, more.astype(np.float32))[0]


def test_teeth_are_found_and_do_not_come_through(rig):
    (upper, above), (lower, below) = anatomy.teeth(rig)
    assert rig.neutral[upper, 1].mean() > rig.neutral[lower, 1].mean()
    assert rig.neutral[above, 1].mean() > rig.neutral[below, 1].mean()
    assert len(above) == len(below) == 18
    thin = rig.deltas.copy()
    thin[rig.names.index("mouthFrownLeft")][
        below, 2
    ] = -40  # a shape that pulls the lower lip behind the teeth
    broken = dataclasses.replace(rig, deltas=thin)
    through = pose(broken, mouthFrown=1.0)
    assert anatomy.teeth_before_lips(broken, through, lower, below)[0] > 10
    assert not anatomy.possible(broken, through)[0]
    out, changed = anatomy.eased(broken, through)
    assert changed == 1
    assert anatomy.teeth_before_lips(broken, out, lower, below)[0] <= 0


def test_a_rig_without_teeth_and_without_mouth_close():
    rig = tiny_rig()
    assert anatomy.teeth(rig) == []
    poses = np.array([[0.5, 0, 0], [0, 1, 0]], np.float32)
    out, changed = anatomy.eased(rig, poses)
    assert changed == 0
    np.testing.assert_array_equal(out, poses)
