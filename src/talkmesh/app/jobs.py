"""The work of several users, one piece after the other, in the order in which it was asked for.

A job is a sound that is to be said. Its tasks are the motion, then each file that somebody wants of it. One worker does
all tasks. How many may wait is bounded, and so is how many jobs are kept: the oldest give way.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from talkmesh.errors import TalkmeshError
from talkmesh.web import Refused

log = logging.getLogger(__name__)

MOTION = "motion"  # the task that comes first; all others are kinds of files
GONE = "this result is no longer kept: let the sound be said again"
INSIDE = "something went wrong inside: the terminal in which the page was started says what"


@dataclass
class Task:
    """What becomes of one task. result : what it came to; error : a sentence for the user."""

    state: Literal["waiting", "working", "done", "failed"] = "waiting"
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass
class Job:
    """id : nobody can guess it; folder : all its files; wish : what is asked for; tasks : by kind."""

    id: str
    folder: Path
    wish: Any
    tasks: dict[str, Task] = field(default_factory=dict)
    cancelled: bool = False

    @property
    def at_rest(self) -> bool:
        return all(task.state in ("done", "failed") for task in self.tasks.values())


Work = Callable[[Job, str], dict[str, Any]]


class Jobs:
    """All jobs and the queue of their tasks.

    Parameters
    ----------
    root : folder in which each job has one of its own
    work : does the task of a kind and returns what it came to; a `TalkmeshError` is the user's to read
    waiting : how many tasks and uploads may wait or come in at once
    kept : how many jobs are kept
    """

    def __init__(self, root: Path, work: Work, waiting: int, kept: int) -> None:
        self._root, self._work, self._most, self._kept = root, work, waiting, kept
        self._jobs: dict[str, Job] = {}  # oldest first
        self._queue: deque[tuple[Job, str]] = deque()
        self._current: tuple[Job, str] | None = None
        self._coming: set[str] = set()
        self._closed = False
        self._changed = threading.Condition()

    # ---- what users ask for

    @contextmanager
    def place(self) -> Iterator[Path]:
        """Hold a place in the queue while an upload comes in, and yield the job's folder, whose name is its id.

        What has not become a job by `add` in the end leaves nothing behind.

        Raises
        ------
        Refused
            If too many are waiting already.
        """
        with self._changed:
            self._check_room()
            name = secrets.token_hex(16)
            self._coming.add(name)
        folder = self._root / name
        try:
            folder.mkdir()
            yield folder
        finally:
            with self._changed:
                self._coming.discard(name)
                left = name not in self._jobs
            if left:
                shutil.rmtree(folder, ignore_errors=True)

    def add(self, folder: Path, wish: Any) -> dict[str, Any]:
        """Queue the motion of the sound in a folder of `place`; return what `status` does."""
        with self._changed:
            job = self._jobs[folder.name] = Job(folder.name, folder, wish)
            self._coming.discard(job.id)
            self._enqueue(job, MOTION)
            old = [other for other in self._jobs.values() if other.at_rest]
            for other in old[: max(0, len(self._jobs) - self._kept)]:
                self._forget(other)
            return self._told(job)

    def ask(self, id: str, kind: str) -> dict[str, Any]:
        """Queue a file of a job whose motion is done, once; one that failed is tried again. Return its status."""
        with self._changed:
            job = self._job(id)
            if MOTION not in job.tasks or job.tasks[MOTION].state != "done":
                raise Refused("the motion is not there yet", 409, "too_early")
            if kind not in job.tasks or job.tasks[kind].state == "failed":
                self._check_room()
                self._enqueue(job, kind)
            return self._told(job)

    def status(self, id: str) -> dict[str, Any]:
        """Return what is to be known of a job: its id, and of each task state, tasks before it, result, error."""
        with self._changed:
            return self._told(self._job(id))

    def ids(self) -> list[str]:
        """Return the ids of all jobs that are kept, in the order in which they came."""
        with self._changed:
            return list(self._jobs)

    def folder(self, id: str) -> Path:
        """Return the folder of a job."""
        with self._changed:
            return self._job(id).folder

    def cancel(self, id: str) -> None:
        """Forget a job; what the worker has begun of it comes to its end and is thrown away."""
        with self._changed:
            job = self._job(id)
            self._queue = deque(pair for pair in self._queue if pair[0] is not job)
            self._forget(job)
            self._changed.notify_all()

    # ---- the worker

    def run(self) -> None:
        """Do one task after the other, until `close`."""
        while (pair := self._next()) is not None:
            job, kind = pair
            task = job.tasks[kind]
            result, error = {}, ""
            try:
                result = self._work(job, kind)
            except TalkmeshError as problem:
                error = str(problem)
            except Exception:
                log.exception("%s of a job failed", kind)
                error = INSIDE
            with self._changed:
                self._current = None
                task.state, task.result, task.error = "failed" if error else "done", result, error
                if job.cancelled:
                    shutil.rmtree(job.folder, ignore_errors=True)
                self._changed.notify_all()

    def close(self) -> None:
        """Let `run` return when the task at hand is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self) -> tuple[Job, str] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._queue)
            if self._closed:
                return None
            self._current = self._queue.popleft()
            job, kind = self._current
            job.tasks[kind].state = "working"
            return self._current

    # ---- all below holds the lock

    def _check_room(self) -> None:
        if len(self._queue) + len(self._coming) >= self._most:
            raise Refused(f"{self._most} are waiting already: try again in a minute", 503, "queue_full")

    def _enqueue(self, job: Job, kind: str) -> None:
        job.tasks[kind] = Task()
        self._queue.append((job, kind))
        self._changed.notify_all()

    def _job(self, id: str) -> Job:
        if id not in self._jobs:
            raise Refused(GONE, 404, "gone")
        return self._jobs[id]

    def _forget(self, job: Job) -> None:
        del self._jobs[job.id]
        job.cancelled = True
        if self._current is None or self._current[0] is not job:
            shutil.rmtree(job.folder, ignore_errors=True)

    def _told(self, job: Job) -> dict[str, Any]:
        order = [*([self._current] if self._current else []), *self._queue]
        before = {kind: place for place, (other, kind) in enumerate(order) if other is job}
        return {
            "id": job.id,
            "tasks": {
                kind: {"state": task.state, "before": before.get(kind, 0), "error": task.error, **task.result}
                for kind, task in job.tasks.items()
            },
        }
