"""The scores of all methods as a table, for the terminal and for the flow's page."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json

METRICS = Path("reports/metrics.json")
COLUMNS = (
    "lve_mm",
    "lle_clip_px",
    "lle_percent",
    "opening_truth_r",
    "opening_r",
    "opening_sd_ratio",
    "opening_lag_ms",
)


def heading(metrics: dict[str, Any]) -> str:
    """Return what the scores are of; a corpus that was made says so."""
    synthetic = " (synthetic benchmark)" if metrics.get("synthetic") else ""
    return f"Corpus {metrics.get('corpus')}{synthetic}, track {metrics.get('track')}"


def table(metrics: dict[str, Any], columns: Sequence[str] = COLUMNS) -> str:
    """Return ``reports/metrics.json`` as a Markdown table: mean and 95 % interval, one method a row.

    A metric that a corpus cannot have (millimetres without ground truth) is a dash.
    """
    try:
        rows = [_row(name, result, columns) for name, result in metrics["methods"].items()]
    except (KeyError, AttributeError, TypeError):
        raise TalkmeshError(f"{METRICS} is not of this version: run `dvc repro report`") from None
    cells = [["method", *columns], *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns) + 1)]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def side_by_side(sources: Mapping[str, dict[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Return the scores of several runs by name as one table, the runs of a method below each other, and what each was
    measured on.

    Raises
    ------
    TalkmeshError
        If one of them is not of this version.
    """
    try:
        methods = [list(metrics["methods"]) for metrics in sources.values()]
        rows = {
            f"{method} ({name})": metrics["methods"][method]
            for method in dict.fromkeys(m for of_one in methods for m in of_one)
            for name, metrics in sources.items()
            if method in metrics["methods"]
        }
    except (KeyError, TypeError):
        raise TalkmeshError(
            "one of these is no metrics.json of this version: run `dvc repro report`"
        ) from None
    told = [f"{name}: {heading(metrics)}" for name, metrics in sources.items()]
    if len({str(metrics.get("measured_on")) + heading(metrics) for metrics in sources.values()}) > 1:
        told.append(
            "They are not measured on the same: means of different clips or rigs say little beside each other."
        )
    return "\n".join([*told, "", table({"methods": rows}, columns)])


def read_source(name: str) -> dict[str, Any]:
    """Return the scores of a project's folder, of a metrics.json, or of a git revision of this project."""
    path = Path(name)
    if path.is_dir():
        return read_json(path / METRICS)
    if path.exists() or path.suffix == ".json":
        return read_json(path)
    shown = subprocess.run(["git", "show", f"{name}:./{METRICS}"], capture_output=True, text=True)
    if shown.returncode:
        raise TalkmeshError(
            f"{name} is no folder, no metrics.json and no git revision that holds {METRICS}: commit that file after "
            "`dvc repro` to compare with it later"
        )
    return json.loads(shown.stdout)


def means(metrics: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return ``{method: {metric: mean}}`` of the methods that were judged."""
    return {
        method: {name: value["mean"] for name, value in row.items() if value["mean"] is not None}
        for method, row in metrics["methods"].items()
        if "skipped" not in row
    }


def columns_of(rows: Mapping[str, Mapping[str, float]], first: str) -> dict[str, list[Any]]:
    """Return rows of numbers by name as columns: the names under `first`, then a column a number; None where absent."""
    names = sorted({name for row in rows.values() for name in row})
    return {first: list(rows)} | {name: [row.get(name) for row in rows.values()] for name in names}


def show(path: Path = METRICS) -> str:
    """Return what a newcomer wants to see after a run: the scores, and where to look and listen."""
    if not path.exists():
        raise TalkmeshError(f"{path} not found: run `dvc repro` first")
    metrics = read_json(path)
    text = f"{heading(metrics)}\n\n{table(metrics)}\n"
    places = [("report", "index.html"), ("video", "*.mp4")]
    for what, pattern in places:
        found = sorted(path.parent.rglob(pattern))
        if found:
            text += f"\n{what:<8}{found[0]}" + (f" and {len(found) - 1} more" if len(found) > 1 else "")
    return text


def _row(name: str, result: dict[str, Any], columns: Sequence[str]) -> list[str]:
    if "skipped" in result:
        return [name, f"skipped: {result['skipped']}", *[""] * (len(columns) - 1)]
    return [name, *(cell(result.get(column)) for column in columns)]


def cell(value: Any) -> str:
    """Return a score with its interval as text; a dash where there is none."""
    mean = value.get("mean") if isinstance(value, dict) else value
    if mean is None:
        return "-"
    ci95 = value.get("ci95") if isinstance(value, dict) else None
    if isinstance(ci95, list):  # lower and upper end
        return f"{mean:.3g} [{ci95[0]:.3g}, {ci95[1]:.3g}]"
    return f"{mean:.3g}" if ci95 is None else f"{mean:.3g} ± {ci95:.2g}"
