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

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.drills import Drill, command
from benchmarks.faults import disks, servers, stages


def in_project(drill: Callable[[Path], dict[str, Any]]) -> Drill:
    """Return a drill that kills nothing N times, in the folder that becomes its project."""
    return lambda folder, kills: drill(folder / "project")


def main() -> int:
    drills: dict[str, Drill] = {
        "kill": lambda folder, kills: stages.kill(folder / "project", kills=kills),
        "together": in_project(stages.together),
        "cache": in_project(disks.cache),
        "disk": in_project(disks.full),
        "clock": in_project(disks.clock),
        "mlflow": in_project(servers.mlflow),
        "prefect": in_project(servers.prefect),
    }
    return command(__doc__, drills)


if __name__ == "__main__":
    sys.exit(main())
