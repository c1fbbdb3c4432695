"""The commands that show models and scores: ``app``, ``gallery``, ``inspect``, ``compare``. Nothing heavy is imported
before one of them runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from talkmesh.app import command as app
from talkmesh.errors import TalkmeshError

BUNDLE = Path("models/bundles/ours")
GALLERY = """\
One sheet to look at after a training: ten sentences said by three characters, as sheet.png and, with sound, sheet.mp4.

Sentences are test clips of the project in this folder, or the sounds in --sounds. Characters are the model's own and
those in models/rigs, to which expressions are carried over; where there are too few, people made up at random join.

examples:
  talkmesh gallery
  talkmesh gallery --characters models/rigs/second.npz head.npz --sounds lines/ --out preview/heads
"""
INSPECT = """\
Say what a model bundle is: whose voice and face, rig, rate, sizes, how its parts were trained, its scores where it
lies in the project that judged it, and its licence notice. Every file in it is checked.

examples:
  talkmesh inspect models/bundles/ours
  talkmesh inspect models/bundles/ours --json
"""
COMPARE = """\
The scores of several runs beside each other, means with 95 % intervals: folders of projects, files metrics.json, or
git revisions of this project (reports/metrics.json is small, and is committed).

examples:
  talkmesh compare . ../other_project
  talkmesh compare HEAD~1 .
"""


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands by `command(name, run, summary, text)`."""
    app.add_arguments(command("app", app.run, "a web page that animates sounds, on this machine", app.TEXT))
    gallery = command("gallery", _gallery, "one sheet of ten sentences for three characters", GALLERY)
    gallery.add_argument(
        "--bundle",
        type=Path,
        default=BUNDLE,
        metavar="FOLDER",
        help="the trained model (default: %(default)s)",
    )
    gallery.add_argument(
        "--characters", type=Path, nargs="+", default=[], metavar="RIG", help="rig.npz files"
    )
    gallery.add_argument(
        "--sounds", type=Path, metavar="DIR", help="a folder of sounds in place of test clips"
    )
    gallery.add_argument(
        "--sentences", type=int, default=10, metavar="N", help="how many (default: %(default)s)"
    )
    gallery.add_argument(
        "--out",
        type=Path,
        default=Path("preview/gallery"),
        metavar="DIR",
        help="folder (default: %(default)s)",
    )
    inspect = command("inspect", _inspect, "say what a model is", INSPECT)
    inspect.add_argument(
        "bundle", type=Path, nargs="?", default=BUNDLE, metavar="FOLDER", help="default: %(default)s"
    )
    inspect.add_argument("--json", action="store_true", help="for machines")
    compare = command("compare", _compare, "scores of several runs beside each other", COMPARE)
    compare.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder, metrics.json or git revision; two or more"
    )


def _gallery(arguments: argparse.Namespace) -> None:
    if arguments.sentences < 1:
        raise TalkmeshError(f"talkmesh gallery: --sentences must be 1 or more; got {arguments.sentences}")
    from talkmesh import sheet
    from talkmesh.bundle import load
    from talkmesh.contracts import Track
    from talkmesh.log import setup
    from talkmesh.params import section

    setup()
    bundle = load(arguments.bundle)
    if arguments.sounds:
        lines = sheet.lines_in(arguments.sounds, arguments.sentences)
    else:
        lines = sheet.project_lines(section(Track, "track"), arguments.sentences)
    for path in sheet.write_sheet(arguments.out, bundle, lines, sheet.actors(bundle, arguments.characters)):
        print(path)


def _inspect(arguments: argparse.Namespace) -> None:
    from talkmesh.files import to_json
    from talkmesh.inspection import as_text, described

    found = described(arguments.bundle)
    print(to_json(found) if arguments.json else as_text(found))


def _compare(arguments: argparse.Namespace) -> None:
    if len(set(arguments.runs)) < 2:
        raise TalkmeshError("talkmesh compare needs two runs or more")
    from talkmesh.scores import read_source, side_by_side

    print(side_by_side({name: read_source(name) for name in arguments.runs}))
