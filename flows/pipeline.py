"""The DAG under Prefect, one task a stage: ``make flow``, or ``python -m flows.pipeline [stage ...]``.

Prefect decides when; DVC decides whether: a stage that is up to date takes a second and changes nothing.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows import dag
from talkmesh import scores, tracking
from talkmesh.files import read_json

WORKERS = 2  # stages at once; more do not help on few cores
LAST_LINES = 15  # of a stage that fails, in the message
PROGRESS_S = 30  # seconds between two lines of one progress bar


def _threads(workers: int) -> Any:
    # Any: Prefect declares the type of this runner narrower than that of what a flow takes
    return ThreadPoolTaskRunner(max_workers=workers)


@task(task_run_name="{name}", cache_policy=NO_CACHE)
def run_stage(name: str, parent: str | None) -> State | None:
    """Run one stage through DVC, its lines in Prefect's log as they come; `parent` is the flow's MLflow run.

    A stage that fails ends in a failed state with its name and last lines, rather than in a traceback of ours.
    """
    logger = get_run_logger()
    last: deque[str] = deque(maxlen=LAST_LINES)
    # `--wait-for-lock`: stages that run side by side take turns at the repository's lock instead of failing
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", name]
    with subprocess.Popen(
        command, env=_environment(parent), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        output = cast(io.BufferedReader, process.stdout)
        for line in _lines(io.TextIOWrapper(output, "utf-8", "replace", newline="")):
            last.append(line)
            logger.info(line)
    if process.returncode == 0:
        return None
    return Failed(message=f"stage {name} ended with exit code {process.returncode}:\n" + "\n".join(last))


@flow(name="talkmesh", task_runner=_threads(WORKERS), validate_parameters=False)
def pipeline(targets: list[str] | None = None) -> State | None:
    """Run the stages that `targets` name and all that they need, or all; two at once where the DAG allows it.

    If a stage fails, those that do not need it run to their end; then the flow fails with that stage's last lines.
    """
    logger = get_run_logger()
    stages = dag.wanted(dag.stages(), targets or [])
    if not dag.is_stale():
        logger.info("all %d stages are up to date", len(stages))
        return None
    with tracking.run("pipeline") as log:
        futures: dict[str, PrefectFuture] = {}
        for stage in stages:
            needed = [futures[name] for name in stage.upstream]
            futures[stage.name] = run_stage.submit(stage.name, log.id, wait_for=needed, return_state=False)
        wait(list(futures.values()))
    _publish(log.url)
    broken = [future.state.message or name for name, future in futures.items() if future.state.is_failed()]
    unrun = [name for name, future in futures.items() if not future.state.is_final()]
    if broken or unrun:
        return Failed(message="\n\n".join(broken) + f"\nnot run: {', '.join(unrun) or 'none'}")
    return None


def _environment(parent: str | None) -> dict[str, str]:
    """Return the environment of a stage: `python` is ours, its MLflow run appears below the flow's."""
    here = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": os.pathsep.join([here, os.environ.get("PATH", "")]),
        "PYTHONUNBUFFERED": "1",
    }
    return environment | ({tracking.PARENT: parent} if parent else {})


def _lines(stream: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a stage; of a progress bar, which ends its lines with a return, one now and then."""
    shown = float("-inf")
    for line in stream:
        text = line.strip()
        if line.endswith("\r"):
            if time.monotonic() - shown < PROGRESS_S:
                continue
            shown = time.monotonic()
        if text:
            yield text


def _publish(mlflow: str | None) -> None:
    """Put the scores and the way to the curves on the flow's page."""
    if not scores.METRICS.exists():
        return
    metrics = read_json(scores.METRICS)
    text = f"# {scores.heading(metrics)}\n\n{scores.table(metrics)}\n"
    if mlflow:
        text += f"\n[Curves and pictures in MLflow]({mlflow}) (`make mlflow` serves them)\n"
    create_markdown_artifact(
        key="scores", markdown=text, description="Scores of all methods on the test clips"
    )


def main() -> int:
    """Run the flow once; return 1 if a stage failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="*", help="run only these and what they need (default: all)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="stages at once (default: %(default)s)")
    arguments = parser.parse_args()
    state = pipeline.with_options(task_runner=_threads(arguments.workers))(
        arguments.stages, return_state=True
    )
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
