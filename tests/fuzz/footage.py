"""Good videos, sounds and transcripts, made on the spot."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

import cartoon
import models_on_disk
from fuzz.mutations import Files

RATE = 16_000


@contextmanager
def folder() -> Iterator[Path]:
    """A folder to write in and to be in, which then is gone."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def taken(path: Path) -> Files:
    """The files of a folder."""
    return {f.relative_to(path).as_posix(): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def noise(seconds: float, rate: int = RATE) -> np.ndarray:
    return models_on_disk.sound(seconds)[:: RATE // rate]


CONTAINERS = (  # suffix, video codec and pixels, sound codec
    ("mp4", "libx264", "yuv420p", "aac"),
    ("mkv", "ffv1", "yuv422p10le", "flac"),
    ("avi", "mjpeg", "yuvj420p", "pcm_s16le"),
    ("webm", "libvpx", "yuv420p", "libopus"),
    ("ts", "mpeg2video", "yuv420p", "mp2"),
)


def video(suffix: str, codec: str, pixels: str, sound: str) -> Files:
    """A second of a drawn face that talks."""
    with folder() as root:
        with av.open(str(root / f"x.{suffix}"), "w") as out:
            picture: Any = out.add_stream(codec, rate=25)
            picture.width, picture.height, picture.pix_fmt = 96, 64, pixels
            rate = 48_000 if sound in ("libopus", "mp2") else RATE
            track: Any = out.add_stream(sound, rate=rate, layout="mono")
            resampler = av.AudioResampler(track.codec_context.format, "mono", rate)
            for k in range(25):
                image = np.ascontiguousarray(cartoon.face(96, 0.5 + 0.5 * np.sin(k))[16:80])
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
                frame.pts, frame.time_base = k, Fraction(1, 25)
                out.mux(picture.encode(frame))
            heard = av.AudioFrame.from_ndarray(noise(1.0)[None], format="fltp", layout="mono")
            heard.sample_rate = RATE
            fifo = av.AudioFifo()
            for piece in [*resampler.resample(heard), *resampler.resample(None)]:
                piece.pts = None
                fifo.write(piece)
            size = track.codec_context.frame_size or 1024
            done = 0
            while piece := fifo.read(size, partial=True):
                piece.pts, piece.time_base = done, Fraction(1, rate)
                done += piece.samples
                out.mux(track.encode(piece))
            for stream in (picture, track):
                out.mux(stream.encode(None))
        return {f"c/p/x.{suffix}": (root / f"x.{suffix}").read_bytes()}


def videos() -> list[Files]:
    """One recording each; and two, one of them with a transcript and in a list of those to test with."""
    found = [video(*kind) for kind in CONTAINERS]
    more = {f"c/p/{k}": v for k, v in transcripts()[3].items()}
    more |= {"c/q/y.mkv": found[1]["c/p/x.mkv"], "c/test.txt": b"p/x\n"}
    return [*found, found[0] | more]


def sounds() -> list[Files]:
    found = []
    with folder() as root:
        kinds = {
            "a.wav": "PCM_16",
            "b.wav": "FLOAT",
            "c.flac": "PCM_16",
            "d.ogg": "VORBIS",
            "e.aiff": "PCM_24",
        }
        for name, kind in kinds.items():
            soundfile.write(
                root / name, np.stack([noise(0.3, 8000)] * (1 + (name == "b.wav")), 1), 8000, kind
            )
            found.append({name: (root / name).read_bytes()})
    return found


def piped() -> list[Files]:
    with folder() as root:
        soundfile.write(root / "a.wav", noise(0.3), RATE, "PCM_16")
        return [{"a.wav": (root / "a.wav").read_bytes()}]


TEXTGRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "bin"
        intervals [2]:
            xmin = 0.5
            xmax = 1
            text = "blue ""now"""
'''


def transcripts() -> list[Files]:
    cues = "1\n00:00:00,000 --> 00:00:00,500\n<i>bin</i> blue\n\n2\n00:00:00,600 --> 00:00:01,000\nat f two now.\n"
    texts = {
        "x.TextGrid": TEXTGRID,
        "x.srt": cues,
        "x.vtt": "WEBVTT\n\n" + cues.replace(",", "."),
        "x.csv": "start,end,text\n0,0.5,bin blue\n0.6,1,at f two now.\n",
        "x.txt": "0.0\t0.5\tbin blue\n0.6\t1.0\tnow\n",
        "x.lab": "0 5000000 bin\n6000000 10000000 blue\n",
        "x.align": "0 12500 bin\n15000 25000 blue\n",
    }
    return [{name: text.encode()} for name, text in texts.items()]
