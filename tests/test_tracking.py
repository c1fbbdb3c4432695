"""Tracking mirrors a run into MLflow, and never stands in the way of a training."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkmesh import tracking


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own as the place where the store lies."""
    (tmp_path / ".dvc").mkdir()
    for name in ("MLFLOW_TRACKING_URI", tracking.PARENT, tracking.SWITCH, "DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def client(project: Path) -> Any:
    from mlflow import MlflowClient  # noqa: TID251

    return MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")


def test_a_run_and_one_that_is_interrupted(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "transcoder@full")
    monkeypatch.setenv(tracking.PARENT, "a" * 32)
    with tracking.run("transcoder", "full", {"model": {"code": 512}, "seed": 7}) as log:
        for step in range(2 * tracking.BUFFER + 1):
            log.metrics({"loss": 1.0 / (step + 1)}, step)
        log.image(np.zeros((4, 4, 3), np.uint8), "strip.png")
        (project / "note.txt").write_text("x")
        log.artifact(project / "note.txt", "notes")
        log.write_id(project / "run.json")
    assert json.loads((project / "run.json").read_text()) == {"run_id": log.id}
    found = client(project).get_run(log.id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "transcoder@full"
    assert found.data.params == {"model.code": "512", "seed": "7"}
    tags = found.data.tags
    assert (tags["stage"], tags["variant"], tags["DVC_STAGE"]) == ("transcoder", "full", "transcoder@full")
    assert tags["mlflow.parentRunId"] == "a" * 32
    curve = client(project).get_metric_history(log.id, "loss")
    assert [(m.step, m.value) for m in curve] == [(s, 1.0 / (s + 1)) for s in range(2 * tracking.BUFFER + 1)]
    kept = {
        p.relative_to(project / "mlruns" / log.id / "artifacts").as_posix()
        for p in (project / "mlruns").rglob("*.*")
    }
    assert {"strip.png", "notes/note.txt"} <= kept

    second: tracking.Log | None = None

    def interrupted() -> None:
        nonlocal second
        with tracking.run("regressor") as second:
            second.metrics({"loss": 3.0}, 5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert second is not None
    ended = client(project).get_run(second.id)
    assert (ended.info.status, ended.info.run_name) == ("KILLED", "regressor")
    assert ended.data.metrics == {"loss": 3.0}  # what was held back is not lost


def test_off_is_off(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracking.SWITCH, "off")
    with tracking.run("transcoder", "full", {"a": 1}) as log:
        log.metrics({"loss": 1.0})
        log.image(np.zeros((4, 4, 3), np.uint8), "strip.png")
        log.artifact("nowhere")
        log.flush()
        log.write_id("run.json")
    assert (log.id, log.url) == (None, None)
    assert json.loads(Path("run.json").read_text()) == {"run_id": None}
    assert sorted(os.listdir(project)) == [".dvc", "run.json"]


class Failing:
    """A client on which every call fails."""

    def __init__(self) -> None:
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*_: Any, **__: Any) -> None:
            self.calls += 1
            raise OSError("database is locked\nand more")

        return call


def test_failures_are_warned_of_and_then_given_up(caplog: pytest.LogCaptureFixture) -> None:
    failing = Failing()
    log = tracking.Log(failing, "id")
    with caplog.at_level(logging.WARNING):
        for step in range(10):
            log.metrics({"loss": 1.0}, step)
            log.flush()
    assert failing.calls == tracking.MAX_FAILURES
    assert caplog.messages[0] == "MLflow did not take metrics: database is locked"
    assert len(caplog.messages) == tracking.MAX_FAILURES + 1
    log.close()


def test_a_store_that_cannot_be_opened_costs_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        tracking, "_open", lambda: (_ for _ in ()).throw(ImportError("No module named 'mlflow'"))
    )
    with caplog.at_level(logging.WARNING), tracking.run("regressor") as log:
        log.metrics({"loss": 1.0})
    assert "regressor goes on untracked: No module named 'mlflow'" in caplog.text


def test_the_store_of_an_experiment_in_a_temporary_folder_is_the_projects(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = project / ".dvc" / "tmp" / "exps" / "standalone" / "tmp1"
    (inside / ".dvc").mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(inside))
    assert tracking.root() == project
    assert tracking.store() == f"sqlite:///{project}/mlflow.db"
    monkeypatch.delenv("DVC_ROOT")
    (project / "src").mkdir()
    monkeypatch.chdir(project / "src")
    assert tracking.root() == project
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert tracking.store() == "http://tracking:5000"


def test_importing_it_does_not_import_mlflow() -> None:
    code = "import sys; from talkmesh import tracking; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_new_store(project: Path) -> None:
    code = "from talkmesh import tracking\nwith tracking.run('x') as log: print(log.id)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=project)
        for _ in range(3)
    ]
    ids = {process.communicate(timeout=180)[0].strip() for process in started}
    assert len(ids) == 3
    assert "None" not in ids
