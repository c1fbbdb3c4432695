"""What segmenting keeps: nothing done twice, nothing lost to a kill, copies, equal bytes, little memory."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from processes import killed_when_it_says_now, python
from talkmesh import cutting, media
from talkmesh.contracts import SAMPLE_RATE
from test_arrival import grey
from test_clips import PARAMS, picture, record, segment, speech
from test_segment import said


def hashes(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


# -------------------------------------------------------------------------------------------- incremental, kill


def test_adding_a_recording_decodes_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    real = media.decoded, cutting.sound_chunks

    def frames(container, stream, path):  # type: ignore[no-untyped-def]
        decoded.append(Path(path).name)
        return real[0](container, stream, path)

    def chunks(path, rate):  # type: ignore[no-untyped-def]
        decoded.append(Path(path).name)
        return real[1](path, rate)

    monkeypatch.setattr(media, "decoded", frames)
    monkeypatch.setattr(cutting, "sound_chunks", chunks)
    for name, end in (("a", 1.0), ("c", 0.9)):
        record(tmp_path / f"raw/c/p/{name}.mp4", speech([(0, end)], 1.0))
    segment(tmp_path)
    assert set(decoded) == {"a.mp4", "c.mp4"}
    decoded.clear()
    record(tmp_path / "raw/c/p/b.mp4", speech([(0, 0.8)], 1.0))
    table = segment(tmp_path, dataclasses.replace(PARAMS, test=1, seed=1, workers=1))
    assert set(decoded) == {"b.mp4"}
    assert list(table.index) == ["p-a-00", "p-b-00", "p-c-00"]
    decoded.clear()
    segment(tmp_path, dataclasses.replace(PARAMS, min_clip_s=0.7))
    assert set(decoded) == {"a.mp4", "b.mp4", "c.mp4"}


STUCK = """
import time
from contextlib import contextmanager
from pathlib import Path
from talkmesh import clips
from test_clips import segment
root, real = Path({root!r}), clips.replacing

@contextmanager
def stuck(path):
    with real(path) as temporary:
        yield temporary
        if len(list(root.glob("work/*/pieces.json"))) == 3:  # two whole ones, and this
            print("now", flush=True)
            time.sleep(600)

clips.replacing = stuck
segment(root)
"""


def test_a_kill_loses_one_recording_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with two recordings done and the third cut, but without its name."""
    count = 4
    for k in range(count):
        record(tmp_path / f"raw/c/p/{k}.mp4", speech([(0, 0.9)], 1 + k / 10), seconds=1 + k / 10)
    killed_when_it_says_now(STUCK.format(root=str(tmp_path)))
    work = tmp_path / "work"
    done = list(work.glob("[!.]*"))
    assert len(done) == 2
    assert all((folder / "pieces.json").exists() for folder in done)
    assert len(list(work.glob(".tmp*"))) == 1
    again = []
    real = cutting.segment_recording
    monkeypatch.setattr("talkmesh.clips.segment_recording", lambda *a: again.append(a[0].stem) or real(*a))
    segment(tmp_path)
    assert again == ["2", "3"]
    assert not list(work.glob(".tmp*"))
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh/raw").symlink_to(tmp_path / "raw")
    segment(tmp_path / "fresh")
    assert hashes(tmp_path / "clips") == hashes(tmp_path / "fresh/clips")


# --------------------------------------------------------------------------------------------- equal recordings


@pytest.mark.parametrize("workers", [1, 2])
def test_copies_of_a_recording_are_cut_once_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    folder = tmp_path / "raw/c/p"
    first = record(folder / "a.mp4", speech([(0.1, 1.4)], 1.5))
    for name in ("b", "c", "d"):
        (folder / f"{name}.mp4").write_bytes(first.read_bytes())
    record(folder / "e.mp4", speech([(0.1, 1.2)], 1.5))
    for name in ("f", "g"):
        (folder / f"{name}.mp4").write_text("neither is a film\n")
    table = segment(tmp_path, dataclasses.replace(PARAMS, workers=workers))
    kept = table[table["dropped_why"] == ""]
    assert list(kept.index) == [f"p-{name}-00" for name in "abcde"]
    assert len(list((tmp_path / "work").iterdir())) == 2
    made = [hashes(tmp_path / "clips" / clip) for clip in kept.index]
    assert made[0] == made[1] == made[2] == made[3] != made[4]
    assert [w.split()[0][-5:] for w in caplog.messages if "are the same" in w] == [
        "b.mp4",
        "c.mp4",
        "d.mp4",
        "g.mp4",
    ]
    assert (table.loc[["p-f", "p-g"], "dropped_why"].str.contains("not media")).all()


def test_another_transcript_or_truth_makes_another_recording_of_a_copy(tmp_path: Path) -> None:
    folder = tmp_path / "raw/c/p"
    first = record(folder / "a.mp4", speech([(0.1, 1.4)], 1.5))
    (folder / "b.mp4").write_bytes(first.read_bytes())
    said(folder, "b", [(0.1, 1.4)])
    assert list(segment(tmp_path)["text"]) == ["", "Sentence 0."]


def test_two_processes_give_the_bytes_of_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "raw/c/p"
    for k in range(4):
        record(folder / f"{k}.mp4", speech([(0, 1)], 1.2 + k / 5))
    record(folder / "short.mp4", speech([(0, 1)], 1.0), seconds=2.0)
    (folder / "text.mp4").write_text("no")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/raw").symlink_to(tmp_path / "raw")
    one = segment(tmp_path)
    caplog.clear()
    two = segment(tmp_path / "two", dataclasses.replace(PARAMS, workers=2))
    bytes_of = [hashes(folder / "clips") for folder in (tmp_path, tmp_path / "two")]
    for table in bytes_of:
        del table["clips.csv"]  # names the folder where text.mp4 lies
    assert bytes_of[0] == bytes_of[1]
    assert one.drop(columns="dropped_why").equals(two.drop(columns="dropped_why"))
    assert "short.mp4: the sound ends at" in caplog.text  # said in another process


# ------------------------------------------------------------------------------------------------------ memory

MEASURE = """
import dataclasses, resource
from pathlib import Path
from test_clips import PARAMS
from talkmesh.cutting import segment_recording
params = dataclasses.replace(PARAMS, fps=5.0, max_clip_s=20.0)
for minutes in (1, 10):
    path = Path({folder!r}) / f"{{minutes}}.mkv"
    out = path.with_suffix("")
    out.mkdir()
    pieces = segment_recording(path, path.with_suffix(".csv"), None, params, out)
    print(len(pieces), sum(p.frames for p in pieces), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""


def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path: Path) -> None:
    """Ten minutes after one, in the same process: nine more of sound would be 35 MB as the samples worked on."""
    most = []
    second = np.random.default_rng(0).normal(0, 0.1, (1, SAMPLE_RATE))
    for minutes in (1, 10):
        frames = (grey(picture(k % 256)[..., 0]) for k in range(minutes * 300))
        encode_long(tmp_path / f"{minutes}.mkv", frames, 5, itertools.repeat(second, minutes * 60))
        said(tmp_path, str(minutes), [(t + 0.5, t + 19.5) for t in range(0, minutes * 60, 20)])
    with python(MEASURE.format(folder=str(tmp_path))) as process:
        for minutes, line in zip((1, 10), process.stdout, strict=True):
            pieces, total, peak = map(int, line.split())
            assert (pieces, total) == (3 * minutes, 300 * minutes)
            most.append(peak)
    assert most[1] - most[0] < 12_000, f"kB: {most}"


def encode_long(path: Path, frames, fps: int, seconds) -> None:  # type: ignore[no-untyped-def]
    """Write frames, and sound second by second, without holding either."""
    from fractions import Fraction

    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "30"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        voice = out.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for k, samples in enumerate(seconds):
            for image in itertools.islice(frames, fps):
                out.mux(video.encode(image))
            block = (samples * 30_000).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            sound.sample_rate, sound.time_base, sound.pts = (
                SAMPLE_RATE,
                Fraction(1, SAMPLE_RATE),
                k * SAMPLE_RATE,
            )
            out.mux(voice.encode(sound))
        out.mux(video.encode(None))
        out.mux(voice.encode(None))
