"""Programs that a flow starts: their lines as they come, and none outlives a flow that is cancelled."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from filelock import FileLock, Timeout

from talkmesh import tracking

LAST_LINES = 15  # kept of a program that fails
PROGRESS_S = 30  # seconds between two lines of one progress bar
# how a program is asked to end, and for how long each time; Prefect itself kills a cancelled flow after 30 s. The first
# is what Ctrl-C does: a training writes its last curves and says in MLflow that it was stopped.
STOPS = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
TURN = Path(".dvc/tmp/flow.lock")

_running: set[subprocess.Popen] = set()
_stopped = False


def dvc(*words: str) -> list[str]:
    """Return the command that runs DVC; commands that run side by side take turns at its lock instead of failing."""
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *words]


def environment(parent: str | None = None) -> dict[str, str]:
    """Return the environment of a stage: `python` is ours, its MLflow run appears below the run `parent`."""
    here = str(Path(sys.executable).parent)
    ours = {"PATH": os.pathsep.join([here, os.environ.get("PATH", "")]), "PYTHONUNBUFFERED": "1"}
    return os.environ | ours | ({tracking.PARENT: parent} if parent else {})


def follow(command: list[str], parent: str | None, say: Callable[[str], None]) -> tuple[int, list[str]]:
    """Run a command, hand each of its lines to `say`, and return its exit code and last lines."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    if _stopped:
        return 1, ["not started: the flow is being stopped"]
    with subprocess.Popen(
        command,
        env=environment(parent),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a group of its own: DVC, its shell and the stage end together
    ) as process:
        _running.add(process)
        try:
            output = cast(io.BufferedReader, process.stdout)
            for line in lines(io.TextIOWrapper(output, "utf-8", "replace", newline="")):
                last.append(line)
                say(line)
            process.wait()
        except Exception:
            raise
        except BaseException:  # cancelled while this, the flow's own thread, was reading
            stop()
            raise
        finally:
            _running.discard(process)
    return process.returncode, list(last)


def lines(stream: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a program; of a progress bar, which ends its lines with a return, one now and then."""
    shown = float("-inf")
    for line in stream:
        text = line.strip()
        if line.endswith("\r"):
            if time.monotonic() - shown < PROGRESS_S:
                continue
            shown = time.monotonic()
        if text:
            yield text


@contextmanager
def ending_with_the_flow() -> Iterator[None]:
    """Stop all programs if the block is cancelled or interrupted.

    An error, such as a Prefect server that went away, stops none: what trains goes on and is not lost.
    """
    global _stopped
    _stopped = False
    deaf = (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    )  # as in the background of a script; programs inherit it
    main = threading.current_thread() is threading.main_thread()
    if deaf and main:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except Exception:
        raise
    except BaseException:
        _stopped = True
        stop()
        raise


def stop() -> None:
    """End all running programs with all that they have started."""
    for how, patience in STOPS:
        waiting = [process for process in list(_running) if _signal(process, how)]
        end = time.monotonic() + patience
        while waiting and time.monotonic() < end:
            time.sleep(0.1)
            waiting = [process for process in waiting if _signal(process, 0)]


def _signal(process: subprocess.Popen, how: int) -> bool:
    """Send a signal to a program's group and return whether there was somebody to get it; 0 only asks."""
    process.poll()
    try:
        os.killpg(process.pid, how)
    except (ProcessLookupError, PermissionError):
        return False
    return True


@contextmanager
def turn(say: Callable[[str], None]) -> Iterator[None]:
    """Hold this folder for one flow at a time, whoever started it; another one waits for its turn."""
    TURN.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(TURN)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another flow is at work in this folder: waiting for its end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
