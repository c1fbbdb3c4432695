"""Cutting: tiles without gaps, at pauses; sound as long as the frames; bad recordings named."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkmesh import clips, media
from talkmesh.clips import segment_corpus
from talkmesh.contracts import (
    CLIP_COLUMNS,
    SAMPLE_RATE,
    GroundTruth,
    clip_audio,
    clip_video,
    read_clips,
    read_ground_truth,
    write_clips,
    write_ground_truth,
)
from talkmesh.cutting import Segmenting, slice_truth
from talkmesh.errors import TalkmeshError
from talkmesh.recordings import find_recordings, slug

PARAMS = Segmenting(
    fps=25.0,
    whole_below_s=4.0,
    min_clip_s=0.6,
    max_clip_s=3.0,
    pause_s=0.3,
    sentences="auto",
    voice=0.5,
    cuts=True,
    test=0,
    val=0,
    seed=7,
    workers=1,
)


def speech(spans: list[tuple[float, float]], length_s: float, seed: int = 0) -> np.ndarray:
    """Noise in the given spans of seconds, a whisper of noise elsewhere."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 1e-4, round(length_s * SAMPLE_RATE))
    for start, stop in spans:
        part = slice(round(start * SAMPLE_RATE), round(stop * SAMPLE_RATE))
        sound[part] += rng.normal(0, 0.1, len(sound[part]))
    return sound.astype(np.float32)


def picture(number: int) -> np.ndarray:
    """A frame (48, 64, 3) that says its number, up to 255, in bars."""
    bits = np.array([number >> b & 1 for b in range(8)], np.uint8)
    return np.tile(bits.repeat(8) * 200 + 20, (48, 1))[..., None].repeat(3, 2)


def number_of(image: np.ndarray) -> int:
    return int(sum((v > 120) << b for b, v in enumerate(image[24, 4::8, 0])))


def record(path: Path, sound: np.ndarray, fps: float = 25, seconds: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    count = round((len(sound) / SAMPLE_RATE if seconds is None else seconds) * fps)
    media.write_video(path, (picture(k) for k in range(count)), fps, sound, SAMPLE_RATE)
    return path


SPANS = [(0.3, 1.6), (2.2, 3.6), (4.2, 5.4)]
SAID = 'start,end,text\n0.3,1.6,One.\n2.2,3.6,"Two, I say"\n4.2,5.4,Three.\n'


def segment(root: Path, params: Segmenting = PARAMS, corpus: str = "c"):  # type: ignore[no-untyped-def]
    table = segment_corpus(corpus, params, root / "raw", root / "truth", root / "work", root / "clips")
    write_clips(table, root / "clips")
    return table.set_index("clip")


@pytest.mark.parametrize(
    ("change", "says"),
    [({"max_clip_s": 1.0}, "at least twice"), ({"fps": 0.0}, "fps"), ({"voice": 1.0}, "between 0 and 1")],
)
def test_impossible_parameters_are_refused(change: dict[str, float], says: str) -> None:
    with pytest.raises(TalkmeshError, match=says):
        dataclasses.replace(PARAMS, **change)


# ------------------------------------------------------------------------------------------------------ clips


def test_a_long_recording_becomes_clips_that_lose_nothing(tmp_path: Path) -> None:
    record(tmp_path / "raw/c/anna/Talk One.mp4", speech(SPANS, 6.0))
    (tmp_path / "raw/c/anna/Talk One.csv").write_text(SAID)
    table = segment(tmp_path)
    assert list(table["text"]) == ["One.", "Two, I say", "Three."]
    assert list(read_clips(tmp_path / "clips")["text"]) == list(table["text"])
    assert table["start_s"].to_numpy() == pytest.approx([0, 1.9, 3.9], abs=0.021)
    assert list(table.index) == ["anna-talk-one-00", "anna-talk-one-01", "anna-talk-one-02"]
    assert (table["start_s"].to_numpy()[1:] == table["end_s"].to_numpy()[:-1]).all()
    whole = media.read_audio(tmp_path / "raw/c/anna/Talk One.mp4", SAMPLE_RATE)
    numbers: list[int] = []
    heard = []
    for clip, row in table.iterrows():
        frames = [number_of(f) for f in media.read_video(clip_video(str(clip), tmp_path / "clips"), 25)]
        clip_sound, rate = soundfile.read(clip_audio(str(clip), tmp_path / "clips"), dtype="float32")
        assert rate == SAMPLE_RATE
        assert len(frames) == row["frames"]
        assert len(clip_sound) == row["frames"] * SAMPLE_RATE // 25
        numbers += frames
        heard.append(clip_sound)
    assert numbers == list(range(150))
    assert np.abs(np.concatenate(heard) - whole[: 6 * SAMPLE_RATE]).max() < 1e-4


def test_at_30_frames_a_second_samples_follow_the_frame_borders(tmp_path: Path) -> None:
    record(tmp_path / "raw/c/a/x.mp4", speech(SPANS, 6.0), fps=30)
    (tmp_path / "raw/c/a/x.csv").write_text(SAID)
    table = segment(tmp_path, dataclasses.replace(PARAMS, fps=30.0))
    total = 0
    for clip, row in table.iterrows():
        samples = soundfile.info(clip_audio(str(clip), tmp_path / "clips")).frames
        assert abs(samples - row["frames"] * SAMPLE_RATE / 30) < 1
        total += samples
    assert (table["frames"].sum(), total) == (180, 6 * SAMPLE_RATE)


def test_a_recording_ends_where_sound_or_picture_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record(tmp_path / "raw/c/a/sound_short.mp4", speech([(0, 2)], 2.0), seconds=3.0)
    record(tmp_path / "raw/c/a/sound_just_short.mp4", speech([(0, 2)], 1.9), seconds=2.0)
    record(tmp_path / "raw/c/a/sound_long.mp4", speech([(0, 2)], 3.0), seconds=2.0)
    table = segment(tmp_path)
    assert table.loc["a-sound_just_short-00", "frames"] == 50
    assert table.loc["a-sound_long-00", "frames"] == 50
    assert 50 <= table.loc["a-sound_short-00", "frames"] <= 57
    assert "before the picture" in caplog.text
    assert "before the sound" in caplog.text
    for clip, row in table.iterrows():
        assert soundfile.info(clip_audio(str(clip), tmp_path / "clips")).frames == row["frames"] * 640


def test_truth_is_cut_with_its_clip(tmp_path: Path) -> None:
    record(tmp_path / "raw/c/a/x.mp4", speech(SPANS, 6.0))
    (tmp_path / "raw/c/a/x.csv").write_text(SAID)
    ramp = np.arange(300, dtype=np.float32)[:, None] / 50  # seconds, at 50 frames a second
    write_ground_truth(tmp_path / "truth/c/x.npz", GroundTruth(50.0, ramp, ("jawOpen",)))
    table = segment(tmp_path)
    for clip, row in table.iterrows():
        truth = read_ground_truth(tmp_path / "clips" / str(clip) / "ground_truth.npz")
        assert (truth.fps, truth.names, len(truth)) == (25.0, ("jawOpen",), row["frames"])
        assert np.allclose(truth.weights[:, 0], row["start_s"] + np.arange(row["frames"]) / 25, atol=1e-5)


def test_truth_is_interpolated_and_too_short_a_one_is_refused() -> None:
    vertices = np.arange(30, dtype=np.float32)[:, None, None] * np.ones((1, 4, 3), np.float32)
    cut = slice_truth(GroundTruth(30.0, vertices=vertices, rig_hash="h"), 0.2, 10, 25.0)
    assert np.allclose(cut.vertices[:, 0, 0], 6 + np.arange(10) * 1.2)
    assert cut.rig_hash == "h"
    with pytest.raises(TalkmeshError, match=r"ends at 1\.00 s"):
        slice_truth(GroundTruth(30.0, vertices=vertices), 0.5, 30, 25.0)


def test_results_are_kept_and_wrong_truth_drops_only_its_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x", "y"):
        record(tmp_path / f"raw/c/a/{name}.mp4", speech([(0, 1)], 1.0))
    write_ground_truth(tmp_path / "truth/c/x.npz", GroundTruth(25.0, np.zeros((5, 1)), ("jawOpen",)))
    table = segment(tmp_path)
    assert "ground truth" in table.loc["a-x", "dropped_why"]
    assert table.loc["a-y-00", "dropped_why"] == ""
    monkeypatch.setattr(clips, "segment_recording", None)  # would fail if it were called again for y
    shutil.rmtree(tmp_path / "clips")
    (tmp_path / "raw/c/a/x.mp4").unlink()
    segment(tmp_path)
    assert clip_video("a-y-00", tmp_path / "clips").exists()


# ---------------------------------------------------------------------------------------------------- bad input


def test_bad_recordings_are_named_and_good_ones_go_through(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "raw/c/p"
    sound = speech([(0.1, 1.9)], 2.0)
    good = record(folder / "good.mp4", sound)
    record(folder / "fifty.mp4", sound, fps=50)
    record(folder / "silent.mp4", np.zeros_like(sound))
    record(folder / "tiny.mp4", sound[:3200])
    media.write_video(folder / "no_sound.mp4", (picture(k) for k in range(50)), 25)
    (folder / "truncated.mp4").write_bytes(good.read_bytes()[:5000])
    (folder / "text.mp4").write_text("not a video\n" * 50)
    (folder / "notes.txt").write_text("a companion, not a recording")
    (folder / ".hidden.mp4").write_text("")
    table = segment(tmp_path)
    assert set(table.index[table["dropped_why"] == ""]) == {"p-good-00", "p-fifty-00"}
    reasons = {
        "p-silent": "silent",
        "p-tiny-00": "min_clip_s",
        "p-no_sound": "no sound",
        "p-truncated": "damaged",
        "p-text": "not media",
    }
    dropped = table[table["dropped_why"] != ""]
    assert set(dropped.index) == set(reasons)
    for clip, reason in reasons.items():
        assert reason in dropped.loc[clip, "dropped_why"]
        assert dropped.loc[clip, "frames"] == 0
        assert dropped.loc[clip, "split"] == ""
        assert clip in caplog.text
    assert list(read_clips(tmp_path / "clips")["frames"]) == [50, 50]
    assert list(read_clips(tmp_path / "clips", kept=False).columns) == list(CLIP_COLUMNS)
    fifty = [number_of(f) for f in media.read_video(clip_video("p-fifty-00", tmp_path / "clips"), 25)]
    assert fifty == list(range(0, 100, 2))


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TalkmeshError, match="make a folder for each speaker"):
        segment(tmp_path)
    (tmp_path / "raw/c").mkdir(parents=True)
    (tmp_path / "raw/c/loose.mp4").write_text("x")
    with pytest.raises(TalkmeshError, match="1 files lie beside"):
        segment(tmp_path)
    (tmp_path / "raw/c/p").mkdir()
    (tmp_path / "raw/c/p/text.mp4").write_text("x")
    with pytest.raises(TalkmeshError, match="none of the 1 recordings"):
        segment(tmp_path)


def test_a_full_disk_stops_the_run_and_is_not_blamed_on_the_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "raw/c/a/x.mp4", speech([(0, 1)], 1.0))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(TalkmeshError, match="the disk is full"):
        segment(tmp_path)


def test_names_are_safe_and_unique(tmp_path: Path) -> None:
    assert slug("Ann O'Neil - Take #1") == "ann-o-neil-take-1"
    for name in ("A b.mp4", "a-b.mp4", "a b.mov"):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / name).touch()
    names = [r.name for r in find_recordings(tmp_path)]
    assert len(set(names)) == 3
