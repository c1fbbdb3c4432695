"""Bundles, FLAME models and studies from strangers: nothing of them runs, nothing is written, memory is bounded."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fuzz import seeds, targets
from fuzz.arrays import Call
from talkmesh import bundle
from talkmesh.errors import TalkmeshError
from talkmesh.models.store import read_transcoder
from talkmesh.rig import flame
from talkmesh.study.answers import Answers
from talkmesh.study.folder import ANSWERS, read_shown
from test_fuzz_found import in_little_memory, refused, write

# ------------------------------------------------------------------------------------------------------ bundles


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    write(root, seeds.bundles()[0])
    return root


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A bundle to be changed; its large file is a link."""
    shutil.copytree(made, tmp_path / "bundle", copy_function=os.link)
    return tmp_path / "bundle"


def replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def sign(folder: Path) -> None:
    """Put the hashes of changed files into the manifest, as somebody who means harm would."""
    given = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    replace(folder / bundle.MANIFEST, targets.signed(given)[bundle.MANIFEST])


def configure(folder: Path, **changes: object) -> None:
    path = folder / "transcoder/config.json"
    saved = json.loads(path.read_text())
    for name, value in changes.items():
        box = saved
        *way, last = name.split("__")
        for key in way:
            box = box[key]
        box[last] = value
    replace(path, json.dumps(saved).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"config__speech__layers": 10**9},
        {"config__speech__heads": 7},
        {"config__encoder": [10**9]},
        {"config__decoder": []},
        {"config__code": 60_000},
        {"config__speech__width": 65_000},
        {"config__speech__front_end": "wav2vec2", "config__speech__checkpoint": "a-stranger/model"},
        {"extra__fps": -1},
        {"extra__framing__size": 10**6},
        {"extra": []},
        {"config": 7},
    ],
)
def test_a_model_is_built_only_as_large_as_its_weights(changes: dict, copied: Path) -> None:
    configure(copied, **changes)
    with in_little_memory(), pytest.raises(TalkmeshError):
        read_transcoder(copied / "transcoder")


def test_a_network_beside_the_weights_must_be_one_of_the_family(copied: Path) -> None:
    configure(copied, config__speech__front_end="wav2vec2")
    for found in ({"model_type": "gpt2"}, {"model_type": "wav2vec2", "num_hidden_layers": 10**9}, [],
                  {"model_type": "wav2vec2", "auto_map": {"AutoModel": "evil.Model"}}):  # fmt: skip
        write(copied, {"transcoder/front_end/config.json": json.dumps(found).encode()})
        refused(lambda: read_transcoder(copied / "transcoder"), "describes no model of the kinds")


def test_weights_and_neutral_codes_that_are_no_numbers_are_refused(copied: Path) -> None:
    tensors = load_file(copied / "transcoder/weights.safetensors")
    tensors["encoder.code.bias"] = torch.full_like(tensors["encoder.code.bias"], float("nan"))
    (copied / "transcoder/weights.safetensors").unlink()
    save_file(tensors, copied / "transcoder/weights.safetensors")
    sign(copied)
    refused(lambda: bundle.load(copied), "computes other codes")


HOSTILE = (Call(os.system, "touch pwned"), Call(eval, "open('pwned', 'w')"), Call(exec, "open('pwned', 'w')"))


@pytest.mark.parametrize("hostile", HOSTILE, ids=["system", "eval", "exec"])
def test_a_bundle_from_a_stranger_runs_nothing_and_writes_nothing(
    hostile: Call, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file of it is in turn a pickle that would run something, or a zip with one in it; the hashes are right."""
    monkeypatch.chdir(tmp_path)
    code = pickle.dumps(hostile)
    objects = io.BytesIO()
    np.savez(objects, neutral=np.array([hostile], object))
    names = sorted(f.relative_to(copied).as_posix() for f in copied.rglob("*") if f.is_file())
    before = sorted(p for p in tmp_path.rglob("*"))
    for name in names:
        if name in ("LICENCE.txt", bundle.MANIFEST, "regressor/weights.safetensors"):
            continue  # not read; read as JSON; the same reader as the transcoder's, and large
        good = (copied / name).read_bytes()
        for data in (code, objects.getvalue()):
            replace(copied / name, data)
            sign(copied)
            with pytest.raises(TalkmeshError):
                bundle.load(copied)
        replace(copied / name, good)
    assert sorted(p for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("hostile", HOSTILE, ids=["system", "eval", "exec"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_flame_from_a_stranger_runs_nothing_and_writes_nothing(
    hostile: Call, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call stands for the whole file, or for any one of its arrays."""
    monkeypatch.chdir(tmp_path)
    given = seeds.flame_arrays()
    for name in ("", *given):
        value = given | {name: hostile} if name else hostile
        Path("m.pkl").write_bytes(pickle.dumps(value, protocol))
        refused(lambda: flame.load(Path("m.pkl"), None, 5), r"m\.pkl holds '.*(system|eval|exec)'")
        refused(lambda: flame.read_masks(Path("m.pkl"), 120), r"m\.pkl holds '.*(system|eval|exec)'")
    assert os.listdir(tmp_path) == ["m.pkl"]


# -------------------------------------------------------------------------------------------------------- study


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("held"), seeds.studies()[0])


@pytest.mark.parametrize(
    "said",
    [
        "DROP TABLE answers; CREATE VIEW answers AS WITH RECURSIVE c(id) AS (SELECT 1 UNION ALL SELECT id FROM c) "
        "SELECT id, 0 participant, '' trial, '' question, 'left' side, '' video, 1.0 seconds, '' answered FROM c",
        "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END",
        "UPDATE answers SET seconds = 'soon'",
        "UPDATE answers SET video = X'00ff'",
        "UPDATE answers SET trial = 'another'",
        "UPDATE study SET id = 7",
    ],
)
def test_answers_that_were_changed_by_somebody(said: str, held: Path, tmp_path: Path) -> None:
    shutil.copytree(held, tmp_path / "given")
    base = sqlite3.connect(tmp_path / "given" / ANSWERS)
    base.executescript("PRAGMA foreign_keys = 0; " + said)
    base.close()
    (tmp_path / "out").mkdir()
    refused(lambda: targets.studied(tmp_path / "given", tmp_path / "out"), "study")


def test_a_study_names_no_video_outside_of_its_folder(held: Path, tmp_path: Path) -> None:
    shutil.copytree(held, tmp_path / "study")
    path = tmp_path / "study/study.json"
    left = read_shown(path.parent).trials[0].left
    path.write_text(path.read_text().replace(left, "../../secret"))
    refused(lambda: read_shown(path.parent), "names that are no names of videos")
    path.write_text("[]")
    refused(lambda: read_shown(path.parent), "must hold keys and values")
    assert Answers(tmp_path / "study" / ANSWERS, "x").path.exists()
