"""Wilson's interval and the binomial test, against published values, scipy and a slow sum."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from scipy import stats

from talkmesh.study.shares import Share


@pytest.mark.parametrize(
    ("preferred", "answers", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(preferred: int, answers: int, low: float, high: float) -> None:
    assert Share(preferred, answers).interval == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("n", [1, 2, 9, 40, 100, 263])
def test_the_interval_is_scipy_s_and_solves_the_equation_of_the_score_test(n: int) -> None:
    for k in range(0, n + 1, max(1, n // 20)):
        share = Share(k, n)
        low, high = share.interval
        theirs = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
        assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
        assert 0 <= low <= share.value <= high <= 1
        for end in (low, high):  # |share - end| = z sqrt(end (1 - end) / n)
            assert (share.value - end) ** 2 == pytest.approx(
                1.959963984540054**2 * end * (1 - end) / n, abs=1e-9
            )


@pytest.mark.parametrize("n", [1, 2, 7, 20, 40, 100])
def test_the_test_is_the_sum_of_all_outcomes_that_are_no_likelier(n: int) -> None:
    chances = [Fraction(math.comb(n, k), 2**n) for k in range(n + 1)]
    for k in range(n + 1):
        exact = sum((c for c in chances if c <= chances[k]), Fraction(0))
        assert Share(k, n).p == pytest.approx(float(exact), rel=1e-9)


def test_no_answers_are_no_share_and_sums_count_together() -> None:
    nothing = Share(0, 0)
    assert all(map(math.isnan, (nothing.value, *nothing.interval, nothing.p)))
    assert Share(16, 40) + Share(23, 40) == Share(39, 80)
    with pytest.raises(ValueError, match="no share"):
        Share(3, 2)
