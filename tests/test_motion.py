"""Changes to a motion: rate, size, smoothness, blinks; and the way to another character."""

import dataclasses
import logging

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from motions import FPS, assert_lips_agree, opening, poses
from talkmesh.errors import TalkmeshError
from talkmesh.export.character import carried, onto
from talkmesh.export.motion import Controls, controlled, retimed, with_living_eyes
from talkmesh.rig import Rig
from talkmesh.rig.correspondence import Fit
from tiny_project import tiny_rig


def rig_with_eyes() -> Rig:
    """The tiny rig with lids and eyes in its upper face, a vertex each."""
    rig = tiny_rig()
    names = (
        "eyeBlinkLeft",
        "eyeBlinkRight",
        *(f"eyeLook{way}{side}" for way in ("In", "Out", "Up", "Down") for side in ("Left", "Right")),
    )
    deltas = np.zeros((len(names), *rig.neutral.shape), np.float32)
    for i, delta in enumerate(deltas):
        delta[rig.upper[i], 1] = -6
    return dataclasses.replace(rig, names=(*rig.names, *names), deltas=np.concatenate([rig.deltas, deltas]))


@pytest.mark.parametrize("to", [24, 25, 30, 60])
def test_another_rate_keeps_length_and_motion(to: int) -> None:
    def course(t: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * 1.5 * t)[:, None, None] * np.ones((1, 2, 3))

    found = retimed(course(np.arange(500) / 50), 50, to)
    assert len(found) == 10 * to
    expected = course(np.minimum(np.arange(10 * to) / to, 499 / 50))
    assert np.abs(found - expected).max() < 0.01


def test_long_motions_are_interpolated_as_short_ones_and_the_same_rate_changes_nothing() -> None:
    values = np.random.default_rng(0).random((400, 3, 3))
    found = retimed(values, 25, 60)
    whole = PchipInterpolator(np.arange(400), values)(np.minimum(np.arange(960) * 25 / 60, 399))
    np.testing.assert_allclose(found, whole, atol=1e-12)
    np.testing.assert_array_equal(retimed(values, 25, 25), values)
    assert len(retimed(values[:1], 25, 60)) == 2


def test_a_closed_mouth_stays_closed_between_frames() -> None:
    values = np.array([0, 0, 0, 1, 0.4, 0, 0, 0.0])[:, None]
    found = retimed(values, 25, 100)
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[:8] == 0).all()


def test_amplitude_scales_the_motion_and_smoothing_only_what_is_quick() -> None:
    rig = tiny_rig()
    vertices = rig.vertices(poses(rig))
    larger, fps = controlled(vertices, FPS, rig, Controls(amplitude=1.5))
    np.testing.assert_allclose(larger - rig.neutral, 1.5 * (vertices - rig.neutral), atol=1e-4)
    assert (fps, larger.dtype) == (FPS, np.float32)
    same, _ = controlled(vertices, FPS, rig, Controls())
    np.testing.assert_array_equal(same, vertices)

    impulse = np.tile(rig.neutral, (61, 1, 1))
    impulse[30, 0, 1] += 10
    soft, _ = controlled(impulse, FPS, rig, Controls(smoothing_ms=200))
    bump = soft[:, 0, 1] - rig.neutral[0, 1]
    assert bump.sum() == pytest.approx(10, rel=1e-3)
    assert bump[33] == pytest.approx(bump[30] / 2, rel=0.01)  # half its height 100 ms to either side


def test_blinks_close_the_lids_and_leave_the_mouth_alone() -> None:
    rig = rig_with_eyes()
    vertices = rig.vertices(np.pad(poses(tiny_rig()), ((0, 0), (0, 10))))
    lively = with_living_eyes(vertices, FPS, rig, 3)
    lids = (lively - vertices)[:, rig.upper[0], 1] / -6
    assert lids.max() > 0.9
    assert 0.02 < (lids > 0.5).mean() < 0.2
    assert np.abs((lively - vertices)[:, rig.upper[2:10], 1]).max() > 0.1  # gaze
    np.testing.assert_array_equal(lively[:, rig.lips], vertices[:, rig.lips])
    np.testing.assert_array_equal(lively, with_living_eyes(vertices, FPS, rig, 3))
    assert np.abs(lively - with_living_eyes(vertices, FPS, rig, 4)).max() > 1

    closed = rig.vertices(np.tile(np.eye(12, dtype=np.float32)[2], (300, 1)))  # the lid is closed already
    again = with_living_eyes(closed, FPS, rig, 3)
    assert np.abs((again - closed)[:, rig.upper[0]]).max() < 0.1


def test_a_rig_without_lids_is_said_to_be_one(caplog: pytest.LogCaptureFixture) -> None:
    rig = tiny_rig()
    vertices = rig.vertices(poses(rig, 10))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(with_living_eyes(vertices, FPS, rig, 0), vertices)
    assert "no blinks" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"fps": 0}, "1 to 240"),
        ({"fps": 1000}, "1 to 240"),
        ({"amplitude": -1}, "amplitude"),
        ({"smoothing_ms": -3}, "smoothing"),
    ],
)
def test_senseless_controls_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(TalkmeshError, match=sentence):
        Controls(**wrong)  # type: ignore[arg-type]


def test_another_character_says_the_same() -> None:
    source = tiny_rig()
    assert onto(source, source) is None
    large = dataclasses.replace(
        source,
        name="large",
        neutral=2 * source.neutral,
        deltas=3 * source.deltas[::-1],
        names=source.names[::-1],
    )
    target = onto(source, large, Fit(by="landmarks", names=0.0))
    assert target is not None
    vertices = source.vertices(poses(source))
    found = carried(vertices, source, target)
    assert found.shape == vertices.shape
    assert_lips_agree(source, found / 2, vertices)
    assert np.ptp(opening(large, found)) > 0.1
