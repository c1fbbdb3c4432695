"""Recorded speech with recorded curves, filmed: what lies where, what is the take's, what is said of bad input."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import heads
from talkmesh import contracts, synthetic
from talkmesh.errors import TalkmeshError
from talkmesh.media import read_audio, read_video
from talkmesh.params import section
from talkmesh.rig import write_rig
from talkmesh.sample.corpus import SampleConfig
from talkmesh.sample.performance import ARKIT
from talkmesh.sample.recorded import Source, act, find_takes, write_recorded

CONFIG = replace(
    section(SampleConfig, "sample", path=Path(__file__).parents[1] / "params.yaml"), pixels=64, workers=1
)
TAKES = ("a", "b", "c")
SECONDS = 0.8


def jaw(times):
    return 0.3 - 0.3 * np.cos(2 * np.pi * 2.5 * times)


@pytest.fixture
def recorded(tmp_path):
    """Three takes at 30 frames a second, with sounds a little longer than the curves."""
    times = np.arange(round(SECONDS * 30)) / 30
    weights = np.stack([jaw(times), 0 * times, 0.2 + 0 * times], 1).astype(np.float32)
    names = np.array(["JawOpen", "mouthSmile_L", "mouthSmile_R"])
    np.savez(tmp_path / "curves.npz", names=names, fps=30, **{f"w_{take}": weights for take in TAKES})
    (tmp_path / "sounds").mkdir()
    for take in TAKES:
        t = np.arange(round(16_000 * (SECONDS + 0.02))) / 16_000
        soundfile.write(tmp_path / f"sounds/{take}.wav", 0.3 * np.sin(440 * t) * jaw(t), 16_000)
    return Source(tmp_path / "curves.npz", tmp_path / "sounds", "real")


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_take_keeps_its_curves_and_gets_eyes_and_head(recorded):
    takes = find_takes(recorded, CONFIG.fps)
    assert [t.curves.name for t in takes] == list(TAKES)
    assert takes[0].frames == 20
    weights, head = act(takes[0], ARKIT, CONFIG, np.random.default_rng(1))
    index = {name: i for i, name in enumerate(ARKIT)}
    # 25 frames a second from 30: between the file's frames, on straight lines
    np.testing.assert_allclose(weights[:, index["jawOpen"]], jaw(np.arange(20) / 25), atol=0.05)
    np.testing.assert_allclose(weights[:, index["mouthSmileRight"]], 0.2, atol=1e-6)
    assert weights[:, index["mouthSmileLeft"]].max() == 0  # the file says so
    assert weights[:, index["eyeBlinkLeft"]].shape == (20,)
    assert np.ptp(weights[:, index["browInnerUp"]]) > 0
    assert head.rotation.shape == (20, 3)
    assert (weights >= 0).all()
    assert (weights <= 1).all()


def test_films_sound_truth_and_split(recorded, tmp_path):
    pytest.importorskip("anny")
    root = tmp_path / "project"
    rig = heads.plain()
    write_rig(tmp_path / "speaker.npz", rig)
    source = replace(recorded, speaker_rig=tmp_path / "speaker.npz", character_rig=tmp_path / "speaker.npz")
    try:
        folder = write_recorded(CONFIG, source, root)
    except TalkmeshError as error:
        if "OpenGL" in str(error):
            pytest.skip(str(error))
        raise
    assert folder == root / "data/raw/real"
    assert (folder / "test.txt").read_text() == "c\n"  # a whole take
    assert "rendered" in synthetic.note(folder)
    for take in TAKES:
        truth = contracts.read_ground_truth(root / f"data/ground_truth/real/{take}.npz")
        frames = list(read_video(folder / f"speaker/{take}.mp4", CONFIG.fps))
        sound = read_audio(folder / f"speaker/{take}.mp4", 16_000)
        assert len(frames) == len(truth) == 20
        assert len(sound) / 16_000 == pytest.approx(SECONDS, abs=0.07)
        assert truth.on(rig) is not None
        opened = truth.weights[:, truth.names.index("jawOpen")]
        quiet = [np.abs(sound[i * 640 : (i + 1) * 640]).max() for i in range(20)]
        assert np.corrcoef(opened[:-1], quiet[:-1])[0, 1] > 0.8  # picture and sound are one take
    still, wide = int(opened.argmin()), int(opened.argmax())
    moved = np.abs(frames[wide].astype(int) - frames[still]).mean((1, 2))
    assert moved[32:].max() > 3  # the lower half of the face

    before = contents(root)
    (folder / "speaker/b.mp4").unlink()
    write_recorded(CONFIG, source, root)
    assert contents(root) == before  # what is missing is made alike, the rest is kept
    shorter = write_recorded(CONFIG, replace(source, limit_s=0.4, test=("a",)), root)
    assert (shorter / "test.txt").read_text() == "a\n"
    assert len(contracts.read_ground_truth(root / "data/ground_truth/real/a.npz")) == 10


def test_what_cannot_be_filmed_says_why(recorded, tmp_path, caplog):
    with pytest.raises(TalkmeshError, match="no such folder of sounds"):
        find_takes(replace(recorded, audio=tmp_path / "absent"), 25)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TalkmeshError, match="no sound is named like a take"):
        find_takes(replace(recorded, audio=tmp_path / "empty"), 25)
    with pytest.raises(TalkmeshError, match=r"--test z: no such take; there are a, b, c"):
        write_recorded(CONFIG, replace(recorded, test=("z",)), tmp_path / "out")
    with pytest.raises(TalkmeshError, match="leave one for training"):
        write_recorded(CONFIG, replace(recorded, test=TAKES), tmp_path / "out")
    with pytest.raises(TalkmeshError, match=r"absent\.npz not found"):
        write_recorded(CONFIG, replace(recorded, character_rig=tmp_path / "absent.npz"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (recorded.audio / "b.wav").unlink()
    soundfile.write(recorded.audio / "c.wav", np.zeros(40_000), 16_000)
    with caplog.at_level(logging.WARNING):
        takes = find_takes(recorded, 25)
    assert [t.curves.name for t in takes] == ["a", "c"]
    assert "without a sound" in caplog.text
    assert "2.50 s of sound, 0.80 s of curves" in caplog.text
