"""The command ``talkmesh study``: its words, and what becomes of them. Nothing heavy is imported before it runs."""

from __future__ import annotations

import argparse
from pathlib import Path

FOLDER = Path("study")
HOST, PORT = "127.0.0.1", 8008
TEXT = """\
Ask people which of two faces is better, as the paper does in its Tables 3 and 4: build makes pairs of videos from
predictions/, serve shows them on a local web page and keeps the answers, report counts.

What is compared and asked stands in the section `study` of params.yaml; docs/study.md says how to hold a study.

examples:
  talkmesh study build
  talkmesh study serve                     open the address that it prints; Ctrl-C ends it, answers are kept
  talkmesh study report
"""
BUILD = """\
Draw test sentences, render every method's meshes of them alike, and write the folder of a study: pairs with balanced
sides and names that say nothing. Which method is behind which name is in key.json, which no page shows.

A folder that holds answers is never overwritten.

examples:
  talkmesh study build
  talkmesh study build --out study_second
"""
SERVE = """\
Show a study on a web page: mouse or keyboard, at any time to be left and taken up again, several people at once. An
answer is on the disk (answers.sqlite in the folder) before the page goes on. Only this machine can open the page,
unless --host says otherwise; whoever can reach it then can answer.

examples:
  talkmesh study serve
  talkmesh study serve study_second --port 0
"""
REPORT = """\
Count the answers of those who passed the checks: the paper's Table 3 or 4 with Wilson intervals and binomial tests, as
Markdown, CSV, LaTeX and HTML, the participants, and every answer, in the folder report/ of the study. It may be run
while the study goes on.

examples:
  talkmesh study report
  talkmesh study report study_second --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command understands."""
    parts = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def part(name: str, run: object, summary: str, text: str) -> argparse.ArgumentParser:
        made = parts.add_parser(
            name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        made.set_defaults(run=run)
        return made

    build = part("build", _build, "make the pairs of videos", BUILD)
    build.add_argument(
        "--out",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="folder of the study (default: %(default)s)",
    )
    serve = part("serve", _serve, "show them on a web page and keep the answers", SERVE)
    report = part("report", _report, "the tables", REPORT)
    for made in (serve, report):
        made.add_argument(
            "folder", type=Path, nargs="?", default=FOLDER, metavar="FOLDER",
            help="folder of the study (default: %(default)s)",
        )  # fmt: skip
    serve.add_argument("--host", default=HOST, help="address to listen at (default: %(default)s)")
    serve.add_argument("--port", type=int, default=PORT, help="0 takes a free one (default: %(default)s)")
    report.add_argument("--json", action="store_true", help="for machines")


def _build(arguments: argparse.Namespace) -> None:
    from talkmesh import params
    from talkmesh.log import setup
    from talkmesh.study.design import Study
    from talkmesh.study.videos import build

    setup()
    study = params.section(Study, "study")
    key = build(study, str(params.read()["corpus"]), arguments.out)
    kinds = [pair.kind for pair in key.pairs.values()]
    print(
        f"{arguments.out}: {kinds.count('pair')} pairs, and as checks {kinds.count('still')} with a still face and "
        f"{kinds.count('repeat')} repeated"
    )
    print("show it: talkmesh study serve" + ("" if arguments.out == FOLDER else f" {arguments.out}"))


def _serve(arguments: argparse.Namespace) -> None:
    from talkmesh.export.command import stopping_cleanly
    from talkmesh.log import setup
    from talkmesh.study.server import Server

    setup()
    with stopping_cleanly(), Server(arguments.folder, arguments.host, arguments.port) as server:
        print(f"open {server.url} (Ctrl-C ends; answers are kept)", flush=True)
        server.serve_forever()


def _report(arguments: argparse.Namespace) -> None:
    from talkmesh.files import to_json
    from talkmesh.log import setup
    from talkmesh.study.folder import REPORT
    from talkmesh.study.report import write_report
    from talkmesh.study.tables import records, to_markdown

    setup()
    made = write_report(arguments.folder)
    if arguments.json:
        print(to_json({"title": made.title, "notes": made.notes, "cells": records(made)}))
    else:
        print(to_markdown(made))
        print(f"open {arguments.folder / REPORT / 'index.html'}")
