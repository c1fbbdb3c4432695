"""Both services in a browser: a pipeline and ablations started on Prefect's pages, compared on MLflow's.

Pictures of what was seen are kept in the folder TALKMESH_SCREENSHOTS, if it is set.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import flows  # noqa: F401  (its settings must come before Prefect's first import)
from chromium import BROWSER, Page, browsing
from served import Served, environment, free_port, wait_for
from talkmesh import tracking
from test_flow import PARAMS, ran, write_project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine"),
]

IGNORED = "/mlflow*\n/mlruns\n/ran.log\n/work\n/started\n/interrupted\n/long\n__pycache__\n"
COUNT = itertools.count()
CLICKABLE = "button, a, [role=menuitem], [role=tab]"


@dataclass
class Watched:
    """A small project in git, both services at work on it, and a browser."""

    project: Path
    prefect: Served
    mlflow: str
    page: Page
    pictures: Path

    def sees(self, *words: str) -> None:
        for text in words:
            self.page.until(f"document.body.innerText.includes({text!r})")

    def click(self, words: str) -> None:
        """Click the element that says exactly this, with a real mouse."""
        find = (
            f"[...document.querySelectorAll({CLICKABLE!r})].find(e => e.innerText.trim() === {words!r} && "
            "e.checkVisibility())"
        )
        self.page.until(f"!!({find})")
        self.page.value(f"({find}).scrollIntoView({{block: 'center'}})")
        mark = f"data-clicked-{next(COUNT)}"
        self.page.value(f"({find}).setAttribute({mark!r}, '')")
        box = f"JSON.stringify(({find})?.getBoundingClientRect())"
        before = None
        while before != (before := self.page.value(box)):  # menus and dialogs come in moving
            time.sleep(0.2)
        self.page.click(f"[{mark}]")

    def picture(self, name: str) -> None:
        self.page.picture(self.pictures / f"{name}.png")

    def quick_run(self, deployment: str) -> str:
        """Press Run and Quick run on a deployment's page, go to the page of the run, and return its id."""
        known = self.prefect.deployments()[deployment]["id"]
        before = self.runs(known)
        self.page.open(f"{self.prefect.pages}/deployments/deployment/{known}")
        self.sees(deployment)
        self.click("Run")
        self.picture(f"{deployment}-run")
        self.click("Quick run")
        wait_for(lambda: len(self.runs(known)) > len(before))
        run, name = next((run, name) for run, name in self.runs(known).items() if run not in before)
        self.click(name)
        self.page.until(f"location.pathname.endsWith({run!r})")
        return run

    def ended(self, run: str) -> None:
        """Wait for the end of a run; its page does not look again by itself for what was left last."""
        wait_for(lambda: self.prefect.state(run) in ("COMPLETED", "FAILED", "CRASHED"))
        self.page.open(self.page.value("location.href"))

    def artifact(self, key: str) -> None:
        """Go to the newest artifact of a key by its page."""
        found = {a["key"]: a["latest_id"] for a in self.prefect.ask("POST", "/artifacts/latest/filter")}
        self.page.open(f"{self.prefect.pages}/artifacts/key/{key}")
        self.click(found[key][:8])
        self.page.until(f"location.pathname.endsWith({found[key]!r})")

    def runs(self, deployment: str) -> dict[str, str]:
        """The names of a deployment's runs that nobody scheduled, by their ids."""
        asked = {"deployments": {"id": {"any_": [deployment]}}, "sort": "ID_DESC"}
        found = self.prefect.ask("POST", "/flow_runs/filter", **asked)
        return {run["id"]: run["name"] for run in found if not run["auto_scheduled"]}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    place = tmp_path_factory.mktemp("watched")
    project, port = place / "project", free_port()
    project.mkdir()
    for words in (["init", "-q"], ["config", "user.name", "a"], ["config", "user.email", "a@b"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    write_project(project)
    (project / "params.yaml").write_text(PARAMS.replace("ablations: {", "ablations: {twice: [step=2], "))
    (project / ".gitignore").write_text(IGNORED)
    for words in (["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run(["git", *words], cwd=project, check=True)
    pictures = Path(os.environ.get("TALKMESH_SCREENSHOTS") or place / "pictures")
    pictures.mkdir(parents=True, exist_ok=True)
    # as `make` starts them, on ports of their own
    more = {"MLFLOW_PORT": str(port), tracking.SWITCH: "on", "MLFLOW_TRACKING_URI": "", "DVC_ROOT": ""}
    prefect = Served(project, place / "home", **more)
    command = [sys.executable, "-m", "talkmesh.tracking"]
    mlflow = subprocess.Popen(command, cwd=project, env=environment(**prefect.more))
    try:
        with prefect, browsing(place / "browser", (1400, 1000)) as page:
            yield Watched(project, prefect, f"http://127.0.0.1:{port}", page, pictures)
    finally:
        prefect.power_cut()
        mlflow.wait()


def test_a_run_is_started_and_looked_at_on_prefects_pages(watched: Watched) -> None:
    page = watched.page
    run = watched.quick_run("nightly")
    watched.ended(run)
    watched.sees("Completed", "Running stage 'middle@x'")
    watched.picture("pipeline")
    watched.click("Artifacts")
    watched.sees("stages", "scores", "middle-x")
    watched.picture("pipeline-artifacts")
    watched.artifact("stages")
    page.until("[...document.images].some(i => i.src.startsWith('data:image/svg') && i.naturalWidth > 300)")
    watched.picture("stages")
    watched.artifact("middle-x")
    page.until("[...document.images].some(i => i.src.startsWith('data:image/jpeg') && i.naturalWidth === 40)")
    watched.artifact("scores")
    watched.sees("Corpus toy", "ours", "lve_mm", "Curves and pictures in MLflow")
    watched.picture("scores")
    link = "[...document.querySelectorAll('a')].find(a => a.innerText === 'Curves and pictures in MLflow')"
    page.open(page.value(f"{link}.href"))
    watched.sees("pipeline", "Finished")
    assert sorted(ran(watched.project)) == ["first", "last", "middle_x", "middle_y"]
    assert not page.complaints


def test_cancel_on_the_page_ends_the_stage(watched: Watched) -> None:
    cache = watched.project / ".dvc/cache"
    if cache.exists():
        cache.rename(watched.project / ".dvc/put_away")
    (watched.project / "middle_y.txt").unlink(missing_ok=True)
    (watched.project / "long").touch()
    run = watched.quick_run("nightly")
    wait_for((watched.project / "started").exists)
    watched.sees("Running")
    assert watched.prefect.pids("stages.work middle_y")
    watched.click("Open menu")
    watched.click("Cancel")
    watched.sees("Are you sure you want to cancel")
    watched.picture("cancel")
    watched.click("Cancel Flow Run")
    wait_for(lambda: watched.prefect.state(run) == "CANCELLED", 120)
    assert (watched.project / "interrupted").exists()
    assert not watched.prefect.pids("stages.work")
    watched.sees("Cancelled")
    watched.picture("cancelled")
    (watched.project / "long").unlink()
    again = watched.quick_run("nightly")
    watched.ended(again)
    watched.sees("Completed")


def test_ablations_are_started_in_prefect_and_compared_in_mlflow(watched: Watched) -> None:
    page = watched.page
    run = watched.quick_run("ablations")
    watched.ended(run)
    watched.sees("Completed")
    watched.picture("ablations")
    watched.artifact("ablations")
    watched.sees("twice", "larger", "step=3", "lve_mm", "as it is")
    watched.picture("ablations-table")

    page.open(f"{watched.mlflow}/#/experiments/1/runs")
    watched.sees("ablate", "larger")
    watched.picture("mlflow-runs")
    from mlflow import MlflowClient  # noqa: TID251

    client = MlflowClient(tracking_uri=watched.mlflow)
    runs = {r.data.tags.get("variant") or r.info.run_name: r.info.run_id for r in client.search_runs(["1"])}
    page.open(f"{watched.mlflow}/#/experiments/1/runs/{runs['ablate']}/artifacts/ablations.json")
    watched.sees("twice", "larger", "as it is")
    watched.picture("mlflow-table")
    some = json.dumps([runs[name] for name in ("as it is", "twice", "larger")]).replace(" ", "")
    page.open(f'{watched.mlflow}/#/compare-runs?runs={some}&experiments=["1"]')
    watched.sees("ours/lve_mm")
    watched.picture("mlflow-compare")
