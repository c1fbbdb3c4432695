"""Writing the corpus: what lies where, what is kept, what a user is told."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from talkmesh import contracts, synthetic
from talkmesh.errors import TalkmeshError
from talkmesh.media import read_audio, read_video
from talkmesh.params import section
from talkmesh.sample.corpus import SampleConfig, plan, write_corpus
from talkmesh.sample.performance import ARKIT

CONFIG = replace(
    section(SampleConfig, "sample", path=Path(__file__).parents[1] / "params.yaml"),
    train=1,
    test=1,
    pixels=64,
    workers=1,
)
RAW, TRUTH = Path("data/raw/embedded"), Path("data/ground_truth/embedded")


def everything(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    for package in ("anny", "hibari", "onnx"):
        pytest.importorskip(package)
    root = tmp_path_factory.mktemp("corpus")
    try:
        assert write_corpus(CONFIG, root, only_first=True) == root / RAW
        first = everything(root)
        write_corpus(CONFIG, root)
    except TalkmeshError as error:
        pytest.skip(str(error))
    return root, first


def test_the_first_recording_is_whole_before_the_others_begin(made):
    root, first = made
    assert {n for n in first if n.endswith(("mp4", "npz"))} == {
        f"{RAW}/ada/s001.mp4",
        f"{TRUTH}/s001.npz",
    }
    later = everything(root)
    assert all(later[n] == first[n] for n in first if n.endswith(("mp4", "npz")))


def test_video_sound_and_truth_are_of_one_length(made):
    root, _ = made
    for stem in ("s001", "t001"):
        truth = contracts.read_ground_truth(root / TRUTH / f"{stem}.npz")
        frames = list(read_video(root / RAW / f"ada/{stem}.mp4", CONFIG.fps))
        assert len(frames) == len(truth)
        assert frames[0].shape == (CONFIG.pixels, CONFIG.pixels, 3)
        assert truth.names == ARKIT
        sound = read_audio(root / RAW / f"ada/{stem}.mp4", 16_000)
        assert len(sound) / 16_000 == pytest.approx(len(truth) / CONFIG.fps, abs=0.1)
        assert np.abs(sound).max() > 0.05


def test_the_split_and_the_licence_stand_beside_the_videos(made):
    root, _ = made
    assert (root / RAW / "test.txt").read_text() == "t001\n"
    assert "synthetic" in (root / RAW / "README.md").read_text()
    assert synthetic.note(root / RAW).startswith("Speaker, voice and exact meshes were made")


def test_nothing_is_made_twice_and_what_is_missing_is_made_alike(made):
    root, _ = made
    before = everything(root)
    stamps = {n: (root / n).stat().st_mtime_ns for n in before if n.endswith(("mp4", "npz"))}
    lost = root / RAW / "ada/t001.mp4"
    lost.unlink()
    write_corpus(CONFIG, root)
    assert everything(root) == before  # one machine, equal bytes
    assert (root / RAW / "ada/s001.mp4").stat().st_mtime_ns == stamps[f"{RAW}/ada/s001.mp4"]


def test_recordings_of_other_settings_are_not_kept(made, monkeypatch):
    root, _ = made
    monkeypatch.setattr("talkmesh.sample.corpus._film_all", lambda config, root, recordings: iter(()))
    before = everything(root)
    write_corpus(replace(CONFIG, seed=8), root)
    left = everything(root)
    assert not any(n.endswith(("mp4", "npz")) for n in left)
    for name, content in before.items():
        (root / name).write_bytes(content)


def test_a_longer_plan_keeps_the_shorter_ones_seeds():
    longer = plan(replace(CONFIG, train=60, test=20))
    assert plan(CONFIG)[0] == longer[0]
    assert plan(CONFIG)[1] == longer[60]
    assert len({r.stem for r in longer}) == len({r.seed for r in longer}) == 80


@pytest.mark.parametrize(("field", "value"), [("train", 129), ("test", 21), ("train", -1)])
def test_more_sentences_than_there_are_is_an_error(field, value):
    with pytest.raises(TalkmeshError, match=f"sample.{field} must be 0 to"):
        plan(replace(CONFIG, **{field: value}))


@pytest.mark.parametrize("package", ["anny", "hibari", "onnx"])
def test_a_missing_package_is_named_before_anything_is_written(package, monkeypatch, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == package else real(name, *a)
    )
    with pytest.raises(TalkmeshError, match=rf"'{package}'.*uv pip install talkmesh\[sample\]"):
        write_corpus(CONFIG, tmp_path)
    assert not list(tmp_path.iterdir())
