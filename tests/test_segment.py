"""Segmenting a corpus: cuts, transcripts, every bad file, a variable rate, the voice detector."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from talkmesh import cutting, media
from talkmesh.contracts import SAMPLE_RATE, clip_audio, clip_video
from talkmesh.errors import TalkmeshError
from test_arrival import encode, flat, grey
from test_clips import PARAMS, picture, record, segment, speech
from test_media import number_of as number_of_wide
from test_media import numbered
from test_media import write as write_at_times


def shot(seed: int, count: int, first: int) -> list[np.ndarray]:
    """Frames (48, 64, 3) of a wall, with their number in bars at the bottom, in Gray's code: one bar changes."""
    rng = np.random.default_rng(seed)
    wall = rng.integers(30, 220, (6, 8)).repeat(8, 0).repeat(8, 1)[..., None].repeat(3, 2).astype(np.uint8)
    frames = []
    for number in range(first, first + count):
        image = wall.copy()
        image[44:] = picture(number ^ number >> 1)[:4]
        frames.append(image)
    return frames


def number_in(image: np.ndarray) -> int:
    code = int(sum((v > 120) << b for b, v in enumerate(image[46, 4::8, 0])))
    number = 0
    while code:
        number, code = number ^ code, code >> 1
    return number


def said(folder: Path, name: str, spans: list[tuple[float, float]]) -> None:
    lines = "".join(f"{start},{end},Sentence {k}.\n" for k, (start, end) in enumerate(spans))
    (folder / f"{name}.csv").write_text("start,end,text\n" + lines)


# -------------------------------------------------------------------------------------------------------- cuts


def test_no_clip_crosses_a_cut_and_nothing_is_lost(tmp_path: Path) -> None:
    """Cuts at 1.2 s, within a sentence, and at 3.0 s; sentences end at 4.2 and 5.4 s of 7."""
    sound = speech([(0.2, 2.8), (3.1, 4.0), (4.4, 5.2), (5.6, 6.8)], 7.0)
    frames = shot(1, 30, 0) + shot(2, 45, 30) + shot(3, 100, 75)
    path = tmp_path / "raw/c/a/x.mp4"
    path.parent.mkdir(parents=True)
    media.write_video(path, frames, 25, sound, SAMPLE_RATE)
    said(path.parent, "x", [(0.2, 2.8), (3.1, 4.0), (4.4, 5.2), (5.6, 6.8)])
    params = dataclasses.replace(PARAMS, whole_below_s=2.0)
    table = segment(tmp_path, params)
    assert list(table["start_s"]) == pytest.approx([0, 1.2, 3.0, 4.2, 5.4], abs=1e-6)
    assert list(table["text"]) == ["", "Sentence 0.", "Sentence 1.", "Sentence 2.", "Sentence 3."]
    numbers, heard = [], []
    for clip in table.index:
        images = media.read_video(clip_video(clip, tmp_path / "clips"), 25)
        numbers += map(number_in, images)
        heard.append(soundfile.read(clip_audio(clip, tmp_path / "clips"))[0])
    assert numbers == list(range(175))
    whole = media.read_audio(path, SAMPLE_RATE)
    assert np.abs(np.concatenate(heard) - whole[: 7 * SAMPLE_RATE]).max() < 1e-4
    off = segment(tmp_path, dataclasses.replace(params, cuts=False))
    assert list(off["start_s"]) == pytest.approx([0, 2.96, 4.2, 5.4], abs=0.021)


def test_a_shot_too_short_for_a_clip_is_dropped_by_name(tmp_path: Path) -> None:
    path = tmp_path / "raw/c/a/x.mp4"
    path.parent.mkdir(parents=True)
    frames = shot(1, 50, 0) + shot(2, 10, 50) + shot(3, 40, 60)
    media.write_video(path, frames, 25, speech([(0, 4)], 4.0), SAMPLE_RATE)
    table = segment(tmp_path)
    assert list(table["frames"]) == [50, 0, 40]
    assert "0.40 s" in table["dropped_why"].iloc[1]
    assert list(table["end_s"].iloc[:2]) == list(table["start_s"].iloc[1:])


# ------------------------------------------------------------------------------------------------- transcripts


def test_transcripts_by_parameter(tmp_path: Path) -> None:
    folder = tmp_path / "raw/c/a"
    for name in ("with", "without"):
        record(folder / f"{name}.mp4", speech([(0.2, 1.4), (1.6, 2.8)], 3.0))
    said(folder, "with", [(0.2, 1.4), (1.6, 2.8)])
    params = dataclasses.replace(PARAMS, sentences="transcript", whole_below_s=2.0)
    table = segment(tmp_path, params)
    assert list(table.loc[table["dropped_why"] == "", "text"]) == ["Sentence 0.", "Sentence 1."]
    assert "no transcript" in table.loc["a-without", "dropped_why"]
    whole = segment(tmp_path, dataclasses.replace(PARAMS, whole_below_s=9.0))
    assert whole.loc["a-with-00", "text"] == "Sentence 0. Sentence 1."
    assert whole.loc["a-without-00", "text"] == ""
    (folder / "with.csv").write_text("start,end,text\n0.2,soon,never\n")  # another transcript, another result
    broken = segment(tmp_path, dataclasses.replace(PARAMS, whole_below_s=9.0))
    assert "line 2" in broken.loc["a-with", "dropped_why"]
    deaf = segment(tmp_path, dataclasses.replace(PARAMS, whole_below_s=9.0, sentences="voice"))
    assert list(deaf["text"]) == ["", ""]


# --------------------------------------------------------------------------------------------------- bad input


def test_every_bad_file_is_named_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "raw/c/p"
    sound = speech([(0.1, 1.9)], 2.0)
    good = record(folder / "good.mp4", sound).read_bytes()
    frames = [grey(picture(k)[..., 0]) for k in range(50)]
    encode(folder / "clock.mkv", frames[:25], sound=(sound[None], SAMPLE_RATE, "mono"))
    with av.open(str(folder / "clock.mkv"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for start in (0, 10_000 * SAMPLE_RATE):
            frame = av.AudioFrame.from_ndarray(np.full((1, 800), 9000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            out.mux(stream.encode(frame))
    soundfile.write(folder / "only_sound.ogg", sound, SAMPLE_RATE)
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    (folder / "empty.mov").touch()
    (folder / "zeros.avi").write_bytes(bytes(20_000))
    (folder / "half.mp4").write_bytes(good[: len(good) // 2])
    (folder / "no_frames.mkv").write_bytes(headless(folder))
    (folder / "picture.bmp").write_bytes(bitmap())
    (folder / "words.mp4").write_bytes(good)
    (folder / "words.srt").write_text("1\n00:00:01,000 --> later\nx\n")
    table = segment(tmp_path)
    reasons = {
        "clock": "jump",
        "only_sound": "no video stream",
        "list": "list of other files",
        "empty": "damaged or not media",
        "zeros": "damaged or not media",
        "half": "damaged",
        "no_frames": "damaged",
        "picture": "no sound",
        "words": "line 2",
    }
    dropped = table[table["dropped_why"] != ""]
    assert set(dropped.index) == {f"p-{name}" for name in reasons}
    for name, reason in reasons.items():
        why = dropped.loc[f"p-{name}", "dropped_why"]
        assert reason in why, name
        assert "\n" not in why
        assert f"p-{name}" in caplog.text
    assert list(table.index[table["dropped_why"] == ""]) == ["p-good-00"]


def headless(folder: Path) -> bytes:
    """A video of which only the last few bytes of each packet can be read."""
    path = encode(
        folder / ".x.mkv", [flat((90, 128, 128))] * 5, sound=(np.full((1, 3200), 0.3), SAMPLE_RATE, "mono")
    )
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    data = path.read_bytes()
    path.unlink()
    for packet in packets:
        data = data.replace(packet, bytes(len(packet)))
    return data


def bitmap() -> bytes:
    import cv2

    return cv2.imencode(".bmp", np.zeros((48, 64, 3), np.uint8))[1].tobytes()


# ------------------------------------------------------------------------------------------------ variable rate


def test_clips_of_a_recording_with_a_variable_rate_are_constant_and_in_step(tmp_path: Path) -> None:
    """Frames 15 to 90 ms apart, starting late: each clip's frame is the nearest, and its sound goes with it."""
    rng = np.random.default_rng(3)
    times = 500 + np.concatenate([[0], np.cumsum(rng.integers(15, 90, 130))])
    spans = [(0.2, 1.6), (2.0, 3.4), (3.8, 5.2)]
    sound = speech(spans, (times[-1] - times[0]) / 1000)
    path = tmp_path / "raw/c/a/x.mkv"
    path.parent.mkdir(parents=True)
    write_at_times(path, map(numbered, range(131)), times.tolist(), sound=(sound, 0.5))
    said(path.parent, "x", spans)
    table = segment(tmp_path)
    assert len(table) > 2
    seen: list[int] = []
    heard = []
    for clip, row in table.iterrows():
        images = [number_of_wide(i) for i in media.read_video(clip_video(str(clip), tmp_path / "clips"), 25)]
        heard.append(soundfile.read(clip_audio(str(clip), tmp_path / "clips"))[0])
        assert (len(images), len(heard[-1])) == (row["frames"], row["frames"] * SAMPLE_RATE // 25)
        seen += images
    clock = np.arange(len(seen)) / 25
    away = np.abs((times - times[0]) / 1000 - clock[:, None])
    np.testing.assert_allclose(away[range(len(seen)), seen], away.min(1), atol=2e-3)
    together = np.concatenate(heard)
    np.testing.assert_allclose(together, np.pad(sound, (0, SAMPLE_RATE))[: len(together)], atol=1e-3)


@pytest.mark.slow
def test_the_voice_detector_cuts_between_sentences(tmp_path: Path) -> None:
    pytest.importorskip("silero_vad")
    pytest.importorskip("hibari")
    from scipy.signal import resample_poly

    from talkmesh.sample.sentences import TRAIN
    from talkmesh.sample.voice import Voice

    voice = Voice(1.1)
    parts, pauses, at = [], [], 0
    for seed, text in enumerate(TRAIN[:4]):
        said_ = voice(text, seed=seed)
        sound = resample_poly(said_.sound, SAMPLE_RATE // 100, said_.rate // 100).astype(np.float32)
        parts += [sound, np.zeros(SAMPLE_RATE, np.float32)]
        at += sum(map(len, parts[-2:]))
        pauses.append((at / SAMPLE_RATE - 1.2, at / SAMPLE_RATE + 0.3))
    sound = np.concatenate(parts)
    record(tmp_path / "raw/c/a/x.mp4", sound + np.random.default_rng(0).normal(0, 1e-3, len(sound)))
    table = segment(tmp_path, dataclasses.replace(PARAMS, min_clip_s=1.0, max_clip_s=12.0, pause_s=0.8))
    starts = list(table["start_s"])[1:]
    assert len(starts) == 3
    for start, (low, high) in zip(starts, pauses, strict=False):
        assert low < start < high


def test_an_unknown_way_to_find_sentences_is_refused() -> None:
    from talkmesh.params import build

    values = dataclasses.asdict(PARAMS) | {"sentences": "guess"}
    with pytest.raises(TalkmeshError, match="auto, voice, transcript"):
        build(cutting.Segmenting, values, "params.yaml: segment")
