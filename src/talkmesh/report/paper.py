"""The tables of Yang et al. 2023 in their layout, filled with our results; their printed values stand beside them.

Pure functions: results (reports/metrics.json) to `Table`, a `Table` to CSV, Markdown, LaTeX or HTML.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

LVE, LLE = "lve_mm", "lle_px"
HEADS = {LVE: "Lip vertex error, mm", LLE: "Lip landmark error, px"}
DIGITS = 3  # as the paper prints


@dataclass(frozen=True)
class Line:
    """A row. method : ours; label : the paper's; printed : metric to the paper's value; marks : what stands in the
    columns before the numbers; in_paper : whether the paper's table has it."""

    method: str
    label: str
    printed: Mapping[str, float]
    marks: tuple[str, ...] = ()
    in_paper: bool = True


@dataclass(frozen=True)
class Layout:
    """A table of the paper. marks : heads of the columns before the numbers; corpus : what the paper measured on."""

    number: int
    caption: str
    corpus: str
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]
    marks: tuple[str, ...] = ()


def _added(*pairs: tuple[str, str]) -> tuple[Line, ...]:
    return tuple(Line(method, label, {}, in_paper=False) for method, label in pairs)


TABLE_1 = Layout(
    1,
    "Quantitative results",
    "SelfCollected",
    (LVE, LLE),
    (
        Line("voca", "VOCA", {LVE: 3.718, LLE: 5.908}),
        Line("faceformer", "FaceFormer", {LVE: 2.690, LLE: 5.845}),
        Line("ground_truth", "GT", {LVE: 0.0, LLE: 5.041}),
        Line("voca_pseudo", "VOCA*", {LVE: 5.838, LLE: 3.790}),
        Line("faceformer_pseudo", "FaceFormer*", {LVE: 4.536, LLE: 3.613}),
        Line("pseudo", "Pseudo GT", {LVE: 3.773, LLE: 2.941}),
        Line("ours", "Ours", {LVE: 3.708, LLE: 3.241}),
        *_added(
            ("ours_anchored", "Ours, anchored"),
            ("ours_fast", "Ours, fast"),
            ("meshtalk", "MeshTalk"),
            ("selftalk", "SelfTalk-style"),
            ("linear", "Linear"),
            ("still", "Still face"),
            ("chance", "Chance"),
        ),
    ),
)
TABLE_2 = Layout(
    2,
    "Quantitative results on another topology, speech never seen",
    "VOCASET",
    (LVE,),
    (
        Line("voca", "VOCA", {LVE: 4.690}),
        Line("faceformer", "FaceFormer", {LVE: 3.166}),
        Line("ours", "Ours", {LVE: 5.102}),
        *_added(("ours_fast", "Ours, fast"), ("meshtalk", "MeshTalk"), ("selftalk", "SelfTalk-style")),
        *_added(("linear", "Linear"), ("still", "Still face"), ("chance", "Chance")),
    ),
)
TABLE_5 = Layout(
    5,
    "Ablation study",
    "SelfCollected",
    (LLE,),
    (
        Line("ours_no_cycle", "Ours without cycle", {LLE: 3.407}, ("yes", "no")),
        Line("ours_no_deneutral", "Ours without de-neutralization", {LLE: 3.482}, ("no", "yes")),
        Line("ours", "Ours", {LLE: 3.241}, ("yes", "yes")),
        Line("ours_no_perceptual", "Ours without perceptual loss", {}, ("yes", "yes"), in_paper=False),
    ),
    ("Expression de-neutralization", "L_ccl"),
)


@dataclass(frozen=True)
class Cell:
    """Mean and 95 % interval; NaN where undefined."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One method. cells : metric to our value, None where the corpus cannot have it."""

    line: Line
    cells: Mapping[str, Cell | None]
    clips: int
    seeds: int


@dataclass(frozen=True)
class Table:
    """A table of the paper filled with the results of a corpus; `synthetic` if that was made, not filmed."""

    layout: Layout
    corpus: str
    synthetic: bool
    rows: tuple[Row, ...]
    crop_px: int | None

    @property
    def name(self) -> str:
        return f"table{self.layout.number}"

    @property
    def caption(self) -> str:
        synthetic = " (synthetic benchmark)" if self.synthetic else ""
        return f"{self.layout.caption}, corpus {self.corpus}{synthetic}."

    @property
    def title(self) -> str:
        return f"Table {self.layout.number}. {self.caption}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be read with the numbers."""
        clips = sorted({row.clips for row in self.rows})
        seeds = ", ".join(f"{row.line.label} {row.seeds}" for row in self.rows)
        notes = [
            f"Mean over {' or '.join(map(str, clips))} test clips with its 95 % bootstrap interval over clips. "
            f"Networks trained (seeds) for each row: {seeds}.",
            f"Columns 'paper' are the values that Yang et al. print for {self.layout.corpus}: another data set, "
            "another character, another picture size. Compare orders and ratios, not values.",
        ]
        if LLE in self.layout.metrics and self.crop_px:
            notes.append(
                f"Pixels are those of a {self.crop_px} px crop, each frame aligned by its own similarity."
            )
        if any(row.line.label.endswith("*") for row in self.rows):
            notes.append("* learned from the meshes of Pseudo GT: three stages, no exact mesh is used.")
        if len(self.layout.metrics) > 1:
            notes.append(
                "The paper's own warning: supervised rows (above Pseudo GT, without *) and the others must not be "
                "compared, for the truth is retargeted to another face than the filmed one."
            )
        return tuple(notes)


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Return the tables that `results` can fill: 1 and 5 for the character's own track, 2 for another topology.

    A row is there if its method has a result, a table if one of the rows of the paper is there with a value. In table
    5 that row must be an ablation.
    """
    layouts = (TABLE_1, TABLE_5) if results["track"] == "cg" else (TABLE_2,)
    made = [_filled(layout, results) for layout in layouts]
    return [table for table in made if any(_counts(row, table.layout) for row in table.rows)]


def _counts(row: Row, layout: Layout) -> bool:
    known = any(row.cells.values()) and row.line.in_paper
    return known and not (layout.marks and row.line.method == "ours")


def _filled(layout: Layout, results: Mapping[str, Any]) -> Table:
    rows = []
    for line in layout.lines:
        values = results["methods"].get(line.method, {"skipped": ""})
        if "skipped" in values:
            continue
        known = [values[metric] for metric in layout.metrics if metric in values]
        clips = max((value["n_clips"] for value in known), default=0)
        seeds = max((value["seeds"] for value in known), default=0)
        rows.append(Row(line, {m: _cell(values.get(m)) for m in layout.metrics}, clips, seeds))
    made, size = bool(results.get("synthetic")), results["measured_on"].get("crop_px")
    return Table(layout, str(results["corpus"]), made, tuple(rows), size)


def _cell(value: Mapping[str, Any] | None) -> Cell | None:
    if value is None or value["mean"] is None:
        return None
    low, high = (math.nan if end is None else float(end) for end in value["ci95"])
    return Cell(float(value["mean"]), low, high)


# ---------------------------------------------------------------------------------------------------- formats


def _value(cell: Cell | None) -> str:
    if cell is None:
        return "–"  # noqa: RUF001
    interval = "" if math.isnan(cell.low) else f" [{cell.low:.{DIGITS}f}, {cell.high:.{DIGITS}f}]"
    return f"{cell.mean:.{DIGITS}f}{interval}"


def _grid(table: Table) -> list[list[str]]:
    """Return head and rows as text: method, marks, and for each metric our value and the paper's."""
    layout = table.layout
    heads = [h for m in layout.metrics for h in (HEADS[m], f"paper ({layout.corpus})")]
    lines = [["Methods", *layout.marks, *heads]]
    for row in table.rows:
        printed = [
            f"{row.line.printed[m]:.{DIGITS}f}" if m in row.line.printed else "" for m in layout.metrics
        ]
        values = [
            text for m, p in zip(layout.metrics, printed, strict=True) for text in (_value(row.cells[m]), p)
        ]
        label = row.line.label if row.line.in_paper else f"{row.line.label} (added)"
        lines.append([label, *row.line.marks, *values])
    return lines


def to_csv(table: Table) -> str:
    """Return the table for machines: one number a cell, empty where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    numbers = [f"{m}{end}" for m in table.layout.metrics for end in ("", "_low", "_high", "_paper")]
    writer.writerow(["method", "label", "in_paper", *table.layout.marks, *numbers, "n_clips", "seeds"])
    for row in table.rows:
        values: list[str] = []
        for metric in table.layout.metrics:
            cell, printed = row.cells[metric], row.line.printed.get(metric, math.nan)
            ends = (math.nan,) * 3 if cell is None else (cell.mean, cell.low, cell.high)
            values += ["" if math.isnan(v) else f"{v:.6g}" for v in (*ends, printed)]
        head = [row.line.method, row.line.label, "yes" if row.line.in_paper else "no", *row.line.marks]
        writer.writerow([*head, *values, row.clips, row.seeds])
    return out.getvalue()


def to_markdown(table: Table) -> str:
    """Return the table in Markdown, its title above and its notes below."""
    head, *rows = ["| " + " | ".join(cells).replace("*", "\\*") + " |" for cells in _grid(table)]
    rule = "|" + " --- |" * len(_grid(table)[0])
    return "\n".join(
        [f"**{table.title}**", "", head, rule, *rows, "", *(f"{note}\n" for note in table.notes)]
    )


def to_latex(table: Table) -> str:
    """Return the table as a LaTeX float (packages booktabs and amssymb)."""
    grid = [[latex(text) for text in cells] for cells in _grid(table)]
    columns = "l" + "c" * len(table.layout.marks) + "rr" * len(table.layout.metrics)
    body = []
    for i, cells in enumerate(grid[1:]):
        line = table.rows[i].line
        if i and table.rows[i - 1].line.in_paper and not line.in_paper:
            body.append(r"\midrule")
        body.append(" & ".join(cells) + r" \\")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(grid[0]) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{latex(' '.join((table.caption, *table.notes)))}}}",
        rf"\label{{tab:{table.name}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    """Return the text of a cell for LaTeX: its signs escaped, "yes" and "no" as in the paper."""
    known = {"yes": r"$\checkmark$", "no": "--", "L_ccl": r"$\mathcal{L}_{ccl}$"}
    if text in known:
        return known[text]
    for sign in "&%$#_{}":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("–", "--")  # noqa: RUF001


def to_html(table: Table) -> str:
    """Return the table as an HTML fragment in the style of the report, title above and notes below."""
    head, *rows = _grid(table)
    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = ""
    for cells, row in zip(rows, table.rows, strict=True):
        kind = "" if row.line.in_paper else ' class="reference"'
        rest = "".join(f"<td>{escape(text)}</td>" for text in cells[1:])
        body += f"<tr{kind}><th>{escape(cells[0])}</th>{rest}</tr>"
    notes = "".join(f'<p class="fine">{escape(note)}</p>' for note in table.notes)
    return (
        f'<h3>{escape(table.title)}</h3><div class="scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{notes}"
    )


WRITERS = {"csv": to_csv, "md": to_markdown, "tex": to_latex, "html": to_html}
