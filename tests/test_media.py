"""Video and sound by timestamps: the right frame, the right moment, nothing lost, clear refusals."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkmesh import media
from talkmesh.errors import TalkmeshError
from talkmesh.timing import constant_rate, timed

RATE = 16_000


def numbered(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A frame that says its number in eight black or white bars: survives any codec."""
    bits = np.array([number >> b & 1 for b in range(8)], np.uint8)
    return np.tile(bits.repeat(width // 8) * 200 + 20, (height, 1))[..., None].repeat(3, 2)


def number_of(image: np.ndarray) -> int:
    middle = image[image.shape[0] // 2, :, 0].reshape(8, -1).mean(1)
    return int(sum((value > 120) << b for b, value in enumerate(middle)))


def write(
    path: Path, images: Iterable[np.ndarray], times_ms: Iterable[int], rotate: int = 0, **more: object
) -> Path:
    """Write frames at any times; `sound`=(samples, start_s) at 16 kHz is stored as PCM."""
    sound = more.pop("sound", None)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "10", "bf": "2"})
        images = list(images)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in more.items():
            setattr(stream.codec_context, name, value)
        if rotate:
            stream.set_display_rotation(rotate)
        voice = out.add_stream("pcm_s16le", rate=RATE, layout="mono") if sound else None
        for image, time in zip(images, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if voice:
            samples, start = sound
            whole = (np.asarray(samples) * 32767).astype(np.int16)
            for first in range(0, len(whole), 160):
                frame = av.AudioFrame.from_ndarray(
                    whole[None, first : first + 160], format="s16", layout="mono"
                )
                frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
                frame.pts = round(start * RATE) + first
                out.mux(voice.encode(frame))
            out.mux(voice.encode(None))
    return path


def numbers(path: Path, fps: float) -> list[int]:
    return [number_of(image) for image in media.read_video(path, fps)]


# ------------------------------------------------------------------------------------------- choice of frames


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=30),
    st.integers(-3000, 90_000),
    st.sampled_from([12.0, 25.0, 29.97, 60.0]),
)
def test_each_moment_gets_the_nearest_frame(steps_ms: list[int], start_ms: int, fps: float) -> None:
    times = (np.cumsum(steps_ms) - steps_ms[0] + start_ms) / 1000
    last = 0.04
    chosen = list(constant_rate([(t, last, k) for k, t in enumerate(times)], fps))
    moments = times[0] + np.arange(len(chosen)) / fps
    assert len(chosen) == max(1, round((times[-1] + last - times[0]) * fps))
    distance = np.abs(moments[:, None] - times)
    assert np.allclose(distance[np.arange(len(chosen)), chosen], distance.min(1), atol=1e-9)
    assert chosen == sorted(chosen)


def test_frames_without_timestamps_follow_the_one_before_and_backward_ones_are_passed_over() -> None:
    class Frame:
        time_base = Fraction(1, 10)
        duration = 0

        def __init__(self, pts: int | None) -> None:
            self.pts = pts

    frames = [Frame(None), Frame(None), Frame(5), Frame(None), Frame(2), Frame(7)]
    assert [round(t, 3) for t, _, _ in timed(frames, 10)] == [0.0, 0.1, 0.5, 0.6, 0.2, 0.7]
    chosen = list(constant_rate(timed(frames, 10), 10))
    assert [frames.index(f) for f in chosen] == [0, 1, 1, 1, 2, 2, 3, 5][: len(chosen)]


def test_video_at_its_own_rate_is_returned_frame_by_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", map(numbered, range(30)), range(0, 1200, 40))
    assert numbers(path, 25) == list(range(30))


def test_fifty_frames_a_second_become_25_and_30(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", map(numbered, range(100)), range(0, 2000, 20))
    assert numbers(path, 25) == list(range(0, 100, 2))
    at_30 = numbers(path, 30)
    assert len(at_30) == 60
    assert np.abs(np.array(at_30) * 0.02 - np.arange(60) / 30).max() <= 0.0101


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_variable_rate_becomes_constant(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.integers(15, 90, 50))  # starts late, too: time zero is the first frame
    path = write(tmp_path / f"a.{suffix}", map(numbered, range(50)), times.tolist())
    seen = numbers(path, 25)
    shown = (times[seen] - times[0]) / 1000
    nearest = np.abs((times - times[0]) / 1000 - (np.arange(len(seen)) / 25)[:, None]).min(1)
    assert np.allclose(np.abs(shown - np.arange(len(seen)) / 25), nearest, atol=2e-3)
    assert abs(len(seen) / 25 - (times[-1] - times[0]) / 1000) < 0.15


def test_phone_videos_are_turned_upright(tmp_path: Path) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:20, :30] = 250  # top left as stored
    for rotate in (90, -90, 180):
        path = write(tmp_path / f"{rotate}.mp4", [image] * 3, (0, 40, 80), rotate=rotate)
        seen = next(media.read_video(path, 25))
        expected = np.rot90(image, rotate // 90)  # counter-clockwise, as the metadata says
        assert seen.shape == expected.shape
        assert np.abs(seen.astype(int) - expected).mean() < 3


def test_pixels_become_square(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [numbered(1)] * 3, (0, 40, 80), sample_aspect_ratio=Fraction(4, 3))
    frames = list(media.read_video(path, 25))
    assert len(frames) == 3
    assert frames[0].shape == (64, 128, 3)


def test_memory_does_not_hold_the_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", map(numbered, range(50)), range(0, 2000, 40))
    frames = media.read_video(path, 25)
    assert [number_of(f) for f in itertools.islice(frames, 3)] == [0, 1, 2]
    frames.close() if hasattr(frames, "close") else None


# -------------------------------------------------------------------------------------------- lossless clips


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    wide = 2 if "10" in frame.format.name else 1
    return [
        np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width * wide].copy()
        for p in frame.planes
    ]


@pytest.mark.parametrize(
    ("pixels", "height", "width"),
    [
        ("yuv420p", 64, 96),
        ("yuvj420p", 64, 96),
        ("yuv422p", 64, 96),
        ("yuv444p", 65, 97),
        ("yuv420p10le", 64, 96),
    ],
)
def test_clips_are_bit_identical(tmp_path: Path, pixels: str, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, height, width, 3)).astype(np.uint8)
    frames = [av.VideoFrame.from_ndarray(n, format="rgb24").reformat(format=pixels) for n in noise]
    assert media.write_lossless(tmp_path / "a.mkv", iter(frames), 25) == 4
    for back, frame in zip(media.video_frames(tmp_path / "a.mkv", 25), frames, strict=True):
        assert back.format.name == pixels
        assert all((x == y).all() for x, y in zip(planes(back), planes(frame), strict=True))
    media.write_lossless(tmp_path / "b.mkv", media.video_frames(tmp_path / "a.mkv", 25), 25)
    seen, again = (list(media.read_video(tmp_path / name, 25)) for name in ("a.mkv", "b.mkv"))
    assert (np.stack(seen) == np.stack(again)).all()
    first = (tmp_path / "a.mkv").read_bytes()
    media.write_lossless(tmp_path / "a.mkv", iter(frames), 25)
    assert (tmp_path / "a.mkv").read_bytes() == first


@pytest.mark.parametrize("pixels", ["rgb24", "bgr0", "gray"])
def test_colour_and_grey_survive(tmp_path: Path, pixels: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (65, 97, 3)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format=pixels)
    media.write_lossless(tmp_path / "a.mkv", [frame], 25)
    (back,) = media.read_video(tmp_path / "a.mkv", 25)
    assert (back == media.to_rgb(frame)).all()


def test_odd_sizes_and_other_formats_lose_no_brightness(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (65, 97, 3)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuv420p")
    media.write_lossless(tmp_path / "a.mkv", [frame, frame], 30)
    (back, _) = media.video_frames(tmp_path / "a.mkv", 30)
    assert back.format.name == "yuv444p"
    luma = [np.frombuffer(f.planes[0], np.uint8).reshape(65, -1)[:, :97] for f in (back, frame)]
    assert (luma[0] == luma[1]).all()


def test_held_frames_and_fractional_rates_survive(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", map(numbered, range(20)), range(0, 2000, 100))
    for fps in (25, 30, 29.97, 59.94):
        before = numbers(path, fps)
        media.write_lossless(tmp_path / "b.mkv", media.video_frames(path, fps), fps)
        assert numbers(tmp_path / "b.mkv", fps) == before


def test_no_frames_no_file(tmp_path: Path) -> None:
    assert media.write_lossless(tmp_path / "a.mkv", iter(()), 25) == 0
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------- mp4


@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 96), (63, 104)])
def test_mp4_keeps_frames_sound_and_size(tmp_path: Path, height: int, width: int) -> None:
    frames = [numbered(k, width, height) for k in range(40)]
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(1.6 * RATE)) / RATE).astype(np.float32)
    media.write_video(tmp_path / "a.mp4", iter(frames), 25, tone, RATE)
    seen = list(media.read_video(tmp_path / "a.mp4", 25))
    assert seen[0].shape == (height + height % 2, width + width % 2, 3)
    assert [number_of(f[:height, :width]) for f in seen] == list(range(40))
    sound = media.read_audio(tmp_path / "a.mp4", RATE)
    assert abs(len(sound) - len(tone)) <= 1024
    assert np.corrcoef(sound[1000:20_000], tone[1000:20_000])[0, 1] > 0.99


def test_mp4_refuses_no_frames_and_changing_sizes_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TalkmeshError, match="at least one frame"):
        media.write_video(tmp_path / "a.mp4", [], 25)
    with pytest.raises(TalkmeshError, match="frame 1"):
        media.write_video(tmp_path / "a.mp4", [numbered(0), numbered(0, 48)], 25)
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------------------------------------------------- sound


def click(at_s: float, length_s: float = 2.0) -> np.ndarray:
    sound = np.zeros(int(length_s * RATE), np.float32)
    sound[round(at_s * RATE)] = 0.9
    return sound


@pytest.mark.parametrize("start", [-0.25, 0.0, 0.6])
def test_sound_lies_on_the_clock_of_the_picture(tmp_path: Path, start: float) -> None:
    # the picture starts at 0.5 s, the sound at 0.5 + start
    path = write(
        tmp_path / "a.mkv", map(numbered, range(50)), range(500, 2500, 40), sound=(click(1.0), 0.5 + start)
    )
    sound = media.read_audio(path, RATE)
    assert abs(int(np.argmax(np.abs(sound))) / RATE - (1.0 + start)) < 0.0015
    assert abs(len(sound) / RATE - (2.0 + start)) < 0.0015


def test_click_in_compressed_stereo_is_where_it_was(tmp_path: Path) -> None:
    media.write_video(tmp_path / "a.mp4", (numbered(k) for k in range(50)), 25, click(1.0), RATE)
    assert abs(int(np.argmax(np.abs(media.read_audio(tmp_path / "a.mp4", RATE)))) - RATE) <= 2


def test_a_hole_in_the_sound_is_silence_and_what_follows_stays_in_step(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        voice = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for first, value in ((0, 8000), (3 * RATE, 16_000)):
            for k in range(0, RATE, 1600):
                frame = av.AudioFrame.from_ndarray(
                    np.full((1, 1600), value, np.int16), format="s16", layout="mono"
                )
                frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), first + k
                out.mux(voice.encode(frame))
        out.mux(voice.encode(None))
    sound = media.read_audio(path, RATE)
    assert len(sound) == 4 * RATE
    assert np.allclose(sound[: RATE - 100], 8000 / 32768, atol=1e-3)
    assert np.allclose(sound[RATE + 100 : 3 * RATE - 100], 0)
    assert np.allclose(sound[3 * RATE + 100 :], 16_000 / 32768, atol=1e-3)


def test_channels_are_averaged_and_rates_converted(tmp_path: Path) -> None:
    import soundfile

    t = np.arange(44_100) / 44_100
    left = np.sin(2 * np.pi * 300 * t)
    soundfile.write(tmp_path / "a.wav", np.stack([left, 0 * left], 1) * 0.8, 44_100)
    sound = media.read_audio(tmp_path / "a.wav", RATE)
    expected = 0.4 * np.sin(2 * np.pi * 300 * np.arange(len(sound)) / RATE)
    assert abs(len(sound) - RATE) <= 1
    assert np.abs(sound - expected)[100:-100].max() < 2e-3
    assert sound.dtype == np.float32


# ------------------------------------------------------------------------------------------------- bad input


def test_every_bad_file_ends_in_one_sentence_that_names_it(tmp_path: Path) -> None:
    good = write(tmp_path / "good.mp4", map(numbered, range(50)), range(0, 2000, 40), sound=None)
    (tmp_path / "truncated.mp4").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (tmp_path / "text.mp4").write_text("not a video\n" * 100)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "zeros.mkv").write_bytes(bytes(10_000))
    for name in ("truncated.mp4", "text.mp4", "empty.mp4", "zeros.mkv", "missing.mp4"):
        for read in (lambda p: list(media.read_video(p, 25)), media.read_audio, media.nominal_duration):
            with pytest.raises(TalkmeshError, match=name) as caught:
                read(tmp_path / name)
            assert "\n" not in str(caught.value)
    with pytest.raises(TalkmeshError, match="has no sound"):
        media.read_audio(good)


def test_sound_without_picture(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(800), RATE)
    with pytest.raises(TalkmeshError, match="no video stream"):
        list(media.read_video(tmp_path / "a.wav", 25))
    assert len(media.read_audio(tmp_path / "a.wav")) == 800


def test_a_truncated_stream_gives_its_prefix(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.mkv", map(numbered, range(100)), range(0, 4000, 40), sound=(click(1.0, 4.0), 0)
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    seen = numbers(path, 25)
    whole = len(seen) - 6  # the last few wait for frames that are gone
    assert seen[:whole] == list(range(whole))
    assert 50 < len(seen) < 75


def test_damage_inside_is_skipped_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    media.write_video(tmp_path / "a.mp4", (numbered(k % 256) for k in range(100)), 25, click(1.0, 4.0), RATE)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    start = data.find(b"mdat") + 2000
    data[start : start + 100] = bytes(100)
    (tmp_path / "a.mp4").write_bytes(data)
    assert abs(len(list(media.read_video(tmp_path / "a.mp4", 25))) - 100) <= 1
    assert abs(len(media.read_audio(tmp_path / "a.mp4", RATE)) - 4 * RATE) < 3000
    assert "damaged" in caplog.text
