"""The paper's Tables 3 and 4, filled with the answers to a study; the paper's percentages stand beside them.

Pure functions: an `Outcome` to a `Table`, a `Table` to CSV, Markdown, LaTeX or HTML.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from talkmesh.intervals import holm
from talkmesh.report.paper import TABLE_1, latex
from talkmesh.study.design import QUESTIONS, Question
from talkmesh.study.folder import Key
from talkmesh.study.outcome import Outcome
from talkmesh.study.shares import Share

HEADS: dict[Question, str] = {
    "realism": "Realism",
    "lip_sync": "Lip Sync",
    "similarity": "Similarity",
}
AVERAGE = "Avg."
LABELS = {line.method: line.label for line in TABLE_1.lines}
# percentages as printed, by competitor: realism, lip sync, similarity
TABLE_3 = {
    "voca": (51.0, 53.0, 63.0),
    "faceformer": (45.0, 49.0, 57.0),
    "ground_truth": (43.0, 45.0, 58.0),
    "voca_pseudo": (75.0, 64.0, 60.0),
    "faceformer_pseudo": (58.0, 61.0, 54.0),
    "pseudo": (52.0, 51.0, 48.0),
}
# by question and competitor: VOCASET (never filmed), SelfCollected (filmed), average
TABLE_4: dict[Question, dict[str, tuple[float | None, ...]]] = {
    "realism": {
        "ground_truth": (17.5, None, None),
        "faceformer": (40.0, 57.5, 48.8),
        "voca": (45.0, 95.0, 70.0),
    },
    "lip_sync": {
        "ground_truth": (5.0, None, None),
        "faceformer": (15.0, 57.5, 36.3),
        "voca": (60.0, 80.0, 70.0),
    },
}


@dataclass(frozen=True)
class Cell:
    """share : None where a pair was not shown; p_holm : adjusted for all of the table's tests but those of averages;
    printed : the paper's percentage, None where it has none."""

    share: Share | None
    p_holm: float
    printed: float | None


@dataclass(frozen=True)
class Block:
    """Rows under one head. column names; rows : competitor to its cells, one a column."""

    head: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[Cell, ...]]


@dataclass(frozen=True)
class Table:
    """number : of the paper's table whose layout it has."""

    number: int
    method: str
    corpus: str
    synthetic: bool
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"table{self.number}"

    @property
    def caption(self) -> str:
        synthetic = " (synthetic benchmark)" if self.synthetic else ""
        return (
            f"User study, corpus {self.corpus}{synthetic}: percentage of answers in which {label(self.method)} is "
            "preferred over the competitor."
        )

    @property
    def title(self) -> str:
        return f"Table {self.number}. {self.caption}"


def label(method: str) -> str:
    """Return what the paper calls a method."""
    return LABELS.get(method, method)


def table(key: Key, found: Outcome) -> Table:
    """Return the table of a study: the paper's third for one part with film, else its fourth, part by part."""
    adjusted = dict(zip(found.shares, holm([share.p for share in found.shares.values()]), strict=True))
    third = len(key.parts) == 1 and all(key.parts.values())
    blocks = _by_question(key, found, adjusted) if third else _by_part(key, found, adjusted)
    return Table(
        3 if third else 4, key.method, key.corpus, bool(key.synthetic), blocks, notes(key, found, third)
    )


def _by_question(
    key: Key, found: Outcome, adjusted: Mapping[tuple[str, Question, str], float]
) -> tuple[Block, ...]:
    (part,) = key.parts
    asked = _asked(found)
    rows = {}
    for other in _competitors(found):
        printed = dict(zip(QUESTIONS, TABLE_3.get(other, ()), strict=False)) if key.method == "ours" else {}
        rows[other] = tuple(
            Cell(found.shares.get((part, q, other)), adjusted.get((part, q, other), math.nan), printed.get(q))
            for q in asked
        )
    return (Block("", tuple(HEADS[q] for q in asked), rows),)


def _by_part(
    key: Key, found: Outcome, adjusted: Mapping[tuple[str, Question, str], float]
) -> tuple[Block, ...]:
    parts = tuple(key.parts)
    blocks = []
    for question in _asked(found):
        rows = {}
        for other in _competitors(found):
            cells = [
                Cell(
                    found.shares.get((part, question, other)),
                    adjusted.get((part, question, other), math.nan),
                    _printed(key, question, other, int(key.parts[part])),
                )
                for part in parts
            ]
            if len(parts) > 1:
                cells.append(Cell(_together(cells), math.nan, _printed(key, question, other, 2)))
            if any(cell.share for cell in cells):
                rows[other] = tuple(cells)
        columns = (*parts, AVERAGE) if len(parts) > 1 else parts
        blocks.append(Block(HEADS[question], columns, rows))
    return tuple(blocks)


def _printed(key: Key, question: Question, other: str, column: int) -> float | None:
    rows = TABLE_4.get(question, {}) if key.method == "ours" else {}
    return rows[other][column] if other in rows else None


def _together(cells: Sequence[Cell]) -> Share | None:
    """All answers of a row; None where one part has none, as in the paper."""
    shares = [cell.share for cell in cells if cell.share is not None]
    return sum(shares[1:], shares[0]) if len(shares) == len(cells) else None


def _asked(found: Outcome) -> list[Question]:
    asked = {question for _, question, _ in found.shares}
    return [question for question in QUESTIONS if question in asked]


def _competitors(found: Outcome) -> list[str]:
    """Competitors in the paper's order, others after them."""
    known = [line.method for line in TABLE_1.lines]
    there = dict.fromkeys(other for _, _, other in found.shares)
    return sorted(there, key=lambda m: known.index(m) if m in known else len(known))


def notes(key: Key, found: Outcome, third: bool) -> tuple[str, ...]:
    """Return what must be read with the numbers."""
    counted = found.count("counted")
    sentences = {part: len({p.clip for p in key.pairs.values() if p.part == part}) for part in key.parts}
    lines = [
        f"{counted} participant{'' if counted == 1 else 's'} counted; {found.count('failed')} failed the checks and "
        f"{found.count('unfinished')} did not finish: their answers are left out. {key.checks.rule}",
        "Percentage with its 95 % Wilson interval, and p of the exact two-sided binomial test against 50 %, one test a "
        "cell, not adjusted for their number (p_holm in the CSV is). Both take answers as independent, which those of "
        "one participant, or on one sentence, are not: with few of either they promise too much.",
        f"Sentences: {', '.join(f'{part} {count}' for part, count in sentences.items())}.",
    ]
    if len(key.parts) > 1:
        lines.append(
            f"{AVERAGE}: all answers together; with equally many sentences in each part it is their mean."
        )
    if key.method == "ours":
        paper = "SelfCollected" if third else "VOCASET where there is no film, SelfCollected where there is"
        lines.append(
            f"Columns 'paper' are the percentages that Yang et al. print ({paper}): 10 participants, other speakers, "
            "another character."
        )
    if any(label(other).endswith("*") for other in _competitors(found)):
        lines.append("* learned from the meshes of Pseudo GT: three stages, no exact mesh is used.")
    if key.left_out:
        lines.append(
            f"Left out for want of predictions: {'; '.join(f'{m} ({why})' for m, why in key.left_out.items())}."
        )
    return tuple(lines)


# ---------------------------------------------------------------------------------------------------- formats


def _value(share: Share | None) -> str:
    if share is None or not share.answers:
        return "–"  # noqa: RUF001
    low, high = (100 * end for end in share.interval)
    p = "p < 0.001" if share.p < 0.001 else f"p {share.p:.3f}"
    return f"{100 * share.value:.1f} [{low:.1f}, {high:.1f}], {p}"


def _with_paper(block: Block) -> bool:
    return any(cell.printed is not None for cells in block.rows.values() for cell in cells)


def _grid(block: Block, method: str) -> list[list[str]]:
    """Return head and rows as text: the comparison, and for each column our value and, where known, the paper's."""
    paper = _with_paper(block)
    heads = [head for column in block.columns for head in ((column, "paper") if paper else (column,))]
    lines = [[f"{label(method)} vs. Competitor", *heads]]
    for other, cells in block.rows.items():
        texts = []
        for cell in cells:
            texts.append(_value(cell.share))
            if paper:
                texts.append("" if cell.printed is None else f"{cell.printed:.1f}")
        lines.append([f"{label(method)} vs. {label(other)}", *texts])
    return lines


def records(made: Table) -> list[dict[str, Any]]:
    """Return the table for machines, one record a cell that was asked: shares from 0 to 1, NaN where there is none."""
    found = []
    for block in made.blocks:
        for other, cells in block.rows.items():
            for column, cell in zip(block.columns, cells, strict=True):
                if (share := cell.share) is None:
                    continue
                where = {"block": block.head, "column": column, "method": made.method, "competitor": other}
                low, high = share.interval
                paper = math.nan if cell.printed is None else cell.printed / 100
                found.append(
                    where
                    | {"preferred": share.preferred, "answers": share.answers, "share": share.value}
                    | {"low": low, "high": high, "p": share.p, "p_holm": cell.p_holm, "paper": paper}
                )
    return found


def to_csv(made: Table) -> str:
    """Return the `records` of a table, empty where there is no value."""
    out = io.StringIO()
    rows = records(made)
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: ("" if math.isnan(v) else f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}
        )
    return out.getvalue()


def to_markdown(made: Table) -> str:
    """Return the table in Markdown, its title above and its notes below."""
    lines = [f"**{made.title}**", ""]
    for block in made.blocks:
        if block.head:
            lines += [f"{block.head}:", ""]
        head, *rows = ["| " + " | ".join(c).replace("*", "\\*") + " |" for c in _grid(block, made.method)]
        lines += [head, "|" + " --- |" * (head.count(" | ") + 1), *rows, ""]
    return "\n".join([*lines, *(f"{note}\n".replace("*", "\\*") for note in made.notes)])


def to_latex(made: Table) -> str:
    """Return the table as a LaTeX float (package booktabs)."""
    grids = [_grid(block, made.method) for block in made.blocks]
    width = max(len(grid[0]) for grid in grids)
    body = []
    for block, grid in zip(made.blocks, grids, strict=True):
        if block.head:
            body.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{latex(block.head)}}}}} \\")
        rows = [" & ".join([*map(latex, cells), *[""] * (width - len(cells))]) + r" \\" for cells in grid]
        body += [rows[0], r"\midrule", *rows[1:], r"\midrule"]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
        r"\toprule",
        *body[:-1],
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{latex(' '.join((made.caption, *made.notes)))}}}",
        rf"\label{{tab:{made.name}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_html(made: Table) -> str:
    """Return the table as an HTML fragment in the style of the report, title above and notes below."""
    parts = [f"<h3>{escape(made.title)}</h3>"]
    for block in made.blocks:
        head, *rows = _grid(block, made.method)
        top = "".join(f"<th>{escape(text)}</th>" for text in head)
        body = "".join(
            f"<tr><th>{escape(cells[0])}</th>{''.join(f'<td>{escape(c)}</td>' for c in cells[1:])}</tr>"
            for cells in rows
        )
        title = f"<h3>{escape(block.head)}</h3>" if block.head else ""
        parts.append(
            f'{title}<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
        )
    return "".join(parts) + "".join(f'<p class="fine">{escape(note)}</p>' for note in made.notes)


WRITERS = {"csv": to_csv, "md": to_markdown, "tex": to_latex, "html": to_html}
