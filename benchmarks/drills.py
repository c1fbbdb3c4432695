"""The command line of drills: which are run, what they found, and whether all ended as they should."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Drill = Callable[
    [Path, int], dict[str, Any]
]  # an empty folder and how many kills: what was found, `ok` among it


def command(about: str | None, drills: Mapping[str, Drill]) -> int:
    """Run the drills that the command line names, each in a folder of its own; return 1 if one ended otherwise than it
    should, else 0."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drills", nargs="*", metavar="DRILL", help=f"of {', '.join(drills)}; default: all")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    found = {}
    for name in arguments.drills or drills:
        with tempfile.TemporaryDirectory() as temporary:
            found[name] = drills[name](Path(temporary).resolve(), arguments.kills)
        if not arguments.json:
            print(f"{name}: {'as it should' if found[name]['ok'] else 'NOT as it should'}")
            print("".join(f"  {key}: {value}\n" for key, value in found[name].items() if key != "ok"), end="")
    if arguments.json:
        print(json.dumps(found))
    return 0 if all(result["ok"] for result in found.values()) else 1
