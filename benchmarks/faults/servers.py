"""Servers that go away in the middle of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import toy
from benchmarks.faults.stages import wrong
from benchmarks.orchestration import free_port
from flows.serve import healthy

QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
PATIENCE = 300.0  # seconds for anything to happen
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


def started(
    command: list[str], folder: Path, environment: dict[str, str], address: str
) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers."""
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **QUIET)
    within(lambda: process.poll() is not None or healthy(address))
    if process.poll() is not None:
        sys.exit(f"{' '.join(command)} does not start")
    return process


def kill(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def within(happens: Callable[[], Any]) -> None:
    """Wait until something happens."""
    end = time.monotonic() + PATIENCE
    while not happens():
        if time.monotonic() > end:
            sys.exit("what the drill waits for does not happen")
        time.sleep(0.1)


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

    more = toy.environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true")
    server = started(command, folder, more, address)
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
    kill(server)
    start = time.monotonic()
    _, complaints = training.communicate("go on\n")
    delay = time.monotonic() - start
    server = started(command, folder, more, address)
    try:
        later = subprocess.run(
            [sys.executable, "-c", LATER], cwd=folder, env=tracked, capture_output=True, text=True
        )
    finally:
        kill(server)
    numbers = later.stdout.strip().rpartition("\n")[2]  # MLflow says above where the run is to be seen
    return {
        "ok": said == "now\n" and training.returncode == 0 and numbers == "60 FINISHED",
        "training_ended_with": training.returncode,
        "delay_seconds": round(delay, 1),
        "warnings": len(complaints.strip().splitlines()),
        "numbers_later": numbers,
    }


def prefect(folder: Path) -> dict[str, Any]:
    """Take Prefect's server away while a stage runs, for good and for a while; see what becomes of stage and flow."""
    cases = {"for_good": False, "for_a_while": True}
    found = {name: _without_server(folder / name, back) for name, back in cases.items()}
    fine = [
        f["stage_is_whole"] and not f["stage_ran_again"] and not f["wrong_results"] for f in found.values()
    ]
    return {"ok": all(fine), **found}


def _without_server(folder: Path, back: bool) -> dict[str, Any]:
    stages = toy.make(folder, 1, 8.0)
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    more = toy.environment(PREFECT_HOME=str(folder / "prefect"), PREFECT_API_URL=address)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    flow = [sys.executable, "-m", "flows.pipeline"]
    middle = folder / "out/m0.txt"
    server = started(command, folder, more, address)
    try:
        with subprocess.Popen(flow, cwd=folder, env=more, **QUIET) as running:
            within(middle.exists)
            kill(server)
            gone = time.monotonic()
            if back:
                server = started(command, folder, more, address)
            code, seconds = running.wait(), time.monotonic() - gone
        within(lambda: "m0" not in wrong(folder, stages))  # a stage may outlive its flow
        within(lambda: '"m0"' not in toy.dvc(folder, "status", "--json").stdout)
        done = [name for name in stages if name not in wrong(folder, stages)]
        dated = middle.stat().st_mtime_ns
        if not back:
            server = started(command, folder, more, address)
        again = subprocess.run(flow, cwd=folder, env=more, check=False, **QUIET)
    finally:
        kill(server)
    return {
        "flow_ended_with": code,
        "after_seconds": round(seconds, 1),
        "stage_is_whole": "m0" in done,
        "done_by_then": done,
        "next_flow_ended_with": again.returncode,
        "stage_ran_again": middle.stat().st_mtime_ns != dated,
        "wrong_results": wrong(folder, stages),
    }
