"""What Prefect costs over plain DVC, and what a `dvc repro` costs that has nothing to do.

    python -m benchmarks.orchestration [--json] [--rounds N]

On a project of ten stages that do next to nothing: `dvc repro`, then the flow on a server that is running, each from
nothing, in turn; the difference is divided by the number of stages. Starting the flow's own Python is in it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import toy

WIDTH = 8  # stages side by side, and one before and one after them


def timed(command: list[str], folder: Path) -> float:
    """Return the seconds that a command takes; one that fails is an error with its output."""
    start = time.perf_counter()
    environment = toy.environment()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def fresh(folder: Path) -> None:
    """Forget all that was made there."""
    for name in ("out", ".dvc/cache", ".dvc/tmp"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "dvc.lock").unlink(missing_ok=True)


def figures(rounds: int) -> dict[str, Any]:
    """Return medians over `rounds`."""
    from flows.serve import server

    repro, flow = [sys.executable, "-m", "dvc", "repro"], [sys.executable, "-m", "flows.pipeline"]
    times: dict[str, list[float]] = {name: [] for name in ("dvc", "noop dvc", "flow", "noop flow")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "project")
        stages = toy.make(folder, WIDTH)
        os.environ |= {"PREFECT_HOME": str(Path(temporary, "prefect")), "PREFECT_API_URL": ""}
        with server(free_port()):
            for _ in range(rounds):
                for name, command in (("dvc", repro), ("flow", flow)):
                    fresh(folder)
                    times[name].append(timed(command, folder))
                    times[f"noop {name}"].append(timed(command, folder))
    seconds = {name: statistics.median(values) for name, values in times.items()}
    return {
        "stages": len(stages),
        "rounds": rounds,
        "dvc_seconds": round(seconds["dvc"], 2),
        "prefect_seconds": round(seconds["flow"], 2),
        "prefect_seconds_per_stage": round((seconds["flow"] - seconds["dvc"]) / len(stages), 2),
        "noop_repro_seconds": round(seconds["noop dvc"], 2),
        "noop_prefect_seconds": round(seconds["noop flow"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found = figures(arguments.rounds)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<28}{value}")
    print("bars: prefect_seconds_per_stage below 2, noop_repro_seconds below 10")


if __name__ == "__main__":
    main()
