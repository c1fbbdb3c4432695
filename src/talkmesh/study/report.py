"""The report of a study: its folder read, tables and lists written."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path

import pandas as pd

from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing
from talkmesh.report.page import SYNTHETIC_NOTE
from talkmesh.report.tables import table as html_table
from talkmesh.study import tables
from talkmesh.study.answers import Answers
from talkmesh.study.folder import ANSWERS, KEY, REPORT, SHOWN, Key, read_key, read_shown
from talkmesh.study.outcome import Outcome, outcome

VERDICTS = ("counted", "failed", "unfinished")


def read_outcome(folder: Path) -> tuple[Key, Outcome]:
    """Read a study and what was answered so far; it may be running.

    Raises
    ------
    TalkmeshError
        If a file is missing, files are not of one build, or nobody answered yet.
    """
    shown, key = read_shown(folder), read_key(folder)
    if shown.id != key.id:
        raise TalkmeshError(
            f"{folder / KEY} is not of the same build as {folder / SHOWN}: put its own key there"
        )
    if not (folder / ANSWERS).exists():
        raise TalkmeshError(f"{folder / ANSWERS} not found: nobody answered yet; `talkmesh study serve` asks")
    answers = Answers(folder / ANSWERS, shown.id)
    answers.prepare()
    given = answers.given()
    if not given:
        raise TalkmeshError(f"{folder / ANSWERS} holds no answer yet; `talkmesh study serve` asks")
    try:
        return key, outcome(shown, key, given)
    except KeyError as error:
        raise TalkmeshError(
            f"{folder}: {ANSWERS}, {SHOWN} and {KEY} do not fit each other ({error} is unknown): one was changed"
        ) from None


def write_report(folder: Path) -> tables.Table:
    """Write the tables of a study, its participants and every answer into its folder `report`, and return the table."""
    key, found = read_outcome(folder)
    made = tables.table(key, found)
    with replacing(folder / REPORT) as out:
        out.mkdir()
        for suffix, write in tables.WRITERS.items():
            (out / f"{made.name}.{suffix}").write_text(write(made), encoding="utf-8")
        for name, rows in (("participants", found.participants), ("answers", found.chosen)):
            pd.DataFrame(map(asdict, rows)).to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
        (out / "index.html").write_text(page(key, found, made), encoding="utf-8")
    return made


def participants(found: Outcome) -> pd.DataFrame:
    """Return who took part and how, those who count first."""
    rows = [
        {
            "participant": p.number + 1,
            "answers": f"{p.verdict}{f': {p.why}' if p.why else ''}",
            "given": f"{p.answered} of {p.asked}",
            "for the still face": p.wrong,
            "repeated alike": None if p.consistent is None else f"{100 * p.consistent:.0f} %",
            "left side": f"{100 * p.left:.0f} %",
            "seconds, median": f"{p.seconds:.1f}",
        }
        for p in sorted(found.participants, key=lambda p: (VERDICTS.index(p.verdict), p.number))
    ]
    return pd.DataFrame(rows)


def page(key: Key, found: Outcome, made: tables.Table) -> str:
    """Return the report as one HTML page that opens offline."""
    style = files("talkmesh.report").joinpath("style.css").read_text(encoding="utf-8")
    badge = '<span class="badge">synthetic benchmark</span>' if key.synthetic else ""
    note = f'<p class="note">{SYNTHETIC_NOTE} {escape(key.synthetic)}</p>' if key.synthetic else ""
    corpus = escape(key.corpus)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>talkmesh user study: {corpus}</title>
<style>
{style}</style>
</head>
<body>
<header><div>
<h1>User study: corpus {corpus}{badge}</h1>
<div class="facts">{found.count("counted")} participants counted, {found.count("failed")} failed the checks,
{found.count("unfinished")} unfinished</div>
</div></header>
<main>
<section class="summary">{note}</section>
<section>{tables.to_html(made)}</section>
<section><h2>Participants</h2><p>{escape(key.checks.rule)}</p>{html_table(participants(found))}</section>
<footer>Made by <code>talkmesh study report</code>. Every answer is in <code>answers.csv</code>.</footer>
</main>
</body>
</html>
"""
