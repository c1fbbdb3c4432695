"""The report's tables: scores with their intervals, clips with what was dropped. HTML from values, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from talkmesh.definitions import METRICS, Metric
from talkmesh.references import REFERENCES, STILL

DASH = "&ndash;"
QUALITY = {  # column of the table of crops: its heading and the digits it is shown with
    "faces": ("frames with a face", 0),
    "good": ("good", 0),
    "people": ("people", 0),
    "yaw_deg": ("yaw, degrees", 0),
    "sharpness": ("sharpness", 2),
    "exposure": ("exposure", 2),
    "loudness_db": ("loudness, dB", 0),
    "offset_ms": ("sound late by, ms", 0),
    "sync_confidence": ("as sure as", 2),
    "shift_ms": ("shifted by, ms", 0),
    "residual_px_before": ("skull moved by, px", 2),
    "residual_px_after": ("aligned, px", 2),
}
QUALITY_SAYS = (
    "Yaw is that of the most turned frames but for one in twenty. Sharpness and exposure (0 to 1) are medians and "
    "compare within a speaker only; loudness is that of the loud parts. How far the sound comes late is an "
    "estimate, as sure as the next column says (0 to 1); sound that was shifted for it is in step in the crops. "
    "How much eye corners and nose bridge move is measured in crop pixels, under one window for the whole clip and "
    "as aligned."
)


def number(value: float | None, digits: int) -> str:
    """Format a value; what is undefined is a dash."""
    if value is None or not np.isfinite(value):
        return DASH
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "&minus;")  # + 0.0: no minus zero


def best_of(metric: Metric, methods: Mapping[str, Any]) -> set[str]:
    """Return the methods with the best mean of a metric as printed; reference rows do not compete."""
    distance = {"low": lambda v: v, "high": lambda v: -v, "one": lambda v: abs(v - 1), "zero": abs}
    if metric.better is None:
        return set()
    scores = {
        method: distance[metric.better](round(values[metric.name]["mean"], metric.digits))
        for method, values in methods.items()
        if method not in REFERENCES and values.get(metric.name, {}).get("mean") is not None
    }
    return {method for method, score in scores.items() if score == min(scores.values())}


def ratio_to_still(metric: Metric, value: float | None, methods: Mapping[str, Any]) -> str:
    """Return "0.57 of still" for errors, else nothing."""
    floor = methods.get(STILL, {}).get(metric.name, {}).get("mean")
    return (
        f"{number(value / floor, 2)} of still"
        if metric.better == "low" and floor and value is not None
        else ""
    )


def _cell(metric: Metric, method: str, methods: Mapping[str, Any], best: set[str]) -> str:
    value = methods[method].get(metric.name)
    if value is None or value["mean"] is None:
        return f"<td>{DASH}</td>"
    low, high = value["ci95"]
    notes = [f"{number(low, metric.digits)} to {number(high, metric.digits)}"] if low is not None else []
    ratio = ratio_to_still(metric, value["mean"], methods) if method not in REFERENCES else ""
    small = "".join(f"<small>{note}</small>" for note in (*notes, ratio) if note)
    mark = ' class="best"' if method in best else ""
    return f"<td{mark}><b>{number(value['mean'], metric.digits)}</b>{small}</td>"


def swatch(colour: str | None) -> str:
    """Return a small square of a CSS colour."""
    return f'<span class="swatch" style="background: {colour}"></span>' if colour else ""


def results_table(metrics: Sequence[Metric], methods: Mapping[str, Any], colours: Mapping[str, str]) -> str:
    """Return methods x metrics as a table: mean, interval, ratio to the still face; the best is marked."""
    metrics = [m for m in metrics if any(m.name in values for values in methods.values())]
    if not metrics:
        return ""
    head = "".join(f"<th>{escape(m.label)}<small>{escape(m.unit or 'r')}</small></th>" for m in metrics)
    best = {m.name: best_of(m, methods) for m in metrics}
    lines = []
    for method, values in methods.items():
        if "skipped" in values:
            cells = f'<td colspan="{len(metrics)}" style="text-align: left">skipped: {escape(values["skipped"])}</td>'
        else:
            cells = "".join(_cell(m, method, methods, best[m.name]) for m in metrics)
        kind = ' class="reference"' if method in REFERENCES else ""
        lines.append(f"<tr{kind}><th>{swatch(colours.get(method))} {escape(method)}</th>{cells}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr><th>method</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def comparison_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the first method against each other one, a column a metric: difference, interval, p value.

    Parameters
    ----------
    found : the comparisons of `talkmesh.report.collect`; those of the first method in them are shown
    """
    if not found:
        return ""
    first = found[0]["a"]
    names = list(dict.fromkeys(pair["metric"] for pair in found))
    by_method: dict[str, dict[str, str]] = {}
    for pair in found:
        if pair["a"] == first:
            by_method.setdefault(pair["b"], {})[pair["metric"]] = _difference(pair)
    heads = (METRICS[name] for name in names)
    head = "".join(
        f"<th>{escape(m.label)}<small>{escape(m.unit or 'r')}, against the {m.against}</small></th>"
        for m in heads
    )
    body = "".join(
        f"<tr><th>{escape(first)} &minus; {escape(other)}</th>"
        + "".join(cells.get(n, f"<td>{DASH}</td>") for n in names)
        + "</tr>"
        for other, cells in by_method.items()
    )
    return (
        f'<div class="scroll"><table><thead><tr><th>difference</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _difference(pair: Mapping[str, Any]) -> str:
    digits = METRICS[pair["metric"]].digits
    low, high = pair["ci95"]
    notes = [] if _undefined(low) else [f"{number(low, digits)} to {number(high, digits)}"]
    notes += [] if _undefined(pair["p_holm"]) else [f"p {_probability(pair['p_holm'])}"]
    small = "".join(f"<small>{note}</small>" for note in notes)
    sure = ' class="best"' if not _undefined(pair["p_holm"]) and pair["p_holm"] < 0.05 else ""
    return f"<td{sure}><b>{number(pair['difference'], digits)}</b>{small}</td>"


def _undefined(value: float | None) -> bool:
    return value is None or not np.isfinite(value)


def _probability(p: float) -> str:
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


def table(frame: pd.DataFrame) -> str:
    """Return a data frame as an HTML table of text; missing values are dashes."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{DASH if pd.isna(v) else escape(str(v))}</td>" for v in row) + "</tr>"
        for row in frame.itertuples(index=False)
    )
    return f'<div class="scroll"><table class="text"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def quality_table(clips: pd.DataFrame) -> str:
    """Return what `crop` measured of each clip, their medians first.

    Parameters
    ----------
    clips : columns clip, frames, those of `QUALITY`, and why a clip was dropped (empty if it was not); medians are of
        the clips that were kept
    """
    shown = {"frames": ("frames", 0), **QUALITY}
    kept = clips.loc[clips["why"] == "", list(shown)]
    rows = [("median", kept.median(), ""), *((row["clip"], row, row["why"]) for _, row in clips.iterrows())]
    lines = [
        {"clip": name}
        | {
            head: f"{row[column]:.{digits}f}"
            for column, (head, digits) in shown.items()
            if pd.notna(row[column])
        }
        | {"dropped": why or None}
        for name, row, why in rows
    ]
    columns = ["clip", *(head for head, _ in shown.values()), "dropped"]
    middle, every = (table(pd.DataFrame(part, columns=columns)) for part in (lines[:1], lines))
    return f"{middle}<details><summary>Each of {len(clips)} clips</summary>{every}</details>"


def data_tables(clips: pd.DataFrame, crops: pd.DataFrame) -> str:
    """Return clips by split, what was dropped and why, and every clip, from the tables of `segment` and `crop`."""
    clips = clips.merge(crops.drop(columns="frames"), "left", "clip", suffixes=("", "_crop"))
    why = clips["dropped_why"].where(clips["dropped_why"] != "", clips["dropped_why_crop"].fillna(""))
    kept, dropped = clips[why == ""], clips[why != ""].assign(reason=why[why != ""])
    counts = [
        {
            "speaker": speaker,
            "split": split,
            "clips": len(group),
            "frames": int(group["frames"].sum()),
            "minutes": f"{(group['frames'] / group['fps']).sum() / 60:.1f}",
            "frames with a face": f"{100 * group['faces'].sum() / group['frames'].sum():.1f} %",
        }
        for (speaker, split), group in kept.groupby(["speaker", "split"])
    ]
    every = kept[["clip", "split", "source", "start_s", "end_s", "fps", "frames"]]
    every = every.round({"start_s": 2, "end_s": 2})
    seen = clips["clip"].isin(crops["clip"])
    return (
        table(pd.DataFrame(counts))
        + f"<h3>Dropped: {len(dropped)}</h3>"
        + (table(dropped[["source", "clip", "reason"]]) if len(dropped) else "<p>Nothing was dropped.</p>")
        + f"<h3>Quality of the footage</h3><p>{QUALITY_SAYS}</p>"
        + quality_table(clips[seen].assign(why=why[seen]))
        + f"<details><summary>All {len(kept)} clips</summary>{table(every)}</details>"
    )
