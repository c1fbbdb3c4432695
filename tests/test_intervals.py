"""Bootstrap intervals and paired tests: closed forms, coverage, invariances, a slow reference."""

import numpy as np
import pytest
from scipy import stats

from talkmesh.intervals import Bootstrap, comparisons, difference, holm, intervals

HOW = Bootstrap(4000, 7)


def interval(values: list[float], how: Bootstrap = HOW) -> dict:  # type: ignore[type-arg]
    return intervals(np.array(values)[:, None], how)[0]


def test_mean_interval_and_count_of_the_defined_values() -> None:
    found = interval([1.0, 2.0, np.nan, 3.0])
    assert found["mean"] == 2
    assert found["n_clips"] == 3
    assert 1 <= found["ci95"][0] < 2 < found["ci95"][1] <= 3
    assert interval([5.0])["mean"] == 5
    assert np.isnan(interval([5.0])["ci95"]).all()
    assert np.isnan(interval([np.nan])["mean"])
    assert interval([np.nan])["n_clips"] == 0
    assert interval([4.0, 4.0, 4.0])["ci95"] == [4, 4]


def test_many_normal_clips_have_the_interval_of_student() -> None:
    values = np.random.default_rng(0).normal(3, 2, 200)
    low, high = interval(list(values), Bootstrap(20_000, 1))["ci95"]
    half = stats.t.ppf(0.975, 199) * values.std(ddof=1) / 200**0.5
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_few_clips_are_covered_nearly_as_promised() -> None:
    """Of 400 samples of 10 clips, 95 % of the intervals must hold the true mean; plain percentiles hold it in 90 %."""
    rng = np.random.default_rng(1)
    ends = [found["ci95"] for found in intervals(rng.normal(0, 1, (10, 400)), Bootstrap(1500, 3))]
    assert 0.925 <= np.mean([low <= 0 <= high for low, high in ends]) <= 0.98


def test_equal_seeds_give_equal_intervals_and_other_seeds_others() -> None:
    values = list(np.random.default_rng(2).normal(size=12))
    assert interval(values) == interval(values)
    assert interval(values)["ci95"] != interval(values, Bootstrap(4000, 8))["ci95"]


def test_interval_against_resampling_clip_by_clip() -> None:
    values = np.random.default_rng(3).exponential(size=15)
    rng = np.random.default_rng(4)
    means = [values[rng.integers(0, 15, 15)].mean() for _ in range(20_000)]
    reach = (15 / 14) ** 0.5 * stats.t.ppf(0.975, 14)
    expected = np.quantile(means, [stats.norm.cdf(-reach), stats.norm.cdf(reach)])
    assert interval(list(values), Bootstrap(20_000, 5))["ci95"] == pytest.approx(expected, abs=0.03)


def test_pairing_finds_a_small_constant_difference_under_large_spread() -> None:
    rng = np.random.default_rng(5)
    clips = rng.normal(10, 5, 20)
    a, b = clips + 0.3 + rng.normal(0, 0.05, 20), clips
    found = difference(a, b, HOW)
    assert found["difference"] == pytest.approx(0.3, abs=0.05)
    assert found["ci95"][0] > 0.2
    assert found["p"] == pytest.approx(2 / 2**20)  # all of one sign: the smallest that 20 clips can give
    turned = difference(b, a, HOW)
    assert turned["difference"] == pytest.approx(-found["difference"])
    assert turned["p"] == found["p"]


def test_without_difference_there_is_no_p_and_only_common_clips_count() -> None:
    a = np.array([1.0, 2, 3, np.nan])
    found = difference(a, a, HOW)
    assert found["difference"] == 0
    assert np.isnan(found["p"])
    assert difference(a, np.array([np.nan, 1.0, 1, 1]), HOW)["n_clips"] == 2


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    adjusted = holm([0.01, np.nan])
    assert adjusted[0] == 0.01
    assert np.isnan(adjusted[1])
    assert holm([]) == []


def test_every_pair_that_has_the_metric_is_compared_once() -> None:
    rng = np.random.default_rng(6)
    values = {
        "a": {"lve_mm": rng.normal(3, 1, 8), "lle_px": rng.normal(3, 1, 8)},
        "b": {"lve_mm": rng.normal(1, 1, 8)},
        "c": {"lve_mm": rng.normal(2, 1, 8), "lle_px": np.full(8, np.nan)},
    }
    found = comparisons(values, ["lve_mm", "lle_px"], HOW)
    assert [(f["metric"], f["a"], f["b"]) for f in found] == [
        ("lve_mm", "a", "b"), ("lve_mm", "a", "c"), ("lve_mm", "b", "c"),
    ]  # fmt: skip
    assert [f["p_holm"] for f in found] == holm([f["p"] for f in found])
    assert found[0]["difference"] == pytest.approx((values["a"]["lve_mm"] - values["b"]["lve_mm"]).mean())
