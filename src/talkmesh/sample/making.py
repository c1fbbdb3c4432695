"""What all corpora that are made share: work in processes of their own, and nothing made twice."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

from talkmesh.files import read_json

J = TypeVar("J")


def in_processes(work: Callable[[J], str], jobs: Sequence[J], workers: int) -> Iterator[str]:
    """Do `work` on jobs in processes of their own (OpenGL does not survive a fork); yield names as they are done.

    The first job's name comes first: there is something to look at soon.
    """
    for name in (
        "LP_NUM_THREADS",
        "OMP_NUM_THREADS",
    ):  # of Mesa's renderer, of numpy: processes share the cores
        os.environ.setdefault(name, "1")
    if not jobs:
        return
    workers = max(1, min(workers, len(jobs)))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            first, *others = [pool.submit(work, job) for job in jobs]
            yield first.result()
            for future in as_completed(others):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def kept(index: Path, wanted: dict[str, Any], files: Callable[[str], Sequence[Path]]) -> dict[str, Any]:
    """Return the entries of what `index` (JSON) says was made as wanted and whose files are there.

    The files of what was made and is not wanted like that are removed; files that we did not make stay.
    """
    made = read_json(index) if index.exists() else {}
    done = {}
    for name, entry in made.items():
        if wanted.get(name) == entry and all(f.exists() for f in files(name)):
            done[name] = entry
        else:
            for file in files(name):
                file.unlink(missing_ok=True)
    return done
