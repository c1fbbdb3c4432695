"""Cuts are found to the frame; motion, flashes, light and held frames are none."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from talkmesh import shots

HEIGHT, WIDTH = 144, 192


def scene(seed: int) -> np.ndarray:
    """A wall and a face-like blob, (H, W) float32, twice as large as a frame."""
    rng = np.random.default_rng(seed)
    wall = cv2.GaussianBlur(rng.normal(0, 1, (2 * HEIGHT, 2 * WIDTH)).astype(np.float32), (0, 0), 12)
    return 120 + 40 * wall / wall.std()


def frame(
    background: np.ndarray, x: float, y: float = 0.0, light: float = 1.0, noise: int = 0
) -> av.VideoFrame:
    """A head at (x, y) before a wall, in pixels from the middle."""
    image = background[:HEIGHT, :WIDTH].copy()
    centre = (round(WIDTH / 2 + x), round(HEIGHT / 2 + y))
    cv2.ellipse(image, centre, (32, 45), 0, 0, 360, 190, -1)
    for side in (-12, 12):
        cv2.circle(image, (centre[0] + side, centre[1] - 12), 5, 60, -1)
    cv2.ellipse(image, (centre[0], centre[1] + 20), (12, 5), 0, 0, 360, 90, -1)
    image += np.random.default_rng(noise).normal(0, 3, image.shape)
    return av.VideoFrame.from_ndarray(np.clip(image * light, 0, 255).astype(np.uint8), format="gray")


def swaying(
    seed: int, count: int, reach: float, frames_a_swing: float, first: int = 0
) -> list[av.VideoFrame]:
    wall = scene(seed)
    phase = 2 * np.pi * (first + np.arange(count)) / frames_a_swing
    return [frame(wall, reach * np.sin(p), reach / 3 * np.cos(p), noise=k) for k, p in enumerate(phase)]


@pytest.mark.parametrize("at", [1, 2, 5, 30, 58, 59])
def test_a_cut_is_found_to_the_frame(at: int) -> None:
    frames = swaying(1, at, 6, 40) + swaying(2, 60 - at, 6, 40)
    assert list(shots.cuts(frames)) == [at]


def test_a_jump_before_the_same_wall_is_a_cut() -> None:
    frames = swaying(1, 30, 3, 60) + [frame(scene(1), 20 + k / 10, 4, noise=k) for k in range(30)]
    assert list(shots.cuts(frames)) == [30]


def test_short_shots_are_found() -> None:
    frames = swaying(1, 20, 4, 40) + swaying(2, 3, 4, 40) + swaying(3, 20, 4, 40) + swaying(1, 9, 4, 40)
    assert list(shots.cuts(frames)) == [20, 23, 43]


@pytest.mark.parametrize("frames_a_swing", [12, 20, 60])
def test_fast_motion_is_no_cut(frames_a_swing: float) -> None:
    still = [frame(scene(1), 0, 12, noise=k) for k in range(15)]
    assert list(shots.cuts(still + swaying(1, 60, 36, frames_a_swing) + still)) == []


@pytest.mark.parametrize("lights", [(2.5,), (2.5, 2.5), (3.0, 2.0, 1.4, 1.1), (0.1,)])
def test_a_flash_is_no_cut(lights: tuple[float, ...]) -> None:
    before, after = swaying(1, 20, 6, 40), swaying(1, 20, 6, 40, first=20 + len(lights))
    flash = [frame(scene(1), 0, 2, light, noise=99) for light in lights]
    assert list(shots.cuts(before + flash + after)) == []


def test_a_light_that_is_switched_is_no_cut() -> None:
    frames = [frame(scene(1), 6 * np.sin(k / 6), light=1.0 if k < 30 else 0.6, noise=k) for k in range(60)]
    assert list(shots.cuts(frames)) == []


def test_another_size_is_another_shot_and_held_frames_are_passed_over() -> None:
    frames = swaying(1, 30, 6, 40)
    larger = [f.reformat(2 * WIDTH, 2 * HEIGHT) for f in frames]
    assert list(shots.cuts(frames[:10] + larger[10:])) == [10]
    held = [f for f in swaying(1, 20, 20, 20) for _ in range(3)]
    assert list(shots.cuts(held)) == []
    joined = [f for f in swaying(1, 10, 6, 40) + swaying(2, 10, 6, 40) for _ in range(2)]
    assert list(shots.cuts(joined)) == [20]


def test_nothing_and_one_frame() -> None:
    assert list(shots.cuts([])) == []
    assert list(shots.cuts([frame(scene(1), 0)])) == []
