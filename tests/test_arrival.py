"""Every way in which video and sound arrive: made here, then checked against what was put in."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import av.filter
import numpy as np
import pytest
from av.stream import Disposition

from talkmesh import hdr, media
from talkmesh.errors import TalkmeshError
from talkmesh.sound import downmix, sound_chunks

RATE = 16_000
LIMITED, FULL = 1, 2
BT709, BT601, BT2020 = 1, 6, 9
WEIGHTS = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), BT2020: (0.2627, 0.0593)}  # of red and blue


def encode(
    path: Path,
    frames: Iterable[av.VideoFrame],
    fps: float | Fraction = 25,
    options: dict[str, str] | None = None,
    matrix: list[int] | None = None,
    first_pts: int = 0,
    sound: tuple[np.ndarray, int, str] | None = None,
    **tags: object,
) -> Path:
    """Write frames losslessly with whatever tags; `sound` = samples (C, N), rate, layout as PCM or MP2."""
    frames = list(frames)
    fps = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(
            "libx264", rate=fps, options={"qp": "0", "preset": "ultrafast"} | (options or {})
        )
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        voice = None
        if sound is not None:
            voice = out.add_stream(
                "mp2" if path.suffix == ".ts" else "pcm_s16le", rate=sound[1], layout=sound[2]
            )
        for k, frame in enumerate(frames):
            frame.pts, frame.time_base = first_pts + k, 1 / fps
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if voice is not None:
            samples, rate, layout = sound
            whole = (np.asarray(samples) * 32_767).astype(np.int16)
            size = 1152
            for first in range(0, whole.shape[1], size):
                block = np.ascontiguousarray(whole[:, first : first + size].T.reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = first + round(first_pts / fps * rate)
                out.mux(voice.encode(frame))
            out.mux(voice.encode(None))
    return path


def grey(image: np.ndarray) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="gray").reformat(format="yuv420p")


def flat(yuv: Iterable[float], pixels: str = "yuv420p", height: int = 64, width: int = 96) -> av.VideoFrame:
    """One colour, given as Y, Cb, Cr code values."""
    frame = av.VideoFrame(width, height, pixels)
    kind = np.uint16 if "10" in pixels else np.uint8
    for plane, value in zip(frame.planes, yuv, strict=True):
        row = plane.line_size // np.dtype(kind).itemsize
        plane.update(np.full((plane.height, row), round(value), kind).tobytes())
    return frame


def codes(rgb: np.ndarray, matrix: int, full: bool, bits: int = 8) -> list[float]:
    """Y, Cb, Cr code values of an RGB signal, 0 to 1, by the definition in ITU-R BT.601, 709 and 2020."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = rgb
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    scale = 2 ** (bits - 8)
    if full:
        top = 2**bits - 1
        return [y * top, cb * top + 128 * scale, cr * top + 128 * scale]
    return [(16 + 219 * y) * scale, (128 + 224 * cb) * scale, (128 + 224 * cr) * scale]


def numbered(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """A grey picture (H, W) that says its number in eight bars."""
    bits = np.array([number >> b & 1 for b in range(8)], np.uint8)
    return np.tile(bits.repeat(width // 8) * 200 + 20, (height, 1))


def number_of(image: np.ndarray) -> int:
    middle = image[image.shape[0] // 2, :, 0].reshape(8, -1).mean(1)
    return int(sum((value > 120) << b for b, value in enumerate(middle)))


# --------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize(
    "signs",
    [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)],
)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_pictures_are_shown_as_their_matrix_says(tmp_path: Path, signs: tuple[int, ...], suffix: str) -> None:
    a, b, c, d = signs
    if suffix == "mkv" and a * d - b * c < 0:
        pytest.skip("Matroska holds rotations alone")
    stored = np.full((64, 96), 60, np.uint8)
    stored[:16, :40], stored[48:, :24] = 230, 150
    one = 1 << 16
    matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30]
    path = encode(tmp_path / f"a.{suffix}", [grey(stored)] * 3, matrix=matrix)
    seen = next(media.read_video(path, 25))
    y, x = np.mgrid[:64, :96]
    shown_x, shown_y = a * x + c * y, b * x + d * y
    expected = np.zeros(seen.shape[:2])
    expected[shown_y - shown_y.min(), shown_x - shown_x.min()] = stored
    assert np.abs(seen[..., 1] - expected).mean() < 2


def test_anamorphic_pixels_of_a_turned_picture(tmp_path: Path) -> None:
    one = 1 << 16
    turned = [0, one, 0, -one, 0, 0, 0, 0, 1 << 30]
    path = encode(
        tmp_path / "a.mp4", [grey(numbered(1))] * 3, matrix=turned, sample_aspect_ratio=Fraction(4, 3)
    )
    frames = list(media.read_video(path, 25))
    assert len(frames) == 3
    assert frames[0].shape == (128, 64, 3)
    narrow = encode(tmp_path / "b.mkv", [grey(numbered(1, 160))] * 3, sample_aspect_ratio=Fraction(10, 11))
    assert next(media.read_video(narrow, 25)).shape == (64, 146, 3)


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_interlaced_fields_are_woven_out(tmp_path: Path, order: str) -> None:
    def marked(
        frame: av.VideoFrame,
    ) -> av.VideoFrame:  # the encoder takes the order of the fields from its frames
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
        graph.link_nodes(source, graph.add("setfield", f"mode={order}"), graph.add("buffersink")).configure()
        graph.push(frame)
        return graph.pull()

    def at(field: int) -> np.ndarray:
        image = np.full((128, 192), 60, np.uint8)
        image[:, 20 + 4 * field : 60 + 4 * field] = 220
        return image

    frames, combed = [], []
    for k in range(20):
        woven = at(2 * k)
        woven[1 if order == "tff" else 0 :: 2] = at(2 * k + 1)[1 if order == "tff" else 0 :: 2]
        combed.append(woven)
        frames.append(marked(grey(woven)))
    path = encode(tmp_path / "a.mkv", frames, options={"x264-params": f"{order}=1"})
    seen = list(media.read_video(path, 25))
    assert len(seen) == 20

    def comb(image: np.ndarray) -> float:
        rows = image.astype(float)
        return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())

    for k in range(2, 18):
        assert comb(seen[k][..., 1]) < 0.15 * comb(combed[k])
        assert np.abs(seen[k][..., 1].astype(int) - at(2 * k)).mean() < 6  # the field shown first


def test_a_size_that_changes_midway_is_kept_as_it_is(tmp_path: Path) -> None:
    one = encode(tmp_path / "1.ts", (grey(numbered(k)) for k in range(25)))
    two = encode(tmp_path / "2.ts", (grey(numbered(k, 160, 96)) for k in range(25, 50)), first_pts=25)
    (tmp_path / "a.ts").write_bytes(one.read_bytes() + two.read_bytes())
    seen = list(media.read_video(tmp_path / "a.ts", 25))
    assert {image.shape for image in seen} == {(64, 96, 3), (96, 160, 3)}
    assert [number_of(image) for image in seen] == list(range(50))


# ------------------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize("fps", [15, 23.976, 24, 29.97, 30, 48, 50, 59.94, 60, 100, 120])
def test_any_rate_becomes_25(tmp_path: Path, fps: float) -> None:
    count = round(2 * fps)
    path = encode(tmp_path / "a.mp4", (grey(numbered(k)) for k in range(count)), fps)
    seen = [number_of(image) for image in media.read_video(path, 25)]
    assert abs(len(seen) - 50) <= 1
    assert np.abs(np.array(seen) / fps - np.arange(len(seen)) / 25).max() <= 0.5 / fps + 1e-3


def test_an_edit_list_cuts_picture_and_sound(tmp_path: Path) -> None:
    """The first 0.6 s are edited away: pictures 15 and on are seen, and the click of picture 30 stays with it."""
    click = np.zeros((1, 3 * RATE), np.float32)
    click[0, round(30 / 25 * RATE)] = 0.9
    plain = encode(
        tmp_path / "a.mov",
        (grey(numbered(k)) for k in range(75)),
        options={"g": "10", "bf": "0"},
        sound=(click, RATE, "mono"),
    )
    data = bytearray(plain.read_bytes())
    at = data.find(b"elst")
    if at < 0:
        pytest.skip("the muxer wrote no edit list to change")
    for scale in (12_800, RATE):  # of the picture's track, and of the sound's
        count = struct.unpack(">I", data[at + 8 : at + 12])[0]
        assert count == 1
        start = struct.unpack(">i", data[at + 16 : at + 20])[0]
        data[at + 16 : at + 20] = struct.pack(">i", start + round(0.6 * scale))
        at = data.find(b"elst", at + 4)
    (tmp_path / "b.mov").write_bytes(data)
    seen = [number_of(image) for image in media.read_video(tmp_path / "b.mov", 25)]
    assert seen[:50] == list(range(15, 65))
    sound = media.read_audio(tmp_path / "b.mov", RATE)
    assert abs(int(np.argmax(np.abs(sound))) / RATE - 15 / 25) < 0.003


# ----------------------------------------------------------------------------------------------------- colours


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_matrix_and_range_are_honoured(tmp_path: Path, matrix: int, full: bool, pixels: str) -> None:
    rng = np.random.default_rng(matrix)
    colours = rng.random((4, 3)) * 0.9
    bits = 10 if "10" in pixels else 8
    frames = [flat(codes(rgb, matrix, full, bits), pixels) for rgb in colours]
    for frame in frames:
        frame.color_range, frame.colorspace = (FULL if full else LIMITED), matrix
    path = encode(tmp_path / "a.mkv", frames, colorspace=matrix, color_range=FULL if full else LIMITED)
    media.write_lossless(tmp_path / "clip.mkv", media.video_frames(path, 25), 25)
    for file in (path, tmp_path / "clip.mkv"):
        for image, rgb in zip(media.read_video(file, 25), colours, strict=True):
            assert np.abs(image.mean((0, 1)) - 255 * rgb).max() < 4


@pytest.mark.parametrize(("height", "matrix"), [(576, BT601), (720, BT709), (1080, BT709)])
def test_without_a_tag_high_definition_is_bt709(tmp_path: Path, height: int, matrix: int) -> None:
    rgb = np.array([0.8, 0.45, 0.35])
    path = encode(tmp_path / "a.mp4", [flat(codes(rgb, matrix, False), height=height, width=64)] * 2)
    assert np.abs(next(media.read_video(path, 25)).mean((0, 1)) - 255 * rgb).max() < 4


@pytest.mark.parametrize("height", [480, 720])
def test_own_videos_come_back_in_their_colours(tmp_path: Path, height: int) -> None:
    image = np.full((height, 64, 3), (200, 120, 90), np.uint8)
    media.write_video(tmp_path / "a.mp4", [image] * 3, 25)
    assert np.abs(next(media.read_video(tmp_path / "a.mp4", 25)).mean((0, 1)) - image[0, 0]).max() < 3
    with av.open(str(tmp_path / "a.mp4")) as container:
        tags = container.streams.video[0].codec_context
        assert (int(tags.colorspace), int(tags.color_range)) == (BT709 if height == 720 else BT601, LIMITED)


def pq(light: np.ndarray) -> np.ndarray:
    """The signal of light in cd/m2 (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16_384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (np.asarray(light) / 10_000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg(light: np.ndarray) -> np.ndarray:
    """The signal that makes a display of 1000 cd/m2 emit this light, linear BT.2020 (ITU-R BT.2100)."""
    shown = np.asarray(light) / 1000
    luminance = shown @ [0.2627, 0.6780, 0.0593]
    scene = shown * luminance ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


BT709_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


@pytest.mark.parametrize(("transfer", "signal"), [(hdr.PQ, pq), (hdr.HLG, hlg)])
def test_high_dynamic_range_looks_like_the_ordinary_picture(tmp_path: Path, transfer: int, signal) -> None:  # type: ignore[no-untyped-def]
    """Ordinary colours, put into HDR with white at 203 cd/m2 as broadcasters do, come back as they were."""
    ordinary = np.array(
        [
            [0.5, 0.5, 0.5],
            [0.75, 0.55, 0.45],
            [0.3, 0.2, 0.15],
            [0.25, 0.35, 0.6],
            [0.05, 0.05, 0.05],
            [0.35, 0.6, 0.35],
        ]
    )
    frames = [
        flat(codes(signal(hdr.WHITE * rgb**2.4 @ BT709_TO_2020.T), BT2020, False, 10), "yuv420p10le")
        for rgb in ordinary
    ]
    tags = {"colorspace": BT2020, "color_range": LIMITED, "color_trc": transfer, "color_primaries": 9}
    for frame in frames:
        for name, value in tags.items():
            setattr(frame, name, value)
    path = encode(tmp_path / "a.mkv", frames, **tags)
    media.write_lossless(tmp_path / "clip.mkv", media.video_frames(path, 25), 25)
    for file in (path, tmp_path / "clip.mkv"):
        for image, rgb in zip(media.read_video(file, 25), ordinary, strict=True):
            assert np.abs(image.mean((0, 1)) - 255 * rgb).max() < 5
    with av.open(str(tmp_path / "clip.mkv")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_what_is_brighter_than_white_is_rolled_off_and_keeps_its_hue() -> None:
    levels = np.geomspace(0.01, 10_000, 200)
    greys = hdr.to_sdr(pq(levels)[:, None].repeat(3, 1), hdr.PQ)
    assert (np.diff(greys[:, 0]) >= 0).all()
    assert greys.max() <= 1
    white = hdr.to_sdr(pq(np.full(3, 203.0)), hdr.PQ)[0]
    assert 0.9 < white < 0.96  # room above it
    assert hdr.to_sdr(pq(np.full(3, 1000.0)), hdr.PQ)[0] > white + 0.04
    warm = np.array([1.0, 0.6, 0.4]) @ BT709_TO_2020.T
    for nits in (50, 500, 5000):
        shown = hdr.to_sdr(pq(nits * warm), hdr.PQ) ** 2.4
        assert shown / shown[0] == pytest.approx([1, 0.6, 0.4], abs=0.01)


@pytest.mark.parametrize(
    "pixels",
    [
        "yuv422p10le",
        "yuv444p12le",
        "yuv411p",
        "nv12",
        "gbrp",
        "gbrp10le",
        "rgba",
        "bgra",
        "argb",
        "gray10le",
        "yuva420p",
    ],
)
def test_pixel_formats_keep_their_colours(tmp_path: Path, pixels: str) -> None:
    y, x = np.mgrid[:64, :96]
    image = np.stack([x * 2 + 30, y * 3 + 20, 200 - x], -1).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
    media.write_lossless(tmp_path / "a.mkv", [frame], 25)
    (back,) = media.read_video(tmp_path / "a.mkv", 25)
    assert np.abs(back.astype(int) - media.to_rgb(frame)).mean() < 2


# ------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000])
def test_any_sample_rate_stays_in_time(tmp_path: Path, rate: int) -> None:
    t = np.arange(2 * rate) / rate
    pulse = 0.8 * np.exp(-0.5 * ((t - 1.0) / 0.0005) ** 2) + 0.05 * np.sin(2 * np.pi * 1000 * t)
    path = encode(tmp_path / "a.mkv", [grey(numbered(0))] * 50, sound=(pulse[None], rate, "mono"))
    sound = media.read_audio(path, RATE)
    assert abs(len(sound) - 2 * RATE) <= 2
    assert abs(int(np.argmax(sound)) - RATE) <= 1
    expected = 0.8 * np.exp(-0.5 * ((np.arange(len(sound)) / RATE - 1) / 0.0005) ** 2)
    expected += 0.05 * np.sin(2 * np.pi * 1000 * np.arange(len(sound)) / RATE)
    assert np.abs(sound - expected)[50:-50].max() < 0.02


def test_what_16_khz_cannot_hold_is_filtered_out(tmp_path: Path) -> None:
    t = np.arange(96_000) / 96_000
    high = 0.5 * np.sin(2 * np.pi * 13_000 * t)
    path = encode(tmp_path / "a.mkv", [grey(numbered(0))] * 25, sound=(high[None], 96_000, "mono"))
    assert np.abs(media.read_audio(path, RATE)[200:-200]).max() < 0.005


@pytest.mark.parametrize(
    ("layout", "suffix"),
    [(x, "mov") for x in ("stereo", "2.1", "3.0", "quad", "5.0", "5.1", "5.1(side)", "7.1")]
    + [(x, "mkv") for x in ("stereo", "2.1", "5.0", "5.1", "7.1")],  # which does not name the channels of PCM
)
def test_dialogue_comes_through_the_downmix(tmp_path: Path, layout: str, suffix: str) -> None:
    names = tuple(channel.name for channel in av.AudioLayout(layout).channels)
    t = np.arange(RATE) / RATE
    voice = 0.5 * np.sin(2 * np.pi * 300 * t)
    rumble = 0.8 * np.sin(2 * np.pi * 50 * t)
    music = 0.3 * np.sin(2 * np.pi * 2000 * t)
    channels = np.zeros((len(names), RATE))
    for k, name in enumerate(names):
        if name == "FC" or (name in ("FL", "FR") and "FC" not in names):
            channels[k] = voice
        elif name == "LFE":
            channels[k] = rumble
        elif name not in ("FL", "FR"):
            channels[k] = music
    path = encode(tmp_path / f"a.{suffix}", [grey(numbered(0))] * 25, sound=(channels, RATE, layout))
    sound = media.read_audio(path, RATE)[1000:-1000]
    amplitude = {
        f: 2 * abs(np.exp(-2j * np.pi * f * t[1000:-1000]) @ sound) / len(sound) for f in (50, 300, 2000)
    }
    assert amplitude[300] >= 0.2
    assert amplitude[50] < 0.01
    assert amplitude[2000] < 0.01
    assert downmix(names).sum() == pytest.approx(1)
    assert (downmix(names) >= 0).all()  # nothing can clip


def test_the_format_of_the_sound_may_change_midway(tmp_path: Path) -> None:
    t = np.arange(RATE) / RATE
    tone = 0.4 * np.sin(2 * np.pi * 300 * t)
    still = [grey(numbered(0)) for _ in range(25)]
    stereo = encode(tmp_path / "1.ts", still, sound=(np.stack([tone, tone]), RATE, "stereo"))
    mono = encode(tmp_path / "2.ts", still, sound=(tone[None], RATE, "mono"), first_pts=25)
    (tmp_path / "a.ts").write_bytes(stereo.read_bytes() + mono.read_bytes())
    sound = media.read_audio(tmp_path / "a.ts", RATE)
    assert abs(len(sound) / RATE - 2) < 0.15
    assert np.abs(sound[2000:14_000]).max() == pytest.approx(0.4, abs=0.05)
    assert np.abs(sound[19_000:30_000]).max() == pytest.approx(0.4, abs=0.05)


def test_sound_comes_in_pieces(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = encode(
        tmp_path / "a.mkv", [grey(numbered(0))] * 50, sound=(rng.normal(0, 0.1, (1, 96_000)), 48_000, "mono")
    )
    pieces = list(sound_chunks(path, RATE))
    assert max(map(len, pieces)) < 2000
    assert (np.concatenate(pieces) == media.read_audio(path, RATE)).all()


# ----------------------------------------------------------------------------------------------- several streams


def test_a_cover_is_no_video_and_the_default_sound_is_heard(tmp_path: Path) -> None:
    t = np.arange(RATE) / RATE
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        comment, voice = (out.add_stream("aac", rate=RATE, layout="mono") for _ in range(2))
        comment.disposition, voice.disposition = Disposition.comment, Disposition.default
        picture = av.VideoFrame.from_ndarray(np.full((480, 640), 250, np.uint8), format="gray")
        out.mux(cover.encode(picture.reformat(format="yuvj420p")))
        out.mux(cover.encode(None))
        for k in range(25):
            out.mux(video.encode(grey(numbered(k))))
        out.mux(video.encode(None))
        for stream, frequency in ((comment, 3000), (voice, 300)):
            tone = (0.5 * np.sin(2 * np.pi * frequency * t)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    seen = list(media.read_video(tmp_path / "a.mp4", 25))
    assert [number_of(image) for image in seen] == list(range(25))
    spectrum = np.abs(np.fft.rfft(media.read_audio(tmp_path / "a.mp4", RATE)[:RATE]))
    assert int(spectrum.argmax()) == pytest.approx(300, abs=2)


def test_of_two_pictures_the_larger_is_taken(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        streams = []
        for width, height in ((48, 32), (96, 64)):
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = Disposition(0)
            streams.append(stream)
        for k, stream in itertools.product(range(10), streams):
            out.mux(stream.encode(grey(numbered(k, stream.width, stream.height))))
        for stream in streams:
            out.mux(stream.encode(None))
    assert next(media.read_video(tmp_path / "a.mkv", 25)).shape == (64, 96, 3)


# -------------------------------------------------------------------------------------------------- what is not


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.mp4\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mp4\n",
    ],
)
def test_a_playlist_named_mp4_reads_no_other_file(tmp_path: Path, text: str) -> None:
    media.write_video(tmp_path / "other.mp4", [np.zeros((64, 96, 3), np.uint8)] * 5, 25)
    (tmp_path / "a.mp4").write_text(text)
    with pytest.raises(TalkmeshError, match=r"a\.mp4"):
        list(media.read_video(tmp_path / "a.mp4", 25))


def test_names_that_look_like_addresses_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    media.write_video("take 10:30 100%d.mp4", [np.zeros((64, 96, 3), np.uint8)] * 5, 25)
    Path("http:a.mp4").write_bytes(Path("take 10:30 100%d.mp4").read_bytes())
    for name in ("take 10:30 100%d.mp4", "http:a.mp4"):
        assert len(list(media.read_video(name, 25))) == 5


def test_a_jump_of_the_clock_is_refused(tmp_path: Path) -> None:
    one = np.zeros((1, RATE))
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        voice = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for start in (0, 3600 * RATE):
            frame = av.AudioFrame.from_ndarray(one.astype(np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), start
            out.mux(voice.encode(frame))
        out.mux(voice.encode(None))
    with pytest.raises(TalkmeshError, match="jump by 3599 s"):
        media.read_audio(tmp_path / "a.mkv", RATE)
