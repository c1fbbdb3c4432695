"""`make serve` as a user has it: runs that are cancelled, a server that dies, a power cut."""

import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import flows  # noqa: F401  (its settings must come before Prefect's first import)
from quiet import Quiet
from served import Served, environment, wait_for
from test_flow import PARAMS, ran, write_project

pytestmark = pytest.mark.slow

TRAINING_YAML = """
stages:
  first:
    cmd: python -m stages.first
    outs: [first.txt]
  train:
    cmd: python -m stages.train
    deps: [first.txt]
    outs: [weights.npy, curves.csv]
"""
FIRST = 'open("first.txt", "w").write("1"); open("ran.log", "a").write("first\\n")'
TRAIN = """
import logging, os, time
from pathlib import Path
import numpy as np
import torch
from talkmesh import tracking
from talkmesh.train import TrainConfig, fit, write_curves

logging.basicConfig(level=logging.INFO)
CONFIG = TrainConfig(40, 0.02, 3, 0.0, 1.0, 0.9, 4, 0, False, "float32", "cpu", 5)
data = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
truth = data.sum(1, keepdim=True)

def train(work, log, pause):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))
    def losses(rng, part):
        time.sleep(pause)
        index = rng.integers(0, 64, 8)
        return {"mse": (model(data[index]) - truth[index]).square().mean()}
    def validate(candidate):
        return {"score": float((candidate(data) - truth).square().mean())}
    curves = fit(model, losses, validate, CONFIG, work, log, "test")
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()]), curves

if __name__ == "__main__":
    Path("pid").write_text(str(os.getpid()))
    open("ran.log", "a").write("train\\n")
    pause = 0.0 if Path("hurry").exists() else 0.5
    with tracking.run("train") as log:
        weights, curves = train(Path("work/train"), log, pause)
    np.save("weights.npy", weights)
    write_curves(Path("curves.csv"), curves)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    write_project(folder, "--no-scm")
    monkeypatch.setenv("TALKMESH_TRACKING", "off")
    return folder


@pytest.fixture
def served(project: Path, tmp_path: Path) -> Iterator[Served]:
    with Served(project, tmp_path / "home") as served:
        yield served


def test_a_training_that_is_cancelled_ends_and_the_next_run_goes_on_from_its_checkpoint(
    project: Path, tmp_path: Path
) -> None:
    from talkmesh.train import read_curves

    (project / "dvc.yaml").write_text(TRAINING_YAML)
    for name, text in {"first": FIRST, "train": TRAIN}.items():
        (project / "stages" / f"{name}.py").write_text(text)
    checkpoint = project / "work/train/checkpoint.safetensors"
    with Served(project, tmp_path / "home") as served:
        run = served.begin("nightly")
        wait_for(checkpoint.exists)
        assert served.state(run) == "RUNNING"
        training = int((project / "pid").read_text())
        assert training in served.pids("stages.train")
        served.cancel(run)
        wait_for(lambda: served.state(run) == "CANCELLED", 120)
        wait_for(lambda: not served.pids("stages.train"), 30)
        assert not (project / "weights.npy").exists()
        assert ran(project) == ["first", "train"]

        kept = checkpoint.read_bytes()
        (project / "hurry").touch()
        again = served.begin("nightly")
        wait_for(lambda: served.state(again) in ("COMPLETED", "FAILED", "CRASHED"))
        assert served.state(again) == "COMPLETED"
        logs = served.ask("POST", "/logs/filter", logs={"flow_run_id": {"any_": [again]}}, limit=200)
    assert ran(project) == ["train"]
    assert any("going on from step" in line["message"] for line in logs)
    assert checkpoint.read_bytes() != kept

    script = runpy.run_path(str(project / "stages/train.py"))
    weights, curves = script["train"](tmp_path / "whole", Quiet(), 0.0)
    np.testing.assert_array_equal(np.load(project / "weights.npy"), weights)
    assert read_curves(project / "curves.csv") == curves


def test_what_is_scheduled_runs(project: Path, tmp_path: Path) -> None:
    (project / "params.yaml").write_text(PARAMS.replace("0 3 * * *", "* * * * *"))
    with Served(project, tmp_path / "home") as served:
        wait_for((project / "reports/metrics.json").exists)
        served.stop()
    assert sorted(ran(project)) == ["first", "last", "middle_x", "middle_y"]


def test_schedules_survive_a_power_cut_and_what_was_cut_off_is_marked(project: Path, served: Served) -> None:
    (project / "long").touch()
    command = [sys.executable, "-m", "flows.serve"]
    second = subprocess.run(command, cwd=project, env=environment(**served.more), check=False)
    assert second.returncode == 1  # it is running already
    cut = served.begin("nightly")
    wait_for((project / "started").exists)
    served.power_cut()
    (project / "long").unlink()
    served.start()
    wait_for(lambda: served.state(cut) == "CRASHED")
    assert [s["active"] for s in served.deployments()["nightly"]["schedules"]] == [True]
    again = served.begin("nightly")
    wait_for(lambda: served.state(again) == "COMPLETED")
    served.stop()


def test_a_server_that_dies_is_started_again_and_the_run_comes_to_its_end(
    project: Path, served: Served
) -> None:
    (project / "wait").touch()
    run = served.begin("nightly")
    wait_for((project / "started").exists)
    (before,) = served.pids("prefect server start")
    served.kill("prefect server start")
    wait_for(lambda: served.pids("prefect server start") not in ([], [before]))
    wait_for(lambda: served.state(run) != "None")
    (project / "wait").unlink()
    wait_for(lambda: served.state(run) in ("COMPLETED", "FAILED", "CRASHED"))
    assert served.state(run) == "COMPLETED"
    assert sorted(ran(project)) == ["first", "last", "middle_x", "middle_y"]
    assert len(served.deployments()) == 3
    served.stop()
    wait_for(lambda: not served.pids(), 30)
