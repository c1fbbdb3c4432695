"""A bundle is whole, checks itself, and refuses what it does not understand, by one sentence."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import talkmesh
from models_on_disk import HEAD, RIG, head_of, sound, write_parts
from talkmesh import bundle as b
from talkmesh.errors import TalkmeshError
from talkmesh.models.head import write_head
from talkmesh.train import write_curves


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The parts of a model, and the bundle made of them."""
    root = tmp_path_factory.mktemp("bundle")
    parts = write_parts(root)
    write_curves(
        parts[0] / "curves.csv", [(5, "score", 0.3, "val"), (9, "score", 0.2, "val"), (9, "x", 1, "train")]
    )
    write_head(root / "h", head_of(), RIG.hash)
    b.write_bundle(root / "bundle", *parts, root / "h", corpus="grid")
    return root / "bundle"


@pytest.fixture
def copied(made, tmp_path):
    shutil.copytree(made, tmp_path / "copied")
    return tmp_path / "copied"


def test_a_bundle_needs_nothing_else(copied):
    opened = talkmesh.load(copied)
    assert opened.fps == 25.0
    assert opened.head is not None
    assert opened.head.config == HEAD
    samples = sound(1.0)
    animation = opened.animate(samples, 16_000)
    assert animation.vertices.shape == (25, 60, 3)
    assert animation.vertices.dtype == np.float32
    assert opened.animate(samples, fast=False).vertices.shape == (25, 60, 3)


def test_the_manifest_says_what_is_in_it(made):
    manifest = b.check(made)
    assert (manifest.format, manifest.corpus, manifest.rig) == (1, "grid", "tiny")
    assert manifest.figures == {"transcoder": {"score": 0.2}}
    assert "'grid'" in (made / "LICENCE.txt").read_text()
    assert set(manifest.files) == {f for f in b._files(made) if f != b.MANIFEST}


def test_the_same_parts_make_the_same_bytes(made, tmp_path):
    parts = made / "transcoder", made / "regressor", made / "rig.npz", made / "head"
    b.write_bundle(tmp_path / "again", *parts, corpus="grid")
    again, first = (json.loads((f / b.MANIFEST).read_text())["files"] for f in (tmp_path / "again", made))
    assert again == first


def test_damage_is_named(copied):
    weights = copied / "regressor" / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(TalkmeshError, match=r"regressor/weights\.safetensors was changed or damaged"):
        b.load(copied)
    weights.unlink()
    with pytest.raises(TalkmeshError, match=r"incomplete: regressor/weights\.safetensors is missing"):
        b.load(copied)


def test_a_foreign_file_is_refused(copied):
    (copied / "extra.bin").write_bytes(b"x")
    with pytest.raises(TalkmeshError, match=r"extra\.bin does not belong"):
        b.load(copied)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": b.FORMAT + 1, "talkmesh": "9.0"}, r"format 3 .* reads up to 2: update talkmesh .*9\.0"),
        ({"format": "1"}, "no format number"),
        ({"format": True}, "no format number"),
        ({"weather": "fine"}, "unknown key 'weather'"),
        ({"files": {"../secret": "0"}}, "outside the bundle"),
        ({"files": {"/etc/passwd": "0"}}, "outside the bundle"),
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(copied, change, sentence):
    saved = json.loads((copied / b.MANIFEST).read_text())
    (copied / b.MANIFEST).write_text(json.dumps(saved | change))
    with pytest.raises(TalkmeshError, match=sentence):
        b.load(copied)


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(TalkmeshError, match="is no model bundle"):
        b.load(tmp_path)
    (tmp_path / b.MANIFEST).write_text("[1]")
    with pytest.raises(TalkmeshError, match="no format number"):
        b.load(tmp_path)
    (tmp_path / b.MANIFEST).write_text("{")
    with pytest.raises(TalkmeshError, match="not valid JSON"):
        b.load(tmp_path)


def test_another_computation_of_the_same_weights_is_noticed(copied):
    """As if the network's code had changed since: the codes stored beside the weights do not come out."""
    save_file({"neutral": torch.ones(2, 12)}, copied / "neutral.safetensors")
    saved = json.loads((copied / b.MANIFEST).read_text())
    saved["files"]["neutral.safetensors"] = b._digest(copied / "neutral.safetensors")
    (copied / b.MANIFEST).write_text(json.dumps(saved))
    with pytest.raises(TalkmeshError, match="computes other codes"):
        b.load(copied)


def test_a_head_of_another_rig_is_refused(made, tmp_path):
    write_head(tmp_path / "h", head_of(), "other")
    with pytest.raises(TalkmeshError, match="distilled on another rig"):
        b.assemble(made / "transcoder", made / "regressor", made / "rig.npz", tmp_path / "h")


def test_any_rate_is_resampled():
    t = np.arange(44_100) / 44_100
    got = b.resampled(np.sin(2 * np.pi * 300 * t), 44_100)
    wanted = np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    assert got.shape == (16_000,)
    np.testing.assert_allclose(got[500:-500], wanted[500:-500], atol=0.01)
    np.testing.assert_array_equal(b.resampled(wanted.astype(np.float32), 16_000), wanted.astype(np.float32))


@pytest.mark.parametrize(
    ("samples", "rate", "sentence"),
    [
        (np.zeros((2, 9)), 16_000, "one channel"),
        (np.zeros(9, np.int16), 16_000, "floating-point"),
        (np.zeros(9), 0, "a rate is"),
        (np.zeros(9), 8_000.5, "a rate is"),
    ],
)
def test_unusable_samples_are_refused(samples, rate, sentence):
    with pytest.raises(TalkmeshError, match=sentence):
        b.resampled(samples, rate)


def test_import_stays_light():
    code = "import sys, talkmesh; print(sorted({'numpy', 'torch', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="nothing"):
        _ = talkmesh.nothing
