"""The flows on a small DVC project: order, failures, retries, cancelling, pictures, watching, ablations, schedules."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import flows  # noqa: F401  (its settings must come before Prefect's first import)
from served import environment, wait_for
from talkmesh import params, tracking

ROOT = Path(__file__).parents[1]

DVC_YAML = """
stages:
  first:
    cmd: python -m stages.work first
    meta: {outside: true}
    outs: [first.txt]
  middle:
    foreach: [x, y]
    do:
      cmd: python -m stages.work middle_${item}
      deps: [first.txt]
      outs: ["middle_${item}.txt", "middle_${item}.png"]
  last:
    cmd: python -m stages.work last
    deps: [middle_x.txt, middle_y.txt]
    params: [step]
    outs: [last.txt]
    metrics:
      - reports/metrics.json: {cache: false}
"""
PARAMS = """
step: 1
flow: {retries: 1, retry_delay_s: 0.0, nightly: "0 3 * * *", watch: "", settle_s: 30.0}
ablations: {larger: [step=3]}
"""
WORK = """
import json, pathlib, sys, time
name = sys.argv[1]
with open("ran.log", "a") as log:
    log.write(name + "\\n")
if pathlib.Path("broken").exists() and name == "middle_x":
    sys.exit("the lens cap is on")
if pathlib.Path("away").exists() and name == "first":
    pathlib.Path("away").unlink()
    sys.exit("the disk is away")
if pathlib.Path("long").exists() and name == "middle_y":
    try:
        pathlib.Path("started").touch()
        time.sleep(600)
    except KeyboardInterrupt:
        pathlib.Path("interrupted").touch()
        raise
if pathlib.Path("wait").exists() and name == "middle_y":
    pathlib.Path("started").touch()
    while pathlib.Path("wait").exists():
        time.sleep(0.1)
pathlib.Path(name + ".txt").write_text(name)
if name.startswith("middle"):
    from PIL import Image
    Image.new("RGB", (40, 30)).save(name + ".png")
if name == "last":
    step = int(open("params.yaml").read().split("step: ")[1].split()[0])
    score = {"lve_mm": {"mean": 6.0 / step, "ci95": None}}
    pathlib.Path("reports").mkdir(exist_ok=True)
    found = {"corpus": "toy", "track": "cg", "methods": {"ours": score, "still": score}}
    pathlib.Path("reports/metrics.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server for all tests of this file, its files in a temporary folder."""
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=300):
        yield
    del os.environ["PREFECT_HOME"]


def write_project(folder: Path, *init: str) -> None:
    """Write the small DVC project; `init`: options of `dvc init`."""
    (folder / "stages").mkdir()
    (folder / "stages" / "__init__.py").touch()
    (folder / "stages" / "work.py").write_text(textwrap.dedent(WORK))
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "params.yaml").write_text(PARAMS)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", *init], cwd=folder, check=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: None) -> Path:
    write_project(tmp_path, "--no-scm")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALKMESH_TRACKING", "off")
    return tmp_path


def artifacts(kind: str) -> dict[str, Any]:
    """The newest artifact of each key."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/latest/filter", json={}).json()
    return {a["key"]: a["data"] for a in found if a["type"] == kind}


def ran(project: Path) -> list[str]:
    """The stages that ran since this was asked last."""
    path = project / "ran.log"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_a_progress_bar_does_not_flood_the_log() -> None:
    from flows.commands import lines

    output = "start\n" + "".join(f"step {i}\r" for i in range(100)) + "step 100\n\nend\r\n"
    assert list(lines(io.StringIO(output, newline=""))) == ["start", "step 0", "step 100", "end"]


def test_stages_run_in_order_once_and_a_failure_names_the_stage(project: Path) -> None:
    from flows.pipeline import pipeline

    (project / "broken").touch()
    state = pipeline(return_state=True)
    assert state.is_failed()
    assert "stage middle@x ended with exit code" in state.message
    assert "the lens cap is on" in state.message
    assert "not run: last" in state.message
    assert "up to date: first, middle@y" in state.message
    lines = ran(project)
    assert lines[0] == "first"
    assert sorted(lines[1:]) == ["middle_x", "middle_y"]

    (project / "broken").unlink()
    assert pipeline(return_state=True).is_completed()
    assert ran(project) == ["middle_x", "last"]  # what had been done is not done again
    assert (project / "last.txt").read_text() == "last"
    shown = artifacts("markdown")
    assert set(shown) == {"stages", "middle-x", "middle-y", "scores"}
    assert "](data:image/jpeg;base64," in shown["middle-x"]
    assert "](data:image/svg+xml;base64," in shown["stages"]
    assert "| ours " in shown["scores"]

    assert pipeline(return_state=True).is_completed()
    assert ran(project) == []


def test_a_target_runs_with_what_it_needs_only(project: Path) -> None:
    from flows.pipeline import pipeline

    assert pipeline(["middle@y"], return_state=True).is_completed()
    assert ran(project) == ["first", "middle_y"]
    state = pipeline(["midle"], return_state=True)
    assert state.is_failed()
    assert "there is no stage 'midle'" in state.message


def test_only_stages_that_read_what_lies_outside_are_tried_again(project: Path) -> None:
    from flows.pipeline import pipeline

    (project / "away").touch()
    (project / "broken").touch()
    assert pipeline(["middle"], return_state=True).is_failed()
    assert sorted(ran(project)) == ["first", "first", "middle_x", "middle_y"]


def test_the_dag_is_drawn_without_what_others_imply() -> None:
    from flows.dag import Stage
    from flows.pictures import graph

    stages = [Stage("a", ()), Stage("b", ("a",)), Stage("c", ("a", "b"))]
    drawn = graph(stages, {"a": "done", "b": "failed"})
    names = [node.tag.partition("}")[2] for node in ElementTree.fromstring(drawn).iter()]
    assert names.count("path") == 2  # a to b, b to c
    assert names.count("text") == 3


def test_the_picture_of_the_dag_is_narrow_and_stages_are_below_what_they_need() -> None:
    from flows.dag import Stage
    from flows.pictures import graph

    many = [Stage(f"m{i}", ("a",)) for i in range(10)]
    stages = [Stage("a", ()), *many, Stage("z", tuple(stage.name for stage in many))]
    drawn = ElementTree.fromstring(graph(stages, {}))
    assert float(drawn.attrib["width"]) <= 720  # what a page of Prefect's has room for
    boxes = [node for node in drawn if node.tag.endswith("rect")][1:]
    corners = {
        s.name: (float(b.attrib["x"]), float(b.attrib["y"])) for s, b in zip(stages, boxes, strict=True)
    }
    assert len(set(corners.values())) == len(stages)
    for stage in stages:
        assert all(corners[name][1] < corners[stage.name][1] for name in stage.upstream)


def command(*words: str) -> subprocess.Popen[bytes]:
    """Start a module of flows in the project, on the server of these tests."""
    from prefect.settings import PREFECT_API_URL

    more = environment(PREFECT_API_URL=str(PREFECT_API_URL.value()))
    return subprocess.Popen([sys.executable, "-m", *words], env=more)


def test_a_flow_that_is_cancelled_stops_its_stages_and_the_next_one_goes_on(project: Path) -> None:
    from flows.pipeline import pipeline

    (project / "long").touch()
    # what Prefect sends a flow that is cancelled on its pages
    with command("flows.pipeline") as flow:
        wait_for((project / "started").exists)
        flow.send_signal(signal.SIGTERM)
        assert flow.wait(60) != 0
    assert (project / "interrupted").exists()
    assert "middle_y" in ran(project)
    (project / "long").unlink()
    assert pipeline(return_state=True).is_completed()
    assert "first" not in ran(project)


def test_flows_take_turns(project: Path) -> None:
    from flows import commands

    (project / "long").touch()
    with commands.turn(print), command("flows.pipeline") as flow:
        time.sleep(0.1)
        assert flow.poll() is None
        assert ran(project) == []
        flow.terminate()


def test_new_recordings_start_the_pipeline_once(project: Path) -> None:
    from flows.watch import watch

    folder = project / "data/raw/ann"
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_text("a")
    assert watch(return_state=True).is_completed()
    assert ran(project) == []  # still being copied
    (project / "params.yaml").write_text(PARAMS.replace("settle_s: 30.0", "settle_s: 0.0"))
    assert watch(return_state=True).is_completed()
    assert sorted(ran(project)) == ["first", "last", "middle_x", "middle_y"]
    (project / "last.txt").unlink()
    assert watch(return_state=True).is_completed()
    assert not (project / "last.txt").exists()  # nothing new, so nobody looked
    os.rename(folder / "a.mp4", folder / "b.mp4")
    assert watch(return_state=True).is_completed()
    assert (project / "last.txt").exists()


def test_a_recording_dated_in_the_future_does_not_wait_for_that_day(project: Path) -> None:
    from flows.watch import watch

    folder = project / "data/raw/ann"
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_text("a")
    os.utime(folder / "a.mp4", (time.time() + 1e6,) * 2)
    assert watch(return_state=True).is_completed()
    assert ran(project) == []  # nobody can know yet whether it is still being copied
    (folder / "a.mp4").write_text("a whole film")
    os.utime(folder / "a.mp4", (time.time() + 1e6,) * 2)
    assert watch(return_state=True).is_completed()
    assert ran(project) == []  # it was
    assert watch(return_state=True).is_completed()
    assert sorted(ran(project)) == ["first", "last", "middle_x", "middle_y"]


def test_ablations_run_beside_the_folder_and_are_compared(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient  # noqa: TID251

    from flows.ablate import ablate, planned
    from flows.pipeline import pipeline

    for name in ("MLFLOW_TRACKING_URI", tracking.PARENT, "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    (project / ".gitignore").write_text("/data/raw/*\n/mlflow*\n/ran.log\n/mlruns\n/work\n__pycache__\n")
    (project / "data/raw/ann").mkdir(parents=True)
    (project / "data/raw/ann/a.mp4").write_text("a")
    document = yaml.safe_load(DVC_YAML)
    document["stages"]["first"]["deps"] = ["data/raw"]
    (project / "dvc.yaml").write_text(yaml.safe_dump(document))
    (project / ".dvc/config").write_text("")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *words], check=True)
    for key, value in {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b"}.items():
        monkeypatch.setenv(key, value)
        monkeypatch.setenv(key.replace("AUTHOR", "COMMITTER"), value)
    assert pipeline(return_state=True).is_completed()
    ran(project)
    before = (project / "params.yaml").read_text()

    monkeypatch.delenv("TALKMESH_TRACKING")
    state = ablate({**planned(), "broken": ["no.such.key=1"]}, return_state=True)
    assert state.is_failed()
    assert state.message.startswith("ablation broken ended with exit code")
    assert (project / "params.yaml").read_text() == before
    assert ran(project) == []
    table = json.loads(artifacts("table")["ablations"])
    assert [(row["run"], row["sets"], row["method"], row["lve_mm"]) for row in table] == [
        ("as it is", "", "ours", "6"),
        ("larger", "step=3", "ours", "2"),
    ]
    client = MlflowClient(tracking_uri=tracking.store())
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    runs = client.search_runs([experiment])
    parent = next(run.info.run_id for run in runs if run.info.run_name == "ablate")
    children = {
        run.data.tags["variant"]: run.data.metrics
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent
    }
    assert children["larger"] == {"ours/lve_mm": 2.0, "still/lve_mm": 2.0}
    assert children["as it is"] == {"ours/lve_mm": 6.0, "still/lve_mm": 6.0}

    # DVC has them too, and what an ablation made is not made again where its parameters come into use
    dvc = [sys.executable, "-m", "dvc"]
    shown = subprocess.run([*dvc, "exp", "show", "--csv"], capture_output=True, text=True, check=True).stdout
    found = {row["Experiment"]: row for row in csv.DictReader(io.StringIO(shown))}
    assert found["larger"]["methods.ours.lve_mm.mean"] == "2.0"
    (project / "params.yaml").write_text(before.replace("step: 1", "step: 3"))
    subprocess.run([*dvc, "repro"], check=True)
    assert (
        json.loads((project / "reports/metrics.json").read_text())["methods"]["ours"]["lve_mm"]["mean"] == 2.0
    )
    (project / "params.yaml").write_text(before)
    subprocess.run([*dvc, "repro"], check=True)
    assert ran(project) == []


def test_flow_and_ablations_of_the_project_are_as_params_and_dvc_have_them() -> None:
    from flows.config import FlowParams

    params.section(FlowParams, "flow", path=ROOT / "params.yaml")
    values = params.read(ROOT / "params.yaml")
    for name, settings in values["ablations"].items():
        for setting in settings:
            place: Any = values
            for key in setting.partition("=")[0].split("."):
                assert key in place, f"ablation {name} sets {setting}, which params.yaml does not have"
                place = place[key]


def test_work_pools_get_what_is_served() -> None:
    from flows.serve import DEPLOYMENTS

    left = dict(DEPLOYMENTS)

    values = params.read(ROOT / "params.yaml")["flow"]
    for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        file, _, function = entry["entrypoint"].partition(":")
        assert (ROOT / file).is_file()
        assert left.pop(function) == entry["name"]
        assert [s["cron"] for s in entry.get("schedules", ())] == [
            values[name]
            for name, flow in {"nightly": "pipeline", "watch": "watch"}.items()
            if flow == function
        ]
    assert not left


def test_prefect_makes_runs_of_a_schedule(project: Path) -> None:
    """With SQLAlchemy 2.1 Prefect 3.8 does not: schedules are shown, and nothing ever runs."""
    from prefect.client.orchestration import get_client

    from flows import config, serve

    nightly = serve.deployments(config.read())[0].apply()
    with get_client(sync_client=True) as client:
        client.request("POST", f"/deployments/{nightly}/schedule", json={"min_runs": 2})
        asked = {"deployments": {"id": {"any_": [str(nightly)]}}}
        runs = client.request("POST", "/flow_runs/filter", json=asked).json()
        client.request("DELETE", f"/deployments/{nightly}")
    assert len(runs) >= 2
    assert {run["state_type"] for run in runs} == {"SCHEDULED"}
