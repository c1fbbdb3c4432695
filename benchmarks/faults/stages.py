"""Stages that are killed or run twice at once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import toy

WIDTH, SECONDS = 3, 0.4  # stages side by side, and how long one writes


def wrong(folder: Path, stages: list[str]) -> list[str]:
    """Return the stages whose file is not what it should be."""
    texts = {name: "".join(f"{name} {line}\n" for line in range(100)) for name in stages}
    files = {name: folder / "out" / f"{name}.txt" for name in stages}
    return [n for n, file in files.items() if not file.exists() or file.read_text() != texts[n]]


def kill(folder: Path, kills: int) -> dict[str, Any]:
    """Kill DVC with its stage at random moments of a run; see whether DVC ever takes half of a file for whole."""
    stages = toy.make(folder, WIDTH, SECONDS)
    start = time.monotonic()
    assert toy.dvc(folder, "repro").returncode == 0
    whole = time.monotonic() - start
    moments = random.Random(7)
    halves = trusted = failed = 0
    complaints = set()
    for _ in range(kills):
        for name in stages:
            (folder / "out" / f"{name}.txt").unlink(missing_ok=True)
        (folder / "dvc.lock").unlink(missing_ok=True)
        command = [sys.executable, "-m", "dvc", "repro", "--force"]
        with subprocess.Popen(
            command,
            cwd=folder,
            env=toy.environment(),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            time.sleep(moments.uniform(0.1, 0.95) * whole)
            os.killpg(process.pid, signal.SIGKILL)
        begun = [name for name in stages if (folder / "out" / f"{name}.txt").exists()]
        half = [name for name in wrong(folder, stages) if name in begun]
        halves += bool(half)
        stale = json.loads(toy.dvc(folder, "status", "--json").stdout or "{}")
        trusted += sum(name not in stale for name in half)
        again = toy.dvc(folder, "repro")
        if again.returncode:
            failed += 1
            complaints.add(again.stderr.strip().splitlines()[-1])
        elif wrong(folder, stages):
            failed += 1
            complaints.add("a wrong result")
    return {
        "ok": failed == 0 and trusted == 0,
        "kills": kills,
        "left_half_a_file": halves,
        "half_a_file_taken_for_whole": trusted,
        "next_run_failed": failed,
        "complaints": sorted(complaints),
    }


def together(folder: Path) -> dict[str, Any]:
    """Start two runs at once, plain and with `--wait-for-lock`."""
    stages = toy.make(folder, WIDTH, SECONDS)
    found: dict[str, Any] = {}
    for name, words in (("plain", ["repro"]), ("waiting", ["--wait-for-lock", "repro"])):
        (folder / "dvc.lock").unlink(missing_ok=True)
        command = [sys.executable, "-m", "dvc", *words, "--force"]
        both = [
            subprocess.Popen(
                command,
                cwd=folder,
                env=toy.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        said = [process.communicate()[1] for process in both]
        found[name] = {
            "exit_codes": sorted(process.returncode for process in both),
            "complaints": sorted({text.strip().splitlines()[-1] for text in said if text.strip()}),
            "one_more_run": toy.dvc(folder, "repro").returncode,
            "wrong_results": wrong(folder, stages),
        }

    found["ok"] = not any(found[name]["wrong_results"] for name in ("plain", "waiting"))
    return found
