"""Prefect's server and our schedules in one process: ``make serve``. Prefect's pages are at http://127.0.0.1:4200.

`pipeline` runs every night, `watch` looks for new recordings, `ablate` waits to be started on Prefect's pages. One run
at a time; what is due meanwhile waits. When this process is started again, schedules and history are as they were, and
runs that were cut off are marked as crashed. With PREFECT_API_URL that server is used and none is started.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from flows import commands, config

logger = logging.getLogger(__name__)

ADDRESS = "PREFECT_API_URL"
HOST, PORT = "127.0.0.1", 4200
START_S = 180  # seconds that the server may take to start
RESTART_S = 1.0  # seconds before one that died is started again
SERVING = Path(".dvc/tmp/serve.lock")
DEPLOYMENTS = {
    "pipeline": "nightly",
    "watch": "recordings",
    "ablate": "ablations",
}  # flow: its deployment's name


def deployments(how: config.FlowParams) -> list[Any]:
    """Return what is served. Schedules stand in params.yaml."""
    from flows.ablate import ablate
    from flows.pipeline import pipeline
    from flows.watch import watch

    def deployment(flow: Any, cron: str = "") -> Any:
        return flow.to_deployment(DEPLOYMENTS[flow.fn.__name__], cron=cron or None)

    return [deployment(pipeline, how.nightly), deployment(watch, how.watch), deployment(ablate)]


@contextmanager
def server(port: int = PORT) -> Iterator[None]:
    """Have a server: that of PREFECT_API_URL, or one that runs here already, or one that ends with this block.

    One of ours that dies is started again, so that a flow that is at work finds it when it asks once more.
    """
    if os.environ.get(ADDRESS):
        yield
        return
    address = f"http://{HOST}:{port}/api"
    os.environ[ADDRESS] = address
    if healthy(address):
        yield
        return
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    ended = threading.Event()
    running = [_start(command)]

    def keep() -> None:
        while True:
            running[0].wait()
            if ended.wait(RESTART_S):
                return
            logger.warning("Prefect's server has died and is started again")
            running[0] = _start(command)
            if ended.is_set():
                running[0].terminate()

    try:
        end = time.monotonic() + START_S
        while not healthy(address):
            if running[0].poll() is not None or time.monotonic() > end:
                sys.exit(f"Prefect's server does not start at {address}: is something else at that port?")
            time.sleep(0.5)
        threading.Thread(target=keep, daemon=True).start()
        yield
    finally:
        ended.set()
        running[0].terminate()
        running[0].wait()


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # a group of its own: an interrupt ends the runs first, and then the server
    return subprocess.Popen(command, start_new_session=True)


def healthy(address: str) -> bool:
    """Return whether a Prefect server answers there."""
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({})
    )  # a proxy does not know this machine
    try:
        with direct.open(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def mark_crashed() -> int:
    """Mark runs of ours that were running when the process before this one died, and return their number."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.states import Crashed

    begun = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=begun))
    ours = FlowFilter(name=FlowFilterName(any_=[d.flow_name for d in deployments(config.read())]))
    with get_client(sync_client=True) as client:
        # without `sort` and `limit` this Prefect's client sends nulls that its own server refuses
        left = client.read_flow_runs(
            flow_filter=ours,
            flow_run_filter=FlowRunFilter(state=state),
            sort=FlowRunSort.ID_DESC,
            limit=200,
        )
        for run in left:
            client.set_flow_run_state(run.id, Crashed(message="`make serve` was started again"), force=True)
    return len(left)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=PORT, help="of the server (default: %(default)s)")
    port = parser.parse_args().port
    SERVING.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(SERVING, timeout=0), server(port):
            from prefect import serve

            idle = FileLock(commands.TURN)
            try:
                with idle.acquire(timeout=0):
                    mark_crashed()
            except Timeout:
                pass  # a flow is at work here, by hand or left over: it is running indeed
            # without `pause_on_shutdown` Prefect would switch the schedules off when this process ends
            serve(*deployments(config.read()), limit=1, pause_on_shutdown=False)
    except Timeout:
        sys.exit("`make serve` is running in this folder already")


if __name__ == "__main__":
    main()
