"""The neutral frame: closed, at rest, sharp."""

from __future__ import annotations

import dataclasses

import numpy as np

from talkmesh.landmarks import COUNT, INNER_LIPS, LIPS, OUTER_LIPS, STABLE
from talkmesh.neutral import BROWS, LIDS, POINTS, Frames, frames_of, motion, rank


def talking(frames: int, opening: np.ndarray, seed: int = 0) -> np.ndarray:
    """Points (T, 478, 2) of a mouth 40 px wide that opens by `opening` px, with detection noise."""
    rng = np.random.default_rng(seed)
    points = np.tile(np.random.default_rng(9).normal(0, 50, (COUNT, 2)), (frames, 1, 1))
    angle = np.pi - np.arange(20) * np.pi / 10
    half = opening[:, None] / 2
    for ring, width, height in ((OUTER_LIPS, 20, half + 4), (INNER_LIPS, 16, half)):
        points[:, list(ring), 0] = width * np.cos(angle)
        points[:, list(ring), 1] = -height * np.sin(angle)
    return points + rng.normal(0, 0.05, points.shape)


def frames(clips, sharpness, levels, every: int = 1) -> list[Frames]:
    return [
        frames_of(c[:, POINTS], s, level, every) for c, s, level in zip(clips, sharpness, levels, strict=True)
    ]


def pick(clips, sharpness, levels, shape) -> tuple[int, int]:
    (best,) = rank(frames(clips, sharpness, levels), shape)
    return best


def rest_between(speech: np.ndarray, start: int, stop: int) -> np.ndarray:
    speech = speech.copy()
    speech[start:stop] = 0.3
    return speech


def speech(frames: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        np.abs(np.sin(np.arange(frames) * 0.8 + rng.uniform(0, 6))) * 12
    )  # closes between syllables, never rests


def test_the_pause_is_chosen_and_not_a_closure_in_speech() -> None:
    clips = [talking(60, speech(60, 1), 1), talking(60, rest_between(speech(60, 2), 20, 34), 2)]
    shape = clips[0][0, list(STABLE)]
    clip, frame = pick(clips, [np.ones(60, np.float32)] * 2, [np.zeros(60)] * 2, shape)
    assert clip == 1
    assert 21 <= frame <= 32


def test_raised_brows_closed_eyes_turned_heads_and_blur_are_avoided() -> None:
    clip = talking(80, rest_between(speech(80, 2), 10, 70), 3)
    sharpness = np.ones(80, np.float32)
    clip[10:20][:, list(BROWS)] += [0, -6]
    clip[20:30][:, list(LIDS)] += [0, 4]
    clip[30:40][:, list(STABLE)] += np.random.default_rng(0).normal(0, 4, (len(STABLE), 2))
    clip[40:50][:, list(LIPS), 0] *= 0.8  # pursed
    sharpness[50:60] = 0.2
    shape = clip[0, list(STABLE)]
    assert 60 <= pick([clip], [sharpness], [np.zeros(80)], shape)[1] < 70


def test_frames_without_a_face_are_never_chosen() -> None:
    clip = talking(30, np.full(30, 0.3))
    clip[:25] = np.nan
    assert pick([clip], [np.ones(30, np.float32)], [np.zeros(30)], np.zeros((len(STABLE), 2)))[1] >= 25
    one = clip[25:26]
    assert pick([one], [np.ones(1, np.float32)], [np.zeros(1)], np.zeros((len(STABLE), 2))) == (0, 0)


def test_motion_is_speed() -> None:
    points = np.zeros((20, 4, 2)) + np.arange(20)[:, None, None] * [3, 4]
    assert np.allclose(motion(points), 5)
    points[7] = np.nan
    assert np.isnan(motion(points)[7])
    assert np.isfinite(np.delete(motion(points), 7)).all()


def test_of_two_rests_the_silent_one_is_chosen() -> None:
    gaps = rest_between(rest_between(speech(90, 2), 10, 30), 55, 75)
    levels = np.full(90, -20.0)
    levels[52:78] = -70
    clip = talking(90, gaps, 4)
    assert 56 <= pick([clip], [np.ones(90, np.float32)], [levels], clip[0, list(STABLE)])[1] < 74


def test_candidates_are_ranked_and_lie_apart() -> None:
    gaps = rest_between(rest_between(speech(90, 2), 10, 40), 55, 75)
    given = ([talking(90, gaps, 4)] * 2, [np.ones(90, np.float32)] * 2, [np.zeros(90)] * 2)
    shape = given[0][0][0, list(STABLE)]
    found = rank(frames(*given), shape, 6, 8)
    assert found[0] == pick(*given, shape)
    assert len(found) == len(set(found)) == 6
    for clip in (0, 1):
        numbers = sorted(t for c, t in found if c == clip)
        assert len(numbers) > 1
        assert np.diff(numbers).min() >= 8
        assert all(10 <= t < 40 or 55 <= t < 75 for t in numbers)
    assert len(rank(frames(*given), shape, 1000, 90)) == 2  # one a clip


def test_of_a_long_film_every_third_frame_is_looked_at_with_the_motion_between_all() -> None:
    clip = talking(90, rest_between(speech(90, 2), 20, 40), 4)
    clip[30] = np.nan
    given = ([clip], [np.arange(90.0)], [np.arange(90.0)])
    (all_of_them,), (some,) = frames(*given), frames(*given, 3)
    assert some.number.tolist() == np.delete(np.arange(90), 30)[::3].tolist()
    for field in dataclasses.fields(Frames):
        np.testing.assert_array_equal(getattr(some, field.name), getattr(all_of_them, field.name)[::3])
    assert 20 <= rank([some], clip[0, list(STABLE)])[0][1] < 40
