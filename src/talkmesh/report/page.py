"""The page: from what was collected to HTML. Nothing is read or computed here, and nothing comes from a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pandas as pd

from talkmesh.definitions import AGAINST_FILM, DISTANCES, METHODS, METRICS, MOTION, Metric
from talkmesh.references import REFERENCES
from talkmesh.report.tables import (
    comparison_table,
    data_tables,
    number,
    ratio_to_still,
    results_table,
    swatch,
)

SYNTHETIC_NOTE = (
    "Synthetic benchmark: the figures say how well the method learns a face that was rendered, and nothing about a "
    "filmed one."
)


@dataclass(frozen=True)
class Picture:
    """A file below the report's folder and its caption; face : a small square picture."""

    file: str
    caption: str
    face: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a strip: label, remark below it, picture file."""

    label: str
    remark: str
    file: str


@dataclass(frozen=True)
class Shown:
    """What is shown of one test clip. opening : SVG; video, poster : files below the report's folder."""

    clip: str
    text: str
    opening: str
    video: str
    poster: str
    strip: list[Row]


@dataclass(frozen=True)
class Report:
    """Everything on the page.

    results : the content of reports/metrics.json; colours : method to CSS colour; tables : the paper's, as HTML;
    heat, heat_scale : errors on the face and their scale; openings : lip opening of every clip, SVG.
    """

    results: dict[str, Any]
    colours: dict[str, str]
    clips: pd.DataFrame
    crops: pd.DataFrame
    shown: list[Shown] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    heat: list[Picture] = field(default_factory=list)
    heat_scale: str = ""
    openings: str = ""
    spreads: list[str] = field(default_factory=list)
    curves: list[str] = field(default_factory=list)
    neutrals: list[Picture] = field(default_factory=list)
    previews: list[Picture] = field(default_factory=list)
    coverage: str = ""


COVERAGE = (
    "Networks learn from the rendered poses what faces look like; a filmed lip shape far from all of them they have to "
    "guess. Each is compared with its own face at rest."
)

COMPARISONS = (
    "Mean difference over the clips that both have, its 95 % interval (the same resampled clips for both), and the p "
    "value of Wilcoxon's signed-rank test, adjusted for the number of pairs (Holm). Marked: p below 0.05. All pairs "
    "are in <code>reports/metrics.json</code>."
)
HEAT = "Mean distance of every vertex from the true one over all frames of all test clips, drawn on the neutral face."
STRIPS = (
    "The same clips, in frames spaced along the motion of the filmed lips. Frames in which the lips close between two "
    "openings are framed, in every row: a method whose lips stay apart there misses a closure."
)

# ------------------------------------------------------------------------------------------------- sections


def _cards(report: Report) -> str:
    """The methods that learn, a card each, with the figures that decide."""
    methods = report.results["methods"]
    wanted = ["lve_mm", "lle_clip_px", "opening_truth_r", "opening_r", "opening_sd_ratio", "opening_lag_ms"]
    cards = []
    for method, values in methods.items():
        names = [n for n in wanted if values.get(n, {}).get("mean") is not None]
        if method in REFERENCES or "skipped" in values:
            continue
        figures = "".join(_figure(METRICS[n], values[n]["mean"], methods) for n in names[:4])
        cards.append(
            f'<div class="card"><h3>{swatch(report.colours.get(method))}{escape(method)}</h3>'
            f"<p>{escape(METHODS.get(method, ''))}</p><dl>{figures}</dl></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _figure(metric: Metric, mean: float, methods: Mapping[str, Any]) -> str:
    unit = f" {metric.unit}" if metric.unit in ("mm", "px", "ms") else ""
    below = ratio_to_still(metric, mean, methods) or f"against the {metric.against}"
    return (
        f"<div><dt>{escape(metric.label)}</dt>"
        f"<dd>{number(mean, metric.digits)}{unit}<small>{escape(below)}</small></dd></div>"
    )


def _results(report: Report) -> str:
    methods, absent = report.results["methods"], sorted(set(report.results["absent"].values()))
    meshes, motion = (results_table(metrics, methods, report.colours) for metrics in (DISTANCES, MOTION))
    compared = comparison_table(report.results["comparisons"])
    return (
        "<p>Mean over test clips, the 95 % confidence interval below it (bootstrap over clips), and for errors the "
        "ratio to the still face. The best of each column is marked.</p>"
        + (f"<h3>Against the exact meshes</h3>{meshes}" if meshes else "")
        + (f"<h3>Against the exact meshes, in time</h3>{motion}" if motion else "")
        + "".join(f'<p class="note">No errors in millimetres: {escape(reason)}.</p>' for reason in absent)
        + f"<h3>Against the filmed lips</h3>{results_table(AGAINST_FILM, methods, report.colours)}"
        + f'<div class="charts">{"".join(_block(svg) for svg in report.spreads)}</div>'
        + (f"<h3>Method against method</h3><p>{COMPARISONS}</p>{compared}" if compared else "")
    )


def _block(content: str, caption: str = "") -> str:
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="block">{content}{text}</figure>'


def _videos(report: Report) -> str:
    return "".join(
        _block(
            f'<video controls preload="metadata" poster="{quote(s.poster)}" src="{quote(s.video)}"></video>',
            f"{s.clip}. {s.text}",
        )
        for s in report.shown
    )


def _strips(report: Report) -> str:
    blocks = []
    for s in report.shown:
        rows = "".join(
            f"<span>{escape(r.label)}<small>{escape(r.remark)}</small></span>"
            f'<img src="{quote(r.file)}" alt="{escape(f"{s.clip}: {r.label}")}" loading="lazy">'
            for r in s.strip
        )
        blocks.append(
            f'<h3>{escape(s.clip)}</h3><div class="panel scroll"><div class="strip">{rows}</div></div>'
        )
    return "".join(blocks)


def _pictures(pictures: Iterable[Picture]) -> str:
    return '<div class="pictures">{}</div>'.format(
        "".join(
            f'<figure class="{"face" if p.face else "wide"}"><img src="{quote(p.file)}" alt="{escape(p.caption)}" '
            f'loading="lazy"><figcaption>{escape(p.caption)}</figcaption></figure>'
            for p in pictures
        )
    )


def _heat(report: Report) -> str:
    return _pictures(report.heat) + _block(report.heat_scale) if report.heat else ""


def _coverage(report: Report) -> str:
    return _block(report.coverage) if report.coverage else ""


def _definitions(report: Report) -> str:
    on = report.results["measured_on"]
    words = {"crop": on["crop_px"], "lips": on["lip_vertices"], "points": on["landmarks"]}
    words |= {"upper": on["upper_vertices"], "closure": on["closure_mm"]}
    metrics = "".join(
        f"<dt>{escape(m.label)}<small><code>{m.name}</code>{escape(f', {m.unit}' if m.unit else '')}</small></dt>"
        f"<dd>{escape(m.says.format(**words))}</dd>"
        for m in METRICS.values()
        if any(m.name in values for values in report.results["methods"].values())
    )
    known = [name for name in report.results["methods"] if name in METHODS]
    methods = "".join(f"<dt>{escape(name)}</dt><dd>{escape(METHODS[name])}</dd>" for name in known)
    return (
        f'<h3>Methods</h3><dl class="words">{methods}</dl><h3>Metrics</h3><dl class="words">{metrics}</dl>'
        "<p>Lip opening is the vertical gap of the inner lips (mean of three pairs of landmarks) over the mouth width "
        "(median of the clip), in the film and in the projected mesh alike.</p>"
        "<p>Predictions and references must agree in length within one frame and are cut to the shorter. A correlation "
        "with something that does not move is undefined and shown as a dash.</p>"
    )


def html(report: Report) -> str:
    """Return the whole page; sections without content are left out."""
    results = report.results
    synthetic = str(results.get("synthetic", ""))
    corpus, on = escape(str(results["corpus"])), results["measured_on"]
    first = f"The first {len(report.shown)} test clips, not chosen by result."
    openings = "".join(_block(s.opening) for s in report.shown)
    sections = [
        ("results", "Results", _results(report)),
        ("tables", "Tables of the paper", "".join(report.tables)),
        ("watch", "Watch and listen", _text(first, _videos(report))),
        (
            "frames",
            "Frame by frame",
            _text(STRIPS, _strips(report)),
        ),
        ("errors", "Where the errors are", _text(HEAT, _heat(report))),
        (
            "opening",
            "Lip opening",
            _text(
                "Gap of the inner lips over the mouth width, frame by frame; the first clips, and below them all.",
                openings + (_block(report.openings) if report.openings else ""),
            ),
        ),
        ("training", "Training", "".join(_block(svg) for svg in report.curves)),
        ("pictures", "Neutral faces and previews", _pictures(report.neutrals) + _pictures(report.previews)),
        ("coverage", "Lip shapes rendered and filmed", _text(COVERAGE, _coverage(report))),
        ("data", "Data", data_tables(report.clips, report.crops)),
        ("definitions", "Definitions", _definitions(report)),
    ]
    if not report.neutrals and not report.previews:
        sections = [s for s in sections if s[0] != "pictures"]
    sections = [s for s in sections if s[2]]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in sections)
    body = "".join(
        f'<section><h2 id="{key}">{title}</h2>{content}</section>' for key, title, content in sections
    )
    style = files("talkmesh.report").joinpath("style.css").read_text(encoding="utf-8")
    note = f'<p class="note">{SYNTHETIC_NOTE} {escape(synthetic)}</p>' if synthetic else ""
    badge = '<span class="badge">synthetic benchmark</span>' if synthetic else ""
    speakers = ", ".join(sorted(set(report.clips["speaker"].dropna().astype(str))))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>talkmesh report: {corpus}{" (synthetic benchmark)" if synthetic else ""}</title>
<style>
{style}</style>
</head>
<body>
<header><div>
<h1>Speech to 3D face: corpus {corpus}{badge}</h1>
<div class="facts">Speaker {escape(speakers)}, character {escape(str(on.get("rig")))}, track {escape(results["track"])},
{on.get("clips")} test clips</div>
</div></header>
<nav><div>{links}</div></nav>
<main>
<section class="summary">{note}{_cards(report)}</section>
{body}
<footer>Made by <code>dvc repro report</code> from <code>reports/methods/</code>, <code>predictions/</code> and
<code>models/</code>. The numbers are in <code>reports/metrics.json</code>, per clip in
<code>reports/methods/*.csv</code>.
</footer>
</main>
</body>
</html>
"""


def _text(text: str, content: str) -> str:
    return f"<p>{text}</p>{content}" if content else ""
