"""Many calls of one function, one process a core, or on a cluster: joblib, set by two environment variables.

TALKMESH_PARALLEL : joblib's backend: `loky` (processes of this machine, the default), `dask` or `ray`
TALKMESH_CLUSTER : address of the cluster, for Dask that of its scheduler; without it a local one is started

They are no parameters because results do not depend on them. A cluster must see the same folders.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config

from talkmesh.errors import TalkmeshError

T = TypeVar("T")


@contextmanager
def cluster() -> Iterator[str]:
    """Make joblib use what `TALKMESH_PARALLEL` and `TALKMESH_CLUSTER` say; yield the name of the backend.

    Raises
    ------
    TalkmeshError
        If the backend is unknown or its package is not installed.
    """
    name, address = os.environ.get("TALKMESH_PARALLEL", "loky"), os.environ.get("TALKMESH_CLUSTER")
    with ExitStack() as stack:
        try:
            if name == "dask":
                from distributed import Client

                stack.enter_context(Client(address))
            elif name == "ray":
                import ray
                from ray.util.joblib import register_ray

                ray.init(address, ignore_reinit_error=True)
                register_ray()
            elif name != "loky":
                raise TalkmeshError(f"TALKMESH_PARALLEL must be loky, dask or ray; it is '{name}'")
        except ModuleNotFoundError as error:
            raise TalkmeshError(
                f"TALKMESH_PARALLEL={name} needs the package {error.name}, which is not installed"
            ) from None
        stack.enter_context(parallel_config(backend=name))
        yield name


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self.records.append(record)


def _told(call: Callable[..., T], arguments: tuple[Any, ...]) -> tuple[T, list[logging.LogRecord]]:
    """Call, and return what was logged along with the result: a worker's log is nobody's."""
    ours, kept = logging.getLogger("talkmesh"), _Kept()
    ours.addHandler(kept)
    propagate, ours.propagate = ours.propagate, False
    try:
        return call(*arguments), kept.records
    finally:
        ours.removeHandler(kept)
        ours.propagate = propagate


def ordered(call: Callable[..., T], jobs: Iterable[tuple[Any, ...]], workers: int) -> Iterator[T]:
    """Yield `call(*job)` for each job, in their order, as soon as they are done; what they log is logged here.

    With one worker everything happens in this process. An error of a call is raised here; the others are let go.
    """
    if workers == 1 and "TALKMESH_PARALLEL" not in os.environ:
        for job in jobs:
            yield call(*job)
        return
    with cluster() as name:
        form = "list" if name == "ray" else "generator"  # Ray's backend gives all at once
        results = Parallel(n_jobs=workers, return_as=form)(delayed(_told)(call, job) for job in jobs)
        for result, records in results:
            for record in records:
                logging.getLogger(record.name).handle(record)
            yield result


def once_each(
    call: Callable[..., T], keys: Sequence[Hashable], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[T]:
    """Yield what `ordered` does, but of jobs with the same key only the first is done: its result is that of all.

    Results that are kept by their key are so never written by two processes at once.
    """
    first = {key: number for number, key in reversed(list(enumerate(keys)))}
    results = ordered(call, [jobs[number] for number in sorted(first.values())], workers)
    done: dict[Hashable, T] = {}
    for key in keys:
        if key not in done:
            done[key] = next(results)
        yield done[key]
