"""Fault drills: what happens to results when something breaks.

    python -m benchmarks.faults [--json] [--kills N] [DRILL ...]

kill      a `dvc repro` is killed at a random moment, N times; the next one must come to the right results
together  two `dvc repro` run at once in one folder
cache     a file of DVC's cache is damaged, as by a bad disk, and then needed
mlflow    MLflow's server goes away in the middle of a training, and comes back later

The stages do next to nothing (`benchmarks.toy`); each writes its file bit by bit and in its place, which is the worst
that a stage can do. Exit code 1 if a drill ends otherwise than it should.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import toy
from benchmarks.orchestration import free_port
from flows.serve import healthy

WIDTH, SECONDS = 3, 0.4  # stages side by side, and how long one writes
TRAINING = """
import sys, time
from pathlib import Path
from talkmesh import tracking
from talkmesh.train import write_curves
folder = Path("models/transcoder/full")
rows = [(step, "score", 1 / step, split) for step in range(1, 61) for split in ("train", "val")]
with tracking.run("transcoder", "full") as log:
    for step in range(1, 61):
        log.metrics({"train/score": 1 / step, "val/score": 1 / step}, step)
        log.flush()
        if step == 20:
            print("now", flush=True)
            sys.stdin.readline()
    folder.mkdir(parents=True)
    write_curves(folder / "curves.csv", rows)
    log.write_id(folder / "run.json")
"""
LATER = """
import json
from pathlib import Path
from mlflow import MlflowClient
from talkmesh import tracking
folder = Path("models/transcoder/full")
tracking.complete(folder, "transcoder", "full")
client, run = MlflowClient(), json.loads((folder / "run.json").read_text())["run_id"]
print(len(client.get_metric_history(run, "val/score")), client.get_run(run).info.status)
"""


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


def cache(folder: Path) -> dict[str, Any]:
    """Damage the cached copy of a result that is then needed; `dvc repro` must not hand it out."""
    stages = toy.make(folder, 1, 0.0)
    assert toy.dvc(folder, "repro").returncode == 0
    target = folder / "out/m0.txt"
    text = target.read_text()
    kept = next(f for f in (folder / ".dvc/cache/files").rglob("*") if f.is_file() and f.read_text() == text)
    mode = kept.stat().st_mode
    kept.chmod(0o644)
    kept.write_text(text.replace("m0 50", "m0 5x"))
    kept.chmod(mode)
    target.unlink()
    toy.dvc(folder, "repro")
    handed_out = bool(wrong(folder, stages))
    found = {"handed_out_by_repro": handed_out}
    if handed_out:
        done = subprocess.run(
            [sys.executable, "-m", "flows.cache"],
            cwd=folder,
            env=toy.environment(),
            capture_output=True,
            text=True,
        )
        found["check_says"] = done.stdout.strip()
        toy.dvc(folder, "repro")
    return {"ok": not wrong(folder, stages), **found}


def mlflow(folder: Path) -> dict[str, Any]:
    """Take MLflow's server away from a training at a third of it; bring it back and make up for what it missed."""
    (folder / ".dvc").mkdir(parents=True)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    tracked = toy.environment(TALKMESH_TRACKING="on", MLFLOW_TRACKING_URI=address)
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder),
    ]

    def serve() -> subprocess.Popen:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        more = toy.environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true")
        process = subprocess.Popen(command, cwd=folder, env=more, start_new_session=True, **quiet)  # type: ignore[call-overload]
        while not healthy(address):
            if process.poll() is not None:
                sys.exit("MLflow's server does not start")
            time.sleep(0.5)
        return process

    server = serve()
    training = subprocess.Popen(
        [sys.executable, "-c", TRAINING],
        cwd=folder,
        env=tracked,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert training.stdout is not None
    assert training.stdin is not None
    said = training.stdout.readline()
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    start = time.monotonic()
    _, complaints = training.communicate("go on\n")
    delay = time.monotonic() - start
    server = serve()
    try:
        later = subprocess.run(
            [sys.executable, "-c", LATER], cwd=folder, env=tracked, capture_output=True, text=True
        )
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    return {
        "ok": said == "now\n" and training.returncode == 0 and later.stdout.split() == ["60", "FINISHED"],
        "training_ended_with": training.returncode,
        "delay_seconds": round(delay, 1),
        "warnings": len(complaints.strip().splitlines()),
        "numbers_later": later.stdout.strip(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    drills: dict[str, Callable[..., dict[str, Any]]] = {
        "kill": kill,
        "together": together,
        "cache": cache,
        "mlflow": mlflow,
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
