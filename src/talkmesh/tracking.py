"""Curves, parameters, pictures and run ids in MLflow: the only module that imports it, when a run starts.

Files come first (``metrics.json``, curves are DVC's); MLflow mirrors them. Losing its database, or a failure
in the middle of a training, costs a picture of the past and never a result.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from talkmesh.files import content_hash, read_json, write_json

logger = logging.getLogger(__name__)
T = TypeVar("T")

EXPERIMENT = "talkmesh"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # else the pages open as for chat programs
SWITCH = "TALKMESH_TRACKING"  # environment: "off" switches tracking off
PARENT = "MLFLOW_PARENT_RUN_ID"  # environment: the run of the flow, below which stages appear
CURVES = "talkmesh.curves"  # tag: hash of the curves of a run that was made after the training
BUFFER = (
    200  # numbers held back before they are written in one batch: a batch costs as much as five single calls
)
MAX_FAILURES = 3  # failed calls after which a run stops trying
# of a server that does not answer: MLflow's own 7 and 120 s would hold a training up for ten minutes a call
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"}


class Log:
    """What a stage writes to while it runs. Every method does nothing when tracking is off or has failed.

    Attributes
    ----------
    id : str or None
        The MLflow run id, None when nothing is tracked.
    url : str or None
        The run's page, once MLflow's pages are served (``make mlflow``).
    """

    def __init__(self, client: Any = None, run_id: str | None = None, experiment: str = "") -> None:
        self.id = run_id
        self.url = f"{_pages()}/#/experiments/{experiment}/runs/{run_id}" if run_id else None
        self._client = client
        self._buffer: list[tuple[str, float, int, int]] = []  # name, value, milliseconds, step
        self._failures = 0

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Add numbers to the curves of their names; they are held back until `flush`, or until many."""
        if self._client is None:
            return
        now = time.time_ns() // 1_000_000
        self._buffer += [(name, float(value), now, step) for name, value in values.items()]
        if len(self._buffer) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write the numbers that are held back. Call it once a validation."""
        if not self._buffer:
            return
        from mlflow.entities import Metric

        batch = [Metric(*number) for number in self._buffer]
        self._buffer = []
        for part in _parts(batch, 1000):  # MLflow's limit of one batch
            self.attempt("metrics", partial(_log_batch, run_id=self.id, metrics=part))

    def params(self, values: Any) -> None:
        """Write parameters: a mapping or a dataclass, nested or not; nested keys are joined by a dot."""
        if self._client is None:
            return
        from mlflow.entities import Param

        pairs = [Param(key, str(value)[:6000]) for key, value in _flat(values)]
        for part in _parts(pairs, 100):
            self.attempt("parameters", partial(_log_batch, run_id=self.id, params=part))

    def image(self, image: np.ndarray | str | Path, name: str) -> None:
        """Keep a picture, (H, W, 3) uint8 or a file, under `name` (such as ``"strip.png"``)."""
        if not isinstance(image, np.ndarray):
            from PIL import Image

            image = np.asarray(Image.open(image).convert("RGB"))
        self.attempt(name, lambda client: client.log_image(self.id, image, artifact_file=name))

    def figure(self, figure: Any, name: str) -> None:
        """Keep a matplotlib figure under `name` (such as ``"curves.png"``)."""
        self.attempt(name, lambda client: client.log_figure(self.id, figure, name))

    def artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Keep a copy of a file, or of a folder with all that is in it, in `folder` of the run."""

        def keep(client: Any) -> None:
            (client.log_artifacts if Path(path).is_dir() else client.log_artifact)(self.id, str(path), folder)

        self.attempt(str(path), keep)

    def table(self, columns: Mapping[str, list[Any]], name: str) -> None:
        """Keep a table under `name` (such as ``"scores.json"``), which MLflow shows as one."""
        self.attempt(name, lambda client: client.log_table(self.id, dict(columns), name))

    def write_id(self, path: str | Path) -> None:
        """Write ``{"run_id": ...}``, null when untracked: by this out a cached stage finds its run again."""
        write_json(path, {"run_id": self.id})

    def close(self, status: str = "FINISHED") -> None:
        """Write what is held back and end the run; `run` does this by itself."""
        self.flush()
        self.attempt("the end of the run", lambda client: client.set_terminated(self.id, status))
        self._client = None

    def attempt(self, what: str, write: Callable[[Any], T]) -> T | None:
        """Return ``write(client)``; a training outlives whatever is raised there, and None is returned."""
        if self._client is None:
            return None
        try:
            return write(self._client)
        except Exception as error:
            self._failures += 1
            logger.warning("MLflow did not take %s: %s", what, _first_line(error))
            if self._failures >= MAX_FAILURES:
                logger.warning("MLflow failed %d times: this run goes on untracked", self._failures)
                self._client = None
        return None


@contextmanager
def run(stage: str, variant: str = "", params: Any = None, parent: str | None = None) -> Iterator[Log]:
    """Track the block as one MLflow run named ``stage@variant``.

    Example
    -------
    >>> with tracking.run("transcoder", "full", config) as log:
    ...     log.metrics({"loss": 0.1, "val/loss": 0.2}, step=100)
    ...     log.image(strip, "strip.png")
    ...     log.write_id("models/transcoder/full/run.json")

    Parameters
    ----------
    stage, variant : names of what runs; `variant` may be empty
    params : mapping or dataclass, written once as the run's parameters
    parent : id of the run below which this one is shown; by default that of the flow, if there is one
    """
    tags = {"stage": stage, "variant": variant}
    if above := parent or os.environ.get(PARENT):
        tags["mlflow.parentRunId"] = above
    log = _start(f"{stage}@{variant}" if variant else stage, tags)
    if params is not None:
        log.params(params)
    try:
        yield log
    except BaseException as error:
        # what is neither an error nor an exit is an interrupt, or Prefect's signal that a flow is cancelled
        log.close("FAILED" if isinstance(error, Exception | SystemExit) else "KILLED")
        raise
    log.close()


def complete(folder: Path, stage: str, variant: str) -> None:
    """Bring to MLflow what it missed of a finished training while it was away.

    `folder` is the training's: curves.csv holds all that MLflow should know, run.json the run that it may have begun.
    A run that this MLflow does not have is made anew, once; it is found again by the hash of the curves.
    """
    if not _on():
        return
    from talkmesh.train import read_curves

    curves = folder / "curves.csv"
    if not curves.exists():
        return
    try:
        client, experiment = _open()
        run_id = _begun(client, experiment, read_json(folder / "run.json")["run_id"], content_hash(curves))
        if run_id is None:
            tags = {"stage": stage, "variant": variant, CURVES: content_hash(curves)}
            created = client.create_run(experiment, run_name=f"{stage}@{variant}", tags=tags)
            run_id = created.info.run_id
        known = {number.step for number in client.get_metric_history(run_id, "val/score")}
        missed = [row for row in read_curves(curves) if row[0] not in known]
        ended = client.get_run(run_id).info.status == "FINISHED"
    except Exception as error:
        logger.warning("MLflow is not available for %s: %s", folder, _first_line(error))
        return
    if ended and not missed:
        return
    log = Log(client, run_id, experiment)
    for step, name, value, split in missed:
        log.metrics({f"{split}/{name}": value}, step)
    log.close()
    logger.info("%s: MLflow has got %d numbers that it had missed", folder, len(missed))


def _begun(client: Any, experiment: str, run_id: str | None, curves: str) -> str | None:
    """Return the run of a training: that of `run_id` if this MLflow has it, or what `complete` made."""
    from mlflow.exceptions import MlflowException

    if run_id is not None:
        try:
            return str(client.get_run(run_id).info.run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    found = client.search_runs([experiment], f"tags.`{CURVES}` = '{curves}'", max_results=1)
    return found[0].info.run_id if found else None


def prepare() -> None:
    """Make the database once, before stages that run side by side would make it at the same time."""
    if _on():
        _open()


def root() -> Path:
    """Return the project's folder: DVC's, and for an experiment in ``.dvc/tmp/exps`` the one that holds it.

    DVC deletes the folder of such an experiment; a database in it would vanish with it.
    """
    here = Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()
    inside = next((p.parent for p in here.parents if p.name == ".dvc"), None)
    if inside is not None:
        return inside
    return next((p for p in (here, *here.parents) if (p / ".dvc").is_dir() or (p / ".git").exists()), here)


def store() -> str:
    """Return MLflow's address: ``MLFLOW_TRACKING_URI``, else the absolute path of our ``mlflow.db``."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlflow.db'}"


def _pages() -> str:
    """Return where MLflow's pages are, or would be after ``make mlflow``; MLFLOW_PORT is MLflow's own."""
    served = f"http://127.0.0.1:{os.environ.get('MLFLOW_PORT') or 5000}"
    return store() if store().startswith("http") else served


def _on() -> bool:
    """Whether to track: of several processes that train one model together the first one does."""
    first = os.environ.get("RANK", "0") == "0"
    return first and os.environ.get(SWITCH, "on").lower() not in ("off", "0", "false", "no")


def _start(name: str, tags: dict[str, str]) -> Log:
    """Create the run, or return an untracked log with a warning."""
    if not _on():
        return Log()
    try:
        client, experiment = _open()
        tags |= {
            k: os.environ[k] for k in ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV") if k in os.environ
        }
        created = client.create_run(experiment, run_name=name, tags=tags | _git())
        return Log(client, created.info.run_id, experiment)
    except Exception as error:
        logger.warning("MLflow is not available, %s goes on untracked: %s", name, _first_line(error))
        return Log()


def _open() -> tuple[Any, str]:
    """Return the client and the experiment's id; the first call on a machine makes the database (5 s)."""
    from filelock import FileLock

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for chatty in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    uri, folder = store(), root()
    # two processes that create the database at once break each other
    with FileLock(folder / "mlflow.db.lock"):
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return client, found.experiment_id
        place = (folder / "mlruns").as_uri() if uri.startswith("sqlite:") else None
        return client, client.create_experiment(EXPERIMENT, artifact_location=place, tags=KIND)


def _git() -> dict[str, str]:
    """Return the commit and whether tracked files differ from it; nothing outside a repository."""

    def ask(*words: str) -> str:
        command = ["git", "-C", str(root()), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        dirty = bool(ask("status", "--porcelain", "--untracked-files=no"))
        return {"mlflow.source.git.commit": ask("rev-parse", "HEAD"), "git.dirty": str(dirty).lower()}
    except (OSError, subprocess.SubprocessError):
        return {}


def _log_batch(client: Any, **what: Any) -> None:
    client.log_batch(**what)


def _parts(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _flat(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if dataclasses.is_dataclass(values) and not isinstance(values, type):
        values = dataclasses.asdict(values)
    if not isinstance(values, Mapping):
        return [(prefix, values)]
    return [pair for k, v in values.items() for pair in _flat(v, f"{prefix}.{k}" if prefix else str(k))]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def main() -> None:
    """Serve MLflow's pages on this project's runs: ``python -m talkmesh.tracking``."""
    prepare()
    # its job runner is seven processes for what is not used here
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--backend-store-uri", store()]
    # in this process's place: an interrupt ends the server and nothing else
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
