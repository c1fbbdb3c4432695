"""The flow on a small DVC project: order, one task a stage, a failing stage, nothing to do."""

import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import flows  # noqa: F401  (its settings must come before Prefect's first import)

DVC_YAML = """
stages:
  first:
    cmd: python -m stages.work first
    outs: [first.txt]
  middle:
    foreach: [x, y]
    do:
      cmd: python -m stages.work middle_${item}
      deps: [first.txt]
      outs: ["middle_${item}.txt"]
  last:
    cmd: python -m stages.work last
    deps: [middle_x.txt, middle_y.txt]
    outs: [last.txt]
"""
WORK = """
import pathlib, sys
name = sys.argv[1]
with open("ran.log", "a") as log:
    log.write(name + "\\n")
if pathlib.Path("broken").exists() and name == "middle_x":
    sys.exit("the lens cap is on")
pathlib.Path(name + ".txt").write_text(name)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server for all tests of this file, its files in a temporary folder."""
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=300):
        yield
    del os.environ["PREFECT_HOME"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: None) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "__init__.py").touch()
    (tmp_path / "stages" / "work.py").write_text(textwrap.dedent(WORK))
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALKMESH_TRACKING", "off")
    return tmp_path


def ran(project: Path) -> list[str]:
    """The stages that ran since this was asked last."""
    path = project / "ran.log"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_a_progress_bar_does_not_flood_the_log() -> None:
    from flows.pipeline import _lines

    output = "start\n" + "".join(f"step {i}\r" for i in range(100)) + "step 100\n\nend\r\n"
    assert list(_lines(io.StringIO(output, newline=""))) == ["start", "step 0", "step 100", "end"]


def test_stages_run_in_order_once_and_a_failure_names_the_stage(project: Path) -> None:
    from flows.pipeline import pipeline

    (project / "broken").touch()
    state = pipeline(return_state=True)
    assert state.is_failed()
    assert "stage middle@x ended with exit code" in state.message
    assert "the lens cap is on" in state.message
    assert "not run: last" in state.message
    lines = ran(project)
    assert lines[0] == "first"
    assert sorted(lines[1:]) == ["middle_x", "middle_y"]

    (project / "broken").unlink()
    assert pipeline(return_state=True).is_completed()
    assert ran(project) == ["middle_x", "last"]  # what had been done is not done again
    assert (project / "last.txt").read_text() == "last"

    assert pipeline(return_state=True).is_completed()
    assert ran(project) == []


def test_a_target_runs_with_what_it_needs_only(project: Path) -> None:
    from flows.pipeline import pipeline

    assert pipeline(["middle@y"], return_state=True).is_completed()
    assert ran(project) == ["first", "middle_y"]
    state = pipeline(["midle"], return_state=True)
    assert state.is_failed()
    assert "there is no stage 'midle'" in state.message
