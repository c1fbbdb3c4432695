"""`talkmesh inspect` and `talkmesh compare`: what a model is, and scores beside each other."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from models_on_disk import talking_bundle
from talkmesh import cli
from talkmesh.files import write_json
from tiny_project import tiny_rig

METRICS: dict[str, Any] = {
    "corpus": "tests", "track": "cg", "measured_on": {"clips": 3, "rig_hash": "x"}, "absent": {},
    "methods": {
        "ours": {"lve_mm": {"mean": 3.1, "ci95": [2.9, 3.4], "n_clips": 3, "seeds": 1},
                 "opening_r": {"mean": 0.8, "ci95": [0.7, 0.9], "n_clips": 3, "seeds": 1}},
        "pseudo": {"skipped": "not evaluated yet"},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle where a project has it."""
    root = tmp_path_factory.mktemp("project")
    made = talking_bundle(root / "made", tiny_rig(), fast=True)
    (root / "models/bundles").mkdir(parents=True)
    return made.rename(root / "models/bundles/ours")


def test_what_a_bundle_is(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(bundle)]) == 0
    text = capsys.readouterr().out
    for words in (
        "trained on  tests", "character: 120 vertices, 200 triangles, 2 shapes, of which 2 stand for ARKit's",
        "25 frames a second", "log_mel", "pictures of 16 pixels, codes of 12 numbers, resnet18", "fast path   yes",
        "speaker's consent",
    ):  # fmt: skip
        assert words in text
    assert "scores" not in text, "nobody has judged it"
    assert cli.main(["inspect", str(bundle), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bytes"] == sum(
        p.stat().st_size for p in bundle.rglob("*") if p.is_file() and p.name != "bundle.json"
    )


def test_scores_are_those_of_the_project_that_it_lies_in(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = bundle.parents[2]
    write_json(project / "reports/metrics.json", METRICS)
    monkeypatch.chdir(bundle)  # from wherever it is asked
    assert cli.main(["inspect", "."]) == 0
    assert "lve_mm              3.1 [2.9, 3.4]" in capsys.readouterr().out
    write_json(project / "reports/metrics.json", METRICS | {"corpus": "another"})
    assert cli.main(["inspect", "."]) == 0
    assert "3.1" not in capsys.readouterr().out, "scores of another corpus are not its own"


def test_a_damaged_bundle_is_told(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = talking_bundle(tmp_path, tiny_rig())
    (made / "LICENCE.txt").write_text("do as you like")
    assert cli.main(["inspect", str(made)]) == 2
    assert "LICENCE.txt was changed" in capsys.readouterr().err


def test_runs_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = copy.deepcopy(METRICS)
    other["methods"]["ours"]["lve_mm"] = {"mean": 2.5, "ci95": [2.2, 2.8], "n_clips": 3, "seeds": 1}
    del other["methods"]["pseudo"]
    write_json(tmp_path / "one/reports/metrics.json", METRICS)
    write_json(tmp_path / "two.json", other)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", "one", "two.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["one: Corpus tests, track cg", "two.json: Corpus tests, track cg"]
    assert not any("not measured on the same" in line for line in lines)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert [row[:2] for row in rows[1:]] == [
        ["ours (one)", "3.1 [2.9, 3.4]"], ["ours (two.json)", "2.5 [2.2, 2.8]"],
        ["pseudo (one)", "skipped: not evaluated yet"],
    ]  # fmt: skip
    write_json(tmp_path / "two.json", other | {"measured_on": {"clips": 4, "rig_hash": "x"}})
    assert cli.main(["compare", "one", "two.json"]) == 0
    assert "They are not measured on the same" in capsys.readouterr().out
    write_json(tmp_path / "two.json", [1])
    assert cli.main(["compare", "one", "two.json"]) == 2
    assert "no metrics.json of this version" in capsys.readouterr().err


def test_a_revision_beside_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "reports/metrics.json", METRICS)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "scores"]):
        subprocess.run(["git", *words], check=True)
    now = copy.deepcopy(METRICS)
    now["methods"]["ours"]["lve_mm"]["mean"] = 2.0
    write_json(tmp_path / "reports/metrics.json", now)
    assert cli.main(["compare", "HEAD", "."]) == 0
    said = capsys.readouterr().out
    assert said.index("| ours (HEAD)") < said.index("| ours (.)")
    assert "3.1 [2.9, 3.4]" in said
    assert "2 [2.9, 3.4]" in said
