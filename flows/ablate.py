"""Ablations under Prefect: each a ``dvc exp run`` with some parameters set, compared in one table.

``make ablate``, or ``python -m flows.ablate [NAME ...] [--set NAME=PARAMETER=VALUE,...]``. Names and what they set
stand in the section `ablations` of params.yaml. Experiments run in folders of their own: this one stays as it is, and
``dvc exp apply NAME`` brings one here. What DVC has made before is not made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows import commands, dag
from talkmesh import params, scores, tracking
from talkmesh.files import read_json
from talkmesh.references import REFERENCES

HERE = "as it is"  # the row of this folder's own results
Scores = dict[str, dict[str, float]]  # by method and metric


@task(task_run_name="{name}", cache_policy=NO_CACHE)
def run_experiment(name: str, settings: list[str], parent: str | None) -> Scores | State:
    """Run one experiment and return its scores; below `parent`, MLflow has them and the trainings that led to them."""
    logger = get_run_logger()
    with tracking.run("ablation", name, _named(settings), parent) as log:
        # an experiment of that name would be in the way; what it made is in DVC's cache
        subprocess.run(commands.dvc("exp", "remove", "-q", name), capture_output=True, check=False)
        command = commands.dvc("exp", "run", "--temp", "--name", name)
        for setting in settings:
            command += ["--set-param", setting]
        for path in _uncommitted():
            command += ["--copy-paths", path]
        code, last = commands.follow(command, log.id, logger.info)
        if code:
            return Failed(message=f"ablation {name} ended with exit code {code}:\n" + "\n".join(last))
        found = _scores_of(name)
        log.metrics(_flat(found))
    return found


@flow(name="talkmesh-ablate", validate_parameters=False)
def ablate(runs: dict[str, list[str]] | None = None) -> State | None:
    """Run ablations one after the other and publish the comparison.

    Parameters
    ----------
    runs : by name what is set, such as ``{"seed_8": ["transcoder.train.seed=8"]}``; by default those of params.yaml
    """
    logger = get_run_logger()
    runs = planned() if runs is None else runs
    rows: dict[str, Scores] = {}
    broken = []
    with commands.turn(logger.info), commands.ending_with_the_flow(), tracking.run("ablate") as log:
        if scores.METRICS.exists():
            rows[HERE] = scores.means(read_json(scores.METRICS))
            with tracking.run("ablation", HERE, parent=log.id) as child:
                child.metrics(_flat(rows[HERE]))
        for name, settings in runs.items():
            state: State[Any] = run_experiment(name, settings, log.id, return_state=True)
            if state.is_completed():
                rows[name] = state.result()
            else:
                broken.append(state.message or name)
        if rows:
            log.table(
                scores.columns_of({name: _flat(row) for name, row in rows.items()}, "run"), "ablations.json"
            )
    table = comparison(rows, runs)
    if table:
        says = "Ablations" + (f"; curves are in [MLflow]({log.url})" if log.url else "")
        create_table_artifact(table, "ablations", says)
    return Failed(message="\n\n".join(broken)) if broken else None


def planned() -> dict[str, list[str]]:
    """Return the ablations that params.yaml names."""
    found = params.read().get("ablations") or {}
    return {str(name): [str(setting) for setting in settings] for name, settings in found.items()}


def comparison(rows: Mapping[str, Scores], runs: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Return one row a run and method; methods that nothing is trained for are the same in all and left out."""
    return [
        {"run": name, "sets": ", ".join(runs.get(name, ())), "method": method}
        | {column: _shown(values[column]) for column in scores.COLUMNS if column in values}
        for name, by_method in rows.items()
        for method, values in by_method.items()
        if method not in REFERENCES
    ]


def _shown(value: float) -> str:
    return f"{value:.3g}"


def _flat(found: Scores) -> dict[str, float]:
    return {f"{method}/{name}": value for method, row in found.items() for name, value in row.items()}


def _named(settings: list[str]) -> dict[str, str]:
    parts = (setting.lstrip("+~").partition("=") for setting in settings)
    return {name: value for name, _, value in parts}


def _uncommitted() -> list[str]:
    """Return the paths that stages read and git leaves out: DVC does not bring them into an experiment by itself.

    Recordings that DVC looks after (``dvc add data/raw/<corpus>``) are not among them, and are linked, not copied.
    """
    ask = [
        "git",
        "ls-files",
        "--others",
        "--ignored",
        "--exclude-standard",
        "--directory",
        "--",
        *dag.inputs(),
    ]
    lines = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()
    listed = [Path(line) for line in lines]
    kept = dag.kept()
    # git names a folder that it leaves out and what is in it: DVC must not copy that twice
    outermost = [path for path in listed if not set(path.parents) & set(listed)]
    return [str(path) for path in outermost if str(path) not in kept]


def _scores_of(name: str) -> Scores:
    """Return the scores that an experiment has left in git."""
    import json

    import dvc.api

    return scores.means(json.loads(dvc.api.read(str(scores.METRICS), rev=name)))


def main() -> int:
    """Run the flow once; return 1 if an ablation failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="of params.yaml; default: all")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=PARAMETER=VALUE,...", help="one more, given here"
    )
    arguments = parser.parse_args()
    known = planned()
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"params.yaml has no ablation '{unknown[0]}'; known are {', '.join(known) or 'none'}")
    runs = {name: known[name] for name in arguments.names or ([] if arguments.set else known)}
    for text in arguments.set:
        name, _, settings = text.partition("=")
        runs[name] = settings.split(",")
    return 0 if ablate(runs, return_state=True).is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
