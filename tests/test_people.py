"""Who is who, and who is the speaker."""

from __future__ import annotations

import numpy as np

from talkmesh.contracts import SAMPLE_RATE
from talkmesh.landmarks import COUNT
from talkmesh.people import choose, link
from test_neutral import talking
from test_sync import murmur


def at(x: float, y: float, size: float) -> np.ndarray:
    """Points of a face `size` wide about (x, y)."""
    return np.array([x, y]) + np.random.default_rng(0).uniform(-size / 2, size / 2, (COUNT, 2))


def test_everybody_is_followed_through_crossings_of_the_list_and_gaps() -> None:
    main = [at(300 + 4 * t, 240, 120) for t in range(12)]
    other = [at(80, 200, 70) for t in range(12)]
    frames = []
    for t in range(12):
        faces = [main[t], other[t]] if t % 2 else [other[t], main[t]]
        if t in (4, 5):
            faces = [other[t]]  # the speaker is not seen, somebody else is
        if t == 8:
            faces = []
        frames.append(np.array(faces).reshape(-1, COUNT, 2))
    found = link(frames).tolist()
    assert found[0] == [1, 0, 1, 0, -1, -1, 1, 0, -1, 0, 1, 0]  # the larger face first
    assert found[1] == [0, 1, 0, 1, 0, 0, 0, 1, -1, 1, 0, 1]
    assert len(found) == 2


def test_two_people_side_by_side_are_never_swapped_though_one_is_missed_now_and_then() -> None:
    rng = np.random.default_rng(0)
    frames, truth = [], []
    for t in range(100):
        there = [at(200 + 30 * np.sin(t / 9), 200, 100), at(330 + 30 * np.sin(t / 7), 210, 100)]
        order = [i for i in rng.permutation(2) if rng.random() > 0.2]
        frames.append(np.array([there[i] for i in order]).reshape(-1, COUNT, 2))
        truth.append([order.index(i) if i in order else -1 for i in range(2)])
    assert sorted(link(frames).tolist()) == sorted(np.transpose(truth).tolist())


def test_nobody() -> None:
    assert link([np.zeros((0, COUNT, 2))] * 3).tolist() == [[-1, -1, -1]]


def two(gaps: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A large face at the left edge and a small one in the middle, whose mouths open by `gaps` px."""
    large = talking(len(gaps[0]), gaps[0], 1) * 1.5 + [150, 200]
    small = talking(len(gaps[1]), gaps[1], 2) * 0.7 + [320, 240]
    return np.stack([large, small])


def test_the_largest_the_most_central_or_the_one_who_talks() -> None:
    for speaker in (0, 1):
        audio, lips = murmur(6, seed=speaker)
        gaps = [np.abs(murmur(6, seed=9)[1]) * 8, np.abs(murmur(6, seed=9)[1]) * 8]
        gaps[speaker] = lips * 8
        people = two((gaps[0], gaps[1]))
        assert choose(people, (640, 480), "largest", audio, 25) == 0
        assert choose(people, (640, 480), "central", audio, 25) == 1
        assert choose(people, (640, 480), "talking", audio, 25) == speaker


def test_a_passer_by_is_not_the_speaker() -> None:
    people = two((np.zeros(50), np.zeros(50)))
    people[0, 10:] = np.nan
    assert choose(people, (640, 480), "largest", np.zeros(2 * SAMPLE_RATE, np.float32), 25) == 1
