"""The made part of docs/metrics.md: each metric in the words of `talkmesh.definitions` and as a formula.

``python -m docs.metrics --write`` puts the page right; without --write the exit code is 1 where it is not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from docs import made
from talkmesh.definitions import AGAINST_FILM, AGAINST_MESHES, Metric

PAGE = Path(__file__).with_suffix(".md")
BETTER = {"low": "lower is better", "high": "higher is better", "one": "1 is right", "zero": "0 is right"}
WORDS = {  # what the report fills in from the data
    "lips": "|L|",
    "upper": "|U|",
    "points": "MediaPipe's 40 lip points",
    "crop": "`crop.pixels`",
    "closure": "`evaluate.closure_mm`",
}
DISTANCE = r"\left\lVert p_{tv} - g_{tv} \right\rVert"
DYNAMICS = r"\frac{1}{|U|} \sum_{v \in U} \left( \sigma_t \lVert g_{tv} - n_v \rVert%s - \sigma_t \lVert p_{tv} - n_v \rVert%s \right)"
CORRELATION = r"r = \frac{\sum_%(t)s (a_t - \bar a)(b_t - \bar b)}{\sqrt{\sum_%(t)s (a_t - \bar a)^2 \sum_%(t)s (b_t - \bar b)^2}}"
LAG = r"\frac{1000}{f} \left( \ell^* + \frac{r_{\ell^*-1} - r_{\ell^*+1}}{2 \left( r_{\ell^*-1} - 2 r_{\ell^*} + r_{\ell^*+1} \right)} \right), \quad \ell^* = \arg\max_{|\ell| \le R} r_\ell, \quad r_\ell = \mathrm{corr}_{t} \left( a_{t+\ell}, b_t \right)"
LANDMARKS = r"\frac{1}{|G|} \sum_{t \in G} \sqrt{\frac{1}{40} \sum_{i=1}^{40} \left\lVert %(s)s %(R)s x_{ti} + %(d)s - y_{ti} \right\rVert^2}, \quad "
FORMULAE = {
    "lve_mm": rf"\frac{{1}}{{T}} \sum_t \max_{{v \in L}} {DISTANCE}",
    "lve_centered_mm": r"\frac{1}{T} \sum_t \max_{v \in L} \left\lVert \left( p_{tv} - \bar p_t \right) - \left( g_{tv} - \bar g_t \right) \right\rVert, \quad \bar p_t = \frac{1}{|L|} \sum_{u \in L} p_{tu}, \quad \bar g_t = \frac{1}{|L|} \sum_{u \in L} g_{tu}",
    "lve_rms_mm": rf"\sqrt{{\frac{{1}}{{T}} \sum_t \max_{{v \in L}} {DISTANCE}^2}}",
    "lve_sq_mm2": rf"\frac{{1}}{{T}} \sum_t \max_{{v \in L}} {DISTANCE}^2",
    "mve_mm": rf"\frac{{1}}{{T V}} \sum_t \sum_{{v=1}}^{{V}} {DISTANCE}",
    "fdd_mm": DYNAMICS % ("", ""),
    "fdd_sq_mm2": DYNAMICS % ("^2", "^2"),
    "opening_truth_r": CORRELATION % {"t": "t"},
    "opening_truth_sd_ratio": r"\frac{\sigma_t(a_t)}{\sigma_t(b_t)}",
    "opening_truth_lag_ms": LAG,
    "mtm_ms": r"\frac{1000}{f |M|} \sum_{(t, u) \in M} |t - u|",
    "closure_percent": r"\frac{100}{|C|} \left| \left\{ t \in C : h_t(p) \le h(n) + c \right\} \right|, \quad C = \left\{ t : t_1 \le t < t_2, \; h_t(g) \le h(n) + c \right\}",
    "lle_clip_px": LANDMARKS % {"s": "s", "R": "R", "d": "d"}
    + r"(s, R, d) = \arg\min \sum_{t \in G} \sum_{i=1}^{40} \left\lVert s R x_{ti} + d - y_{ti} \right\rVert^2",
    "lle_px": LANDMARKS % {"s": "s_t", "R": "R_t", "d": "d_t"}
    + r"(s_t, R_t, d_t) = \arg\min \sum_{i=1}^{40} \left\lVert s_t R_t x_{ti} + d_t - y_{ti} \right\rVert^2",
    "lle_percent": r"100 \; \frac{\mathrm{lle\_px}}{m}",
    "opening_r": CORRELATION % {"t": "{t \\in G}"},
    "opening_sd_ratio": r"\frac{\sigma_{t \in G}(a_t)}{\sigma_{t \in G}(b_t)}",
    "opening_lag_ms": LAG,
    "jitter_mm": r"\frac{1}{(T-2) \, |L|} \sum_{t=2}^{T-1} \sum_{v \in L} \left\lVert p_{t+1,v} - 2 p_{tv} + p_{t-1,v} \right\rVert",
}  # fmt: skip
NOTES = {  # what the words of the report leave out
    "opening_truth_r": "a is the lip opening of the prediction, b that of the true mesh, bars are means over the clip. "
    "Undefined where either moves by less than 0.000001.",
    "opening_truth_sd_ratio": "0 where the prediction does not move; undefined where the truth does not.",
    "opening_truth_lag_ms": "R = min(round(`evaluate.max_lag_s` · f), ⌊T / 2⌋); each shift is correlated over the frames "
    "that overlap. Undefined where no shift correlates above 0, or where the best one is the first or last that was tried.",
    "mtm_ms": "Both lip distances d (below) are smoothed by a Gaussian with a standard deviation of 2/30 s. Their slopes are "
    "warped onto each other (cost: absolute difference; the cheapest way that is monotonous in both). M holds the pairs on "
    "that way that are a true extreme t and a predicted extreme u of the same kind, u between the true extremes "
    "before and after t. Undefined where M is empty.",
    "closure_percent": "t₁ and t₂ are the first and the last frame in which the true lips are open, h is the gap of the "
    "inner lips (below), n the neutral face, c = `evaluate.closure_mm`. Undefined where C is empty.",
    "lle_clip_px": "R is a rotation, s a scale, d a shift, found in closed form (Umeyama 1991).",
    "lle_px": "Likewise, for each frame.",
    "lle_percent": "m is the mouth width in the speaker's neutral crop, pixels.",
    "opening_r": "a is the lip opening of the prediction, b that of the film.",
    "opening_sd_ratio": "Edge cases as above.",
    "opening_lag_ms": "As above, over the frames that are good in the film; shifts that leave fewer than half of them are not "
    "tried.",
    "jitter_mm": "Undefined below three frames.",
}  # fmt: skip


def text() -> str:
    """Return the made part of the page."""
    parts = [("Against exact meshes", AGAINST_MESHES), ("Against the film", AGAINST_FILM)]
    return "\n\n".join(
        block for head, metrics in parts for block in (f"## {head}", *(_metric(m) for m in metrics))
    )


def _metric(metric: Metric) -> str:
    unit = f", {metric.unit}" if metric.unit else ""
    better = BETTER[metric.better] if metric.better else "not a score"
    says = metric.says.format(**WORDS)
    note = f"\n\n{NOTES[metric.name]}" if metric.name in NOTES else ""
    return (
        f"### `{metric.name}`\n\n**{metric.label}**{unit}; {better}. {says}\n\n"
        f"```math\n{FORMULAE[metric.name]}\n```{note}"
    )


def main() -> int:
    """Write the page, or say by the exit code whether it is as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the page right")
    return made.main(PAGE, "metrics", text(), parser.parse_args().write)


if __name__ == "__main__":
    sys.exit(main())
