"""Commands of the pages that a small project can run, run as they stand in the pages; see tests/test_docs.py."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import models_on_disk
import tiny_project
from pages import ROOT, Page, lines, simple
from talkmesh import cli, params

README, EXPORTS, ADDING = (
    Page(Path("README.md")),
    Page(Path("docs/exports.md")),
    Page(Path("docs/add-a-method.md")),
)


def block_with(page: Page, words: str, language: str = "") -> str:
    """The one block of a page that holds these words."""
    (found,) = [text for said, text in page.blocks() if said == language and words in text]
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as the stages leave it, a model that animates, another character, and sounds."""
    root = tmp_path_factory.mktemp("project")
    rig = tiny_project.make(root)
    bundle = models_on_disk.talking_bundle(root, rig)
    for name in ("ours", "ours_anchored"):
        shutil.copytree(bundle, root / "models/bundles" / name)
    shutil.copy(root / "models/rigs/character.npz", root / "models/rigs/second.npz")
    samples = (models_on_disk.sound(0.6) * 32767).astype("<i2")
    (root / "sounds").mkdir()
    for name in ("line.wav", "sounds/one.wav", "sounds/two.wav"):
        with wave.open(str(root / name), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    return root


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


def written(words: list[str]) -> list[Path]:
    """What `talkmesh animate` is told to write."""
    outs = [Path(words[i + 1]) for i, word in enumerate(words) if word == "-o"]
    if "--to" not in words:
        return outs
    kinds = words[words.index("--to") + 1].split(",")
    return [outs[0] / f"{name}.{kind}" for name in ("one", "two") for kind in kinds]


@pytest.mark.parametrize(
    "line",
    [
        *lines(block_with(README, "talkmesh animate line.wav -o line.mp4")),
        *lines(block_with(EXPORTS, "talkmesh animate line.wav -o line.mp4")),
        *lines(block_with(Page(Path("docs/your-character.md")), "talkmesh animate")),
    ],
)
def test_a_finished_model_says_what_the_pages_tell_it_to(line: str, here: Path) -> None:
    (words,) = simple(line)
    for path in written(words):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert cli.main(words[1:]) == 0
    assert [path for path in written(words) if not path.exists()] == []


def test_a_stream_and_python_of_the_readme(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream, python = lines(block_with(README, "arecord"))
    sound = io.BytesIO((models_on_disk.sound(0.6) * 32767).astype("<i2").tobytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=sound))
    assert cli.main(simple(stream)[1][1:]) == 0
    head, *frames = map(json.loads, capsys.readouterr().out.splitlines())
    assert len(frames) == 15
    assert head["fps"] == 25
    (words,) = simple(python)
    found: dict[str, object] = {}
    exec(words[2], found)
    model = found["talkmesh"].load("models/bundles/ours")  # type: ignore[attr-defined]
    assert model.animate(models_on_disk.sound(0.6), 16_000).vertices.shape[2] == 3


def test_exports_from_python(here: Path) -> None:
    found: dict[str, object] = {}
    exec(block_with(EXPORTS, "animate_file", "python"), found)
    assert found["spoken"].frames == 36  # type: ignore[attr-defined]


def test_meshes_from_elsewhere_are_added_and_judged(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(block_with(ADDING, "write_prediction", "python"), {})
    own = [words for line in lines(block_with(ADDING, "talkmesh evaluate")) for words in simple(line)][1]
    assert cli.main([*own[1:], "--json"]) == 0
    ours = json.loads(capsys.readouterr().out)["metrics"]["lve_mm"]["mean"]
    mine = [word.replace("predictions/ours", "predictions/mine") for word in own[1:]]
    assert cli.main([*mine, "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out)["metrics"]["lve_mm"]["mean"] > ours
    )  # the page's own does not move


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_every_profile_is_laid_over_the_numbers_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["profile", name]) == 0
    assert params.read("params.yaml") != params.read(ROOT / "params.yaml")


def test_make_alone_lists_its_targets() -> None:
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {f"make {name}" for name in ("demo", "test", "docs", "newest")} <= {
        " ".join(line.split()[:2]) for line in said.splitlines()
    }


def test_the_small_corpus_of_the_tutorial_has_clips_of_every_kind() -> None:
    import yaml

    numbers = params.merged(
        params.read(ROOT / "params.yaml"), yaml.safe_load((ROOT / "profiles/tutorial.yaml").read_text())
    )
    assert numbers["sample"]["train"] > numbers["segment"]["val"] >= 1
    assert np.isclose(numbers["sample"]["test"], 4)
    page = (ROOT / "docs/tutorial.md").read_text()
    assert (
        f"{numbers['sample']['train']} sentences to learn from, {numbers['sample']['test']} for the test"
        in page
    )
