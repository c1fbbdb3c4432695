"""Fault drills: what happens to results when something breaks.

    python -m benchmarks.faults [--json] [--kills N] [DRILL ...]

kill      a `dvc repro` is killed at a random moment, N times; the next one must come to the right results
together  two `dvc repro` run at once in one folder
cache     a file of DVC's cache is damaged, as by a bad disk, and then needed
disk      the disk is full where stages write, and where DVC's cache is; then there is room again (wants root)
clock     files are dated years back and ahead
mlflow    MLflow's server goes away in the middle of a training, and comes back later
prefect   Prefect's server goes away in the middle of a stage, for good and for a while

The stages do next to nothing (`benchmarks.toy`); each writes its file bit by bit and in its place, which is the worst
that a stage can do. Exit code 1 if a drill ends otherwise than it should. What the real stages do on a full disk:
tests/test_full_disk.py; the real training, cancelled: tests/test_serve.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.faults import disks, servers, stages


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    drills: dict[str, Callable[..., dict[str, Any]]] = {
        "kill": stages.kill,
        "together": stages.together,
        "cache": disks.cache,
        "disk": disks.full,
        "clock": disks.clock,
        "mlflow": servers.mlflow,
        "prefect": servers.prefect,
    }
    parser.add_argument("drills", nargs="*", metavar="DRILL", help=f"of {', '.join(drills)}; default: all")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    found = {}
    for name in arguments.drills or drills:
        more = {"kills": arguments.kills} if name == "kill" else {}
        with tempfile.TemporaryDirectory() as temporary:
            found[name] = drills[name](Path(temporary, "project"), **more)
        if not arguments.json:
            print(f"{name}: {'as it should' if found[name]['ok'] else 'NOT as it should'}")
            print("".join(f"  {key}: {value}\n" for key, value in found[name].items() if key != "ok"), end="")
    if arguments.json:
        print(json.dumps(found))
    return 0 if all(result["ok"] for result in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
