"""Mean temporal misalignment against the published double loop, written down again, and against known delays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from talkmesh.errors import TalkmeshError
from talkmesh.misalignment import extremes, mtm_ms, warped

seeds = st.integers(0, 2**32 - 1)


def lips(seed: int, frames: int) -> np.ndarray:
    return 8 + gaussian_filter1d(np.random.default_rng(seed).normal(0, 5, frames), 2)


def slow_way(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    """The table filled cell by cell, and the way back: a diagonal step first, then one in `a`, then one in `b`."""
    da = [0.0, *(a[i] - a[i - 1] for i in range(1, len(a)))]
    db = [0.0, *(b[i] - b[i - 1] for i in range(1, len(b)))]
    total = {(0, 0): 0.0}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            before = [total.get(cell, np.inf) for cell in ((i - 1, j), (i, j - 1), (i - 1, j - 1))]
            total[i, j] = abs(da[i - 1] - db[j - 1]) + min(before)
    way, cell = [], (len(a), len(b))
    while min(cell) > 0:
        i, j = cell
        way.append((i - 1, j - 1))
        cell = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda c: total.get(c, np.inf))
    return way[::-1]


def slow_mtm(predicted: np.ndarray, truth: np.ndarray, fps: float) -> float:
    a, b = (gaussian_filter1d(s, 2 / 30 * fps) for s in (truth, predicted))

    def kinds(s: np.ndarray) -> dict[int, int]:
        found = {}
        for i in range(1, len(s) - 1):
            if s[i - 1] < s[i] > s[i + 1]:
                found[i] = 1
            if s[i - 1] > s[i] < s[i + 1]:
                found[i] = -1
        return found

    of_a, of_b = kinds(a), kinds(b)
    places, gaps = sorted(of_a), []
    for i, j in slow_way(a, b):
        if i in of_a and of_a[i] == of_b.get(j):
            k = places.index(i)
            left = places[k - 1] if k > 0 else 0
            right = places[k + 1] if k + 1 < len(places) else len(a) - 1
            if left <= j <= right:
                gaps.append(abs(i - j))
    return float(np.mean(gaps)) * 1000 / fps if gaps else float("nan")


@given(seeds, st.integers(2, 40), st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_way_is_that_of_the_double_loop(seed: int, n: int, m: int) -> None:
    a, b = lips(seed, n), lips(seed + 1, m)
    assert list(zip(*map(np.ndarray.tolist, warped(a, b)), strict=True)) == slow_way(a, b)


def test_way_through_ties_is_that_of_the_double_loop() -> None:
    a, b = np.array([0.0, 1, 1, 1, 0, 0, 1]), np.array([0.0, 0, 1, 1, 0])
    assert list(zip(*map(np.ndarray.tolist, warped(a, b)), strict=True)) == slow_way(a, b)


@pytest.mark.parametrize("fps", [25.0, 30.0])
def test_against_the_slow_reference(fps: float) -> None:
    for seed in range(6):
        truth = lips(seed, 70)
        predicted = 0.7 * np.roll(truth, 2) + 0.3 * lips(seed + 50, 70)
        assert mtm_ms(predicted, truth, fps) == pytest.approx(slow_mtm(predicted, truth, fps), nan_ok=True)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_delay_of_everything_is_found(delay: int) -> None:
    """Of slow and regular lips: every extreme is late by as much, and its neighbours are far."""
    t = np.arange(150)
    truth = 5 + 3 * np.sin(2 * np.pi * t / 25) + 0.8 * np.sin(2 * np.pi * t / 60)
    late = np.concatenate([np.full(delay, truth[0]), truth[: 150 - delay]])
    assert mtm_ms(late, truth, 25.0) == pytest.approx(delay * 40, abs=8)
    assert mtm_ms(0.5 * late, 0.5 * truth, 25.0) == mtm_ms(late, truth, 25.0)


def test_what_does_not_move_has_no_extremes() -> None:
    truth = lips(3, 60)
    assert np.isnan(mtm_ms(np.full(60, 2.0), truth, 25.0))
    assert np.isnan(mtm_ms(truth, np.full(60, 2.0), 25.0))
    assert np.isnan(mtm_ms(np.arange(60.0), truth, 25.0))
    assert extremes(np.array([0.0, 1, 0, -1, 0])).tolist() == [0, 1, 0, -1, 0]


def test_lengths_and_nan_are_errors() -> None:
    with pytest.raises(TalkmeshError, match="one shape"):
        mtm_ms(lips(0, 10), lips(0, 11), 25.0)
    with pytest.raises(TalkmeshError, match="prediction holds NaN"):
        mtm_ms(np.full(10, np.nan), lips(0, 10), 25.0)
