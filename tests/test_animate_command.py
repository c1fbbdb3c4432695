"""`talkmesh animate` from sound to files, with a small model that was made on the spot."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from models_on_disk import talking_bundle
from talkmesh import cli
from talkmesh.curves import read_curves
from talkmesh.export.command import planned
from tiny_project import tiny_rig


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return talking_bundle(tmp_path_factory.mktemp("bundle"), tiny_rig())


def speak(path: Path, seconds: float = 1.0) -> Path:
    samples = np.random.default_rng(0).normal(0, 3000, int(16_000 * seconds)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def test_one_run_writes_every_kind_and_says_what(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = speak(tmp_path / "line.wav")
    outs = [str(tmp_path / "out" / name) for name in ("a.glb", "a.csv", "a.npz", "obj/")]
    words = ["animate", str(sound), "--bundle", str(bundle), "--fps", "30", "--json"]
    assert cli.main([*words, *(word for out in outs for word in ("-o", out))]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert (said["frames"], said["fps"], said["seconds"], said["character"]) == (30, 30.0, 1.0, "character")
    kinds = {file["kind"]: file for file in said["files"]}
    assert list(kinds) == ["glb", "csv", "npz", "obj"]
    assert kinds["glb"]["error_mm"]["max_mm"] <= 0.1
    assert kinds["npz"]["error_mm"] is None
    assert kinds["glb"]["bytes"] == (tmp_path / "out/a.glb").stat().st_size
    with np.load(tmp_path / "out/a.npz") as data:
        vertices = data["vertices"]
        assert float(data["fps"]) == 30
    assert vertices.std(0).max() > 0
    (take,) = read_curves(tmp_path / "out/a.csv")
    assert len(take.times) == 30
    assert len(list((tmp_path / "out/obj").glob("*.obj"))) == 30
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.csv", "a.glb", "a.npz", "obj"]


def test_a_folder_of_sounds_goes_on_past_a_broken_one(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one.wav", "two.wav"):
        speak(tmp_path / name, 0.5)
    (tmp_path / "broken.mp3").write_text("no sound")
    (tmp_path / "notes.txt").touch()
    out = tmp_path / "out"
    assert cli.main(["animate", str(tmp_path), "-o", str(out), "--to", "npz", "--bundle", str(bundle)]) == 1
    assert sorted(p.name for p in out.iterdir()) == ["one.npz", "two.npz"]
    assert capsys.readouterr().out.split() == [str(out / "one.npz"), str(out / "two.npz")]


def test_what_is_written_follows_from_names(tmp_path: Path) -> None:
    sound = speak(tmp_path / "line.wav", 0.1)
    assert planned(sound, ["a.glb", "seq/"], None) == [(sound, ["a.glb", "seq/"])]
    assert planned(tmp_path, ["out"], "glb, usd,obj") == [
        (sound, ["out/line.glb", "out/line.usdc", "out/line"])
    ]


def test_an_occupied_folder_is_refused_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = speak(tmp_path / "line.wav", 0.1)
    assert cli.main(["animate", str(sound), "-o", str(tmp_path), "--bundle", "nowhere"]) == 2
    assert "name a new folder" in capsys.readouterr().err
    assert cli.main(["animate", str(sound), "-o", "a.npz", "-o", "./a.npz", "--bundle", "nowhere"]) == 2
    assert "is named twice" in capsys.readouterr().err
