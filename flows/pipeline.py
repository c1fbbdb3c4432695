"""The DAG under Prefect, one task a stage: ``make flow``, or ``python -m flows.pipeline [stage ...]``.

Prefect decides when; DVC decides whether: a stage that is up to date takes a second and changes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows import commands, config, dag, pictures
from talkmesh import scores, tracking
from talkmesh.files import read_json

WORKERS = 2  # stages at once; more do not help on few cores


def _threads(workers: int) -> Any:
    # Any: Prefect declares the type of this runner narrower than that of what a flow takes
    return ThreadPoolTaskRunner(max_workers=workers)


@task(task_run_name="{stage.name}", cache_policy=NO_CACHE)
def run_stage(stage: dag.Stage, parent: str | None) -> State | None:
    """Run one stage through DVC, its lines in Prefect's log as they come; `parent` is the flow's MLflow run.

    A stage that fails ends in a failed state with its name and last lines, rather than in a traceback of ours.
    """
    before = {path: _made(path) for path in stage.pictures}
    command = commands.dvc("repro", "--single-item", stage.name)
    code, last = commands.follow(command, parent, get_run_logger().info)
    if code:
        return Failed(message=f"stage {stage.name} ended with exit code {code}:\n" + "\n".join(last))
    for path, made in before.items():
        if _made(path) not in (None, made):
            _show(pictures.preview(Path(path)), Path(path).stem, f"{stage.name}: {path}")
    return None


def _made(path: str) -> tuple[int, int] | None:
    """Return what tells one making of a file from another, whatever the clock says; None if there is no file."""
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_mtime_ns


@flow(name="talkmesh", task_runner=_threads(WORKERS), validate_parameters=False)
def pipeline(targets: list[str] | None = None) -> State | None:
    """Run the stages that `targets` name and all that they need, or all; two at once where the DAG allows it.

    If a stage fails, those that do not need it run to their end; then the flow fails with that stage's last lines.
    A flow that is cancelled stops its stages; a training that was stopped so goes on where it was, the next time.
    """
    logger = get_run_logger()
    stages = dag.wanted(dag.stages(), targets or [])
    with commands.turn(logger.info), commands.ending_with_the_flow():
        if not dag.is_stale():
            logger.info("all %d stages are up to date", len(stages))
            return None
        with tracking.run("pipeline") as log:
            states = _run(stages, log.id)
    _publish(stages, states, log.url)
    broken = [state.message or name for name, state in states.items() if state.is_failed()]
    done = [name for name, state in states.items() if state.is_completed()]
    unrun = [name for name, state in states.items() if not state.is_final()]
    if not broken and not unrun:
        return None
    return Failed(
        message="\n\n".join(broken)
        + f"\nnot run: {', '.join(unrun) or 'none'}\nup to date: {', '.join(done) or 'none'}"
    )


def _run(stages: Sequence[dag.Stage], parent: str | None) -> dict[str, State]:
    """Run stages as soon as all that they need is done, and return what became of each."""
    how = config.read()
    patient = run_stage.with_options(retries=how.retries, retry_delay_seconds=how.retry_delay_s)
    futures: dict[str, PrefectFuture] = {}
    for stage in stages:
        needed = [futures[name] for name in stage.upstream]
        runner = patient if stage.outside else run_stage
        futures[stage.name] = runner.submit(stage, parent, wait_for=needed, return_state=False)
    wait(list(futures.values()))
    return {name: future.state for name, future in futures.items()}


def _publish(stages: Sequence[dag.Stage], states: Mapping[str, State], mlflow: str | None) -> None:
    """Put the DAG, the scores and the way to the curves on the flow's page."""
    words = {
        name: "done" if state.is_completed() else "failed" if state.is_failed() else "not run"
        for name, state in states.items()
    }
    drawn = pictures.uri("svg+xml", pictures.graph(stages, words).encode())
    _show(drawn, "stages", "The stages: green is up to date, red failed, grey did not run")
    if not scores.METRICS.exists():
        return
    metrics = read_json(scores.METRICS)
    # a page of Prefect's has no room for all columns
    tables = (scores.table(metrics, columns) for columns in (scores.COLUMNS[:3], scores.COLUMNS[3:]))
    text = f"# {scores.heading(metrics)}\n\n" + "\n\n".join(tables) + "\n"
    if mlflow:
        text += f"\n[Curves and pictures in MLflow]({mlflow}) (`make mlflow` serves them)\n"
    create_markdown_artifact(
        key="scores", markdown=text, description="Scores of all methods on the test clips"
    )


def _show(address: str, key: str, says: str) -> None:
    """Put a picture on the flow's page; one that Prefect does not take is no reason to fail."""
    try:
        name = key.lower().replace("_", "-")
        create_markdown_artifact(key=name, markdown=pictures.markdown(says, address), description=says)
    except Exception as error:
        get_run_logger().warning("Prefect did not take the picture %s: %s", key, error)


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
