"""`make serve` in a small project, on a port and in a Prefect home of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE = float(os.environ.get("TALKMESH_PATIENCE", 240))  # seconds; nothing here is fast on a busy machine


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.2)


def environment(**more: str) -> dict[str, str]:
    """The environment in which the project's programs find our code."""
    places = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))} | more


class Served:
    """The process, and what Prefect's API says of it; `more` goes into its environment.

    Everything that it starts is known by PREFECT_HOME in its environment, so that nothing is left behind.
    """

    def __init__(self, project: Path, home: Path, **more: str) -> None:
        from prefect.client.orchestration import SyncPrefectClient

        self.project, self.port = project, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.pages = f"{self.address}/v2"  # where a browser that opens the address is led to
        self.mark = f"PREFECT_HOME={home}"
        self.more = {"PREFECT_HOME": str(home), "PREFECT_API_URL": ""} | more
        self.client = SyncPrefectClient(f"{self.address}/api")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.power_cut()

    def start(self) -> None:
        command = [sys.executable, "-m", "flows.serve", "--port", str(self.port)]
        self.process = process = subprocess.Popen(command, cwd=self.project, env=environment(**self.more))
        wait_for(lambda: process.poll() is not None or len(self.deployments()) == 3)
        assert process.poll() is None, "`make serve` has ended"

    def ask(self, method: str, path: str, **what: Any) -> Any:
        """The answer of the API, None if there is none."""
        try:
            return self.client.request(method, path, json=what).json()  # type: ignore[arg-type]
        except Exception:
            return None

    def deployments(self) -> dict[str, Any]:
        return {d["name"]: d for d in self.ask("POST", "/deployments/filter") or ()}

    def begin(self, name: str) -> str:
        """Start a run of a deployment, as the button on its page does."""
        return str(self.ask("POST", f"/deployments/{self.deployments()[name]['id']}/create_flow_run")["id"])

    def state(self, run: str) -> str:
        return str((self.ask("GET", f"/flow_runs/{run}") or {}).get("state_type"))

    def cancel(self, run: str) -> None:
        """Cancel a run, as the button on its page does."""
        said = self.ask("POST", f"/flow_runs/{run}/set_state", state={"type": "CANCELLING"})
        assert said["status"] == "ACCEPT", said

    def pids(self, words: str = "") -> list[int]:
        """The processes of this service whose command line holds `words`."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                ours = self.mark.encode() in (folder / "environ").read_bytes().split(b"\0")
                if ours and words.encode() in (folder / "cmdline").read_bytes().replace(b"\0", b" "):
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def kill(self, words: str = "") -> None:
        for pid in self.pids(words):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def stop(self) -> None:
        """End it as Ctrl-C or a supervisor does."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)

    def power_cut(self) -> None:
        self.kill()
        if self.process is not None:
            self.process.wait()
