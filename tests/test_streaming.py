"""One pass, windows and streams compute the same; a stream is on time; an hour needs no more memory."""

import dataclasses
import io
import json
import struct
import tracemalloc

import numpy as np
import pytest
import torch

from models_on_disk import RIG, bundle_in, head_of, sound, write_parts
from talkmesh import animate as a
from talkmesh import cli, coding
from talkmesh.bundle import write_bundle
from talkmesh.coding import Coder
from talkmesh.errors import TalkmeshError
from talkmesh.models.head import write_head
from talkmesh.models.speech import features
from talkmesh.streaming import Stream, frames_of, read_chunks, write_frames, write_lines

TOLERANCE = 2e-3  # mm, with motion of some tenths


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundle_in(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """The pictures of random networks hardly differ: in bfloat16 rounding would be larger than their motion."""
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)


def chunks_of(samples: np.ndarray, milliseconds: int) -> list[np.ndarray]:
    return np.split(samples, range(milliseconds * 16, len(samples), milliseconds * 16))


def one_pass(bundle, samples: np.ndarray) -> np.ndarray:
    """Slow reference: the codes (T, C) of the whole sound through E_A at once."""
    frames = round(len(samples) / 16_000 * 25)
    model = bundle.transcoder
    fed = torch.from_numpy(features(samples, frames, 25.0, model.config.speech))[None]
    with torch.no_grad():
        return model.offsets_of_speech(fed, frames)[0].numpy()


def test_windows_equal_one_pass(bundle, monkeypatch):
    samples = sound(4.13)
    monkeypatch.setattr(coding, "WINDOW", 17)
    monkeypatch.setattr(a, "PIECE", 5_000)
    got = np.concatenate(list(a.codes_of(bundle, chunks_of(samples, 700))))
    wanted = one_pass(bundle, samples)
    assert wanted.std(0).max() > 0.01
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("milliseconds", [20, 100])
@pytest.mark.parametrize("smooth", [0.0, 1.5])
def test_a_stream_with_the_full_look_ahead_equals_the_whole(bundle, milliseconds, smooth):
    samples = sound(3.0)
    whole = a.animate(bundle, samples, smooth=smooth).vertices
    assert whole.std(0).max() > 0.1
    stream = Stream(bundle, smooth=smooth)
    parts = list(frames_of(stream, chunks_of(samples, milliseconds)))
    np.testing.assert_allclose(np.concatenate([p.vertices for p in parts]), whole, atol=TOLERANCE)
    assert [p.first for p in parts] == np.cumsum([0, *[len(p) for p in parts[:-1]]]).tolist()


def test_pieces_equal_the_whole_and_a_limit_holds(bundle):
    samples = sound(3.3)
    pieces = chunks_of(samples, 900)
    for frames in (None, 40, 90):  # as long as the sound, shorter, longer
        whole = a.animate(bundle, samples, frames).vertices
        assert len(whole) == (frames or 82)
        chunks = list(a.animate_pieces(bundle, pieces, frames))
        assert max(map(len, chunks)) <= a.CHUNK
        np.testing.assert_allclose(np.concatenate(chunks), whole, atol=TOLERANCE)


@pytest.mark.parametrize("lookahead", [0.0, 0.2, 0.5])
def test_a_stream_is_on_time(bundle, lookahead):
    stream = Stream(bundle, lookahead)
    assert stream.delay_s == lookahead
    samples, given = sound(2.0), 0
    for i, chunk in enumerate(chunks_of(samples, 50)):
        given += len(stream.push(chunk))
        heard = (i + 1) * 0.05
        assert given >= int((heard - lookahead) * 25 + 1e-6)
    given += len(stream.finish())
    assert given == 50


def test_more_look_ahead_is_nearer_to_the_whole(bundle):
    samples = sound(3.0)
    whole = a.animate(bundle, samples).vertices
    errors = []
    for lookahead in (0.0, 0.16, 0.4, None):
        parts = frames_of(Stream(bundle, lookahead), chunks_of(samples, 40))
        got = np.concatenate([p.vertices for p in parts])
        errors.append(float(np.abs(got - whole)[:-10].mean()))
    assert errors[0] > errors[1] > errors[2] >= errors[3]
    assert errors[3] < TOLERANCE


def test_settled_sooner_than_stated_never_later(bundle):
    """A change of the sound further away than the stated delay must not be felt."""
    coder = Coder(bundle.transcoder)
    samples = sound(4.0)
    other = samples.copy()
    at = 40_000
    other[at:] = 0
    one, two = (np.concatenate(list(a.codes_of(bundle, [x]))) for x in (samples, other))
    felt = np.flatnonzero(np.abs(one - two).max(1) > 1e-6)
    assert felt[0] / 25 >= at / 16_000 - coder.ahead_s
    assert len(felt)


def test_ten_times_the_sound_needs_no_more_memory(bundle, monkeypatch):
    """As many windows as in an hour, by smaller ones; the fast path, which takes all the same windows."""
    monkeypatch.setattr(coding, "WINDOW", 8)
    monkeypatch.setattr(a, "CHUNK", 8)
    fast = dataclasses.replace(bundle, head=head_of())
    piece = sound(3.0)

    def peak(pieces: int) -> float:
        tracemalloc.start()
        frames = sum(len(v) for v in a.animate_pieces(fast, (piece for _ in range(pieces)), fast=True))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert frames == pieces * 3 * 25
        return top

    peak(1)  # what is loaded once
    assert peak(50) < 1.05 * peak(5) + 1e5  # 135 s more would be 8.6 MB as samples, 2.1 MB as features


def test_smoothing_takes_jitter_and_adds_no_lag(bundle):
    samples = sound(4.0)
    rough = np.concatenate(list(a.codes_of(bundle, [samples])))
    soft = np.concatenate(list(a.codes_of(bundle, [samples], smooth=2.0)))
    assert np.abs(np.diff(soft, 2, axis=0)).mean() < 0.3 * np.abs(np.diff(rough, 2, axis=0)).mean()
    offsets = range(-3, 4)
    inner, centred = rough[10:-10] - rough.mean(0), soft - soft.mean(0)
    r = [float((inner * centred[10 + k : len(soft) - 10 + k]).sum()) for k in offsets]
    assert offsets[int(np.argmax(r))] == 0
    # at the ends as in the middle: a constant stays what it is
    constant = Coder(bundle.transcoder, smooth=2.0)._smoothed(torch.ones(9, 4))
    np.testing.assert_allclose(constant.numpy(), 1, atol=1e-6)


def test_the_fast_path_gives_weights(bundle):
    fast = dataclasses.replace(bundle, head=head_of())
    parts = list(frames_of(Stream(fast), chunks_of(sound(1.5), 100)))
    weights = np.concatenate([p.weights for p in parts])
    assert weights.shape == (38, 3)
    assert weights.min() >= 0
    assert weights.max() <= 1
    np.testing.assert_allclose(np.concatenate([p.vertices for p in parts]), RIG.vertices(weights), atol=1e-4)
    assert next(frames_of(Stream(fast, fast=False), [sound(2.0)])).weights is None
    with pytest.raises(TalkmeshError, match="no fast path"):
        Stream(bundle, fast=True)


def test_misuse_is_explained(bundle):
    for lookahead in (-1.0, np.nan, np.inf):
        with pytest.raises(TalkmeshError, match="look-ahead"):
            Stream(bundle, lookahead)
    stream = Stream(bundle)
    with pytest.raises(TalkmeshError, match="finite samples"):
        stream.push(np.array([np.nan], np.float32))
    with pytest.raises(TalkmeshError, match="finite samples"):
        stream.push(np.zeros((2, 2), np.float32))
    assert len(stream.finish()) == 0
    with pytest.raises(TalkmeshError, match="has ended"):
        stream.push(np.zeros(10, np.float32))


class Dribble(io.BytesIO):
    """A pipe that gives a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size if size and size > 0 else 7, 7))


def wav(samples: np.ndarray, rate: int = 16_000, channels: int = 1) -> bytes:
    """A WAV file with an extra part before the samples, of unknown length, as pipes have it."""
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * rate * channels, 2 * channels, 16)
    parts = b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"fmt " + struct.pack("<I", 16) + form
    return b"RIFF" + b"\xff" * 4 + b"WAVE" + parts + b"data" + b"\xff" * 4 + samples.astype("<i2").tobytes()


@pytest.mark.parametrize("pipe", [io.BytesIO, Dribble])
@pytest.mark.parametrize("form", ["bare", "wav"])
def test_chunks_of_a_pipe(pipe, form):
    values = np.arange(-1000, 1001, dtype=np.int16)
    source = pipe(wav(values) if form == "wav" else values.astype("<i2").tobytes())
    chunks = list(read_chunks(source, 0.02))
    assert all(len(c) == 320 for c in chunks[:-1])
    np.testing.assert_allclose(np.concatenate(chunks) * 32768, values)


def test_other_wav_files_are_refused():
    with pytest.raises(TalkmeshError, match="2 channels, 44100 Hz"):
        list(read_chunks(io.BytesIO(wav(np.zeros(9), 44_100, 2)), 0.1))
    with pytest.raises(TalkmeshError, match="ends before"):
        list(read_chunks(io.BytesIO(wav(np.zeros(0))[:30]), 0.1))


def test_lines_are_json_and_npz_is_the_usual_one(bundle, tmp_path):
    fast = dataclasses.replace(bundle, head=head_of())
    samples = [sound(1.0)]
    target = io.StringIO()
    assert write_lines(frames_of(Stream(fast), samples), target, fast) == 25
    head, *lines = map(json.loads, target.getvalue().splitlines())
    assert head["shapes"] == list(RIG.names)
    assert [line["frame"] for line in lines] == list(range(25))
    assert lines[5]["time"] == 0.2
    assert all(len(line["weights"]) == 3 for line in lines)
    write_frames(tmp_path / "a.jsonl", frames_of(Stream(fast), samples), fast, vertices=True)
    head, *lines = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
    assert head["vertices"] == 60
    write_frames(tmp_path / "a.npz", frames_of(Stream(fast), samples), fast)
    saved = np.load(tmp_path / "a.npz")["vertices"]
    np.testing.assert_allclose([line["vertices"] for line in lines], saved, atol=1e-3)
    with pytest.raises(TalkmeshError, match="no sound"):
        write_frames(tmp_path / "b.npz", frames_of(Stream(fast), []), fast)


def test_the_command_reads_a_pipe(tmp_path, monkeypatch, capsys):
    root = tmp_path
    parts = write_parts(root)
    write_head(root / "h", head_of(), RIG.hash)
    write_bundle(root / "b", *parts, root / "h")
    values = (sound(1.0) * 32767).astype("<i2").tobytes()
    monkeypatch.setattr("sys.stdin", type("Pipe", (), {"buffer": io.BytesIO(values)})())
    assert cli.main(["stream", "--bundle", str(root / "b"), "--lookahead", "0.1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 26
    assert len(json.loads(lines[1])["weights"]) == 3
    assert cli.main(["stream", "--bundle", str(root / "b"), "--chunk", "0"]) == 2
    assert "--chunk" in capsys.readouterr().err
    assert cli.main(["stream", "--bundle", str(root / "b"), "-o", "a.gif"]) == 2
    assert "must end in .jsonl or .npz" in capsys.readouterr().err
