"""How sure a mean over clips is, and whether two methods differ: paired bootstrap and signed ranks.

Clips are what is drawn: frames of one clip are not independent. All methods are judged on the same clips, and the same
resampled clips serve every method, so that differences between methods are differences on equal material.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Bootstrap:
    """resamples : how often clips are drawn; seed : of the draws."""

    resamples: int
    seed: int


@lru_cache(maxsize=8)
def _draws(clips: int, how: Bootstrap) -> np.ndarray:
    """Return how often each clip is drawn, (resamples, clips); the same for equal numbers of clips."""
    return np.random.default_rng(how.seed).multinomial(clips, np.full(clips, 1 / clips), how.resamples)


def _quantiles(clips: int) -> tuple[float, float]:
    """Lower and upper quantile of the expanded percentile interval (Hesterberg 2015, sec. 3.3).

    Plain percentiles are too narrow for few clips, by a factor of sqrt((n - 1) / n) and that of t against normal;
    these quantiles make up for both.
    """
    reach = np.sqrt(clips / (clips - 1)) * stats.t.ppf((1 + LEVEL) / 2, clips - 1)
    return float(stats.norm.cdf(-reach)), float(stats.norm.cdf(reach))


def intervals(values: np.ndarray, how: Bootstrap) -> list[dict[str, Any]]:
    """Return mean, 95 % bootstrap interval and number of the defined values of each column.

    Parameters
    ----------
    values : (clips, columns), NaN where undefined

    Returns
    -------
    ``{"mean", "ci95": [low, high], "n_clips"}`` a column. One value has a mean and no interval; none has neither: NaN,
    which JSON shows as null.
    """
    values = np.asarray(values, float)
    found: list[dict[str, Any]] = []
    for column in values.T:
        known = column[np.isfinite(column)]
        mean = float(known.mean()) if len(known) else float("nan")
        found.append({"mean": mean, "ci95": list(_interval(known, how)), "n_clips": len(known)})
    return found


def _interval(known: np.ndarray, how: Bootstrap) -> tuple[float, float]:
    if len(known) < 2:
        return float("nan"), float("nan")
    means = _draws(len(known), how) @ known / len(known)
    low, high = np.quantile(means, _quantiles(len(known)))
    return float(low), float(high)


def difference(a: np.ndarray, b: np.ndarray, how: Bootstrap) -> dict[str, Any]:
    """Compare two methods on the clips (n,) that both have a value for.

    Returns
    -------
    ``{"difference", "ci95", "p", "n_clips"}``: the mean of a - b with its bootstrap interval, and the p value of
    Wilcoxon's signed-rank test. The interval says how much, in the metric's unit; the test, exact for few clips, says
    whether, and a single odd clip cannot decide it. p is NaN if no clip differs.
    """
    gaps = np.asarray(a, float) - np.asarray(b, float)
    gaps = gaps[np.isfinite(gaps)]
    (found,) = intervals(gaps[:, None], how)
    p = float(stats.wilcoxon(gaps).pvalue) if np.any(gaps) else float("nan")
    return {"difference": found["mean"], "ci95": found["ci95"], "p": p, "n_clips": len(gaps)}


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for being many (Holm 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)[: int(np.isfinite(p).sum())]  # NaN is sorted to the end
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return adjusted.tolist()


def comparisons(
    values: Mapping[str, Mapping[str, np.ndarray]], metrics: Sequence[str], how: Bootstrap
) -> list[dict[str, Any]]:
    """Compare every pair of methods in every metric that both have.

    Parameters
    ----------
    values : method to metric to (clips,), the clips of all methods in one order

    Returns
    -------
    ``{"metric", "a", "b", "difference", "ci95", "p", "p_holm", "n_clips"}`` a pair; p_holm is adjusted for the number
    of pairs compared in that metric
    """
    found = []
    for metric in metrics:
        having = [method for method in values if metric in values[method]]
        pairs = [
            {"metric": metric, "a": a, "b": b} | difference(values[a][metric], values[b][metric], how)
            for a, b in combinations(having, 2)
        ]
        pairs = [pair for pair in pairs if pair["n_clips"]]
        for pair, p in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
            pair["p_holm"] = p
        found += pairs
    return found
