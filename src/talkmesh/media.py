"""Video and sound in and out, by timestamps, through PyAV (whose wheel carries FFmpeg).

Time zero of a recording is the timestamp of its first video frame; sound is placed on the same clock.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing
from talkmesh.timing import constant_rate, timed, upright

log = logging.getLogger(__name__)

# A jump of the sound's timestamps above this is a hole in the recording and is filled with silence, so that what
# follows stays in step with the picture; containers round timestamps by less.
SOUND_GAP_S = 0.1


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    if not Path(path).is_file():
        raise TalkmeshError(f"{path} not found")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TalkmeshError(
            f"{path} cannot be read as video or sound ({reason}): damaged or not media"
        ) from None
    with container:
        yield container


def _decoded(container: Any, stream: Any, path: str | Path) -> Iterator[Any]:
    """Yield the frames of a stream; unreadable parts are skipped with a warning."""
    broken, packets = 0, container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.error.FFmpegError:
            broken += 1
            break
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            broken += 1
            continue
        yield from frames
    if broken:
        log.warning("%s: %d damaged parts of the %s were skipped", path, broken, stream.type)


def nominal_duration(path: str | Path) -> float | None:
    """Return the length in seconds that the file's header claims, or None if it claims none."""
    with _opened(path) as container:
        return None if container.duration is None else container.duration / av.time_base


# --------------------------------------------------------------------------------------------------- pictures


def video_frames(path: str | Path, fps: float) -> Iterator[Any]:
    """Yield PyAV frames of a video at a constant rate, chosen by timestamps, upright, in their own pixel format.

    Memory does not grow with the length of the video.

    Raises
    ------
    TalkmeshError
        If the file cannot be read, has no video stream, or not one frame of it can be decoded.
    """
    with _opened(path) as container:
        if not container.streams.video:
            raise TalkmeshError(f"{path} has no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        empty = True
        frames = upright(_decoded(container, stream, path), stream)
        for frame in constant_rate(timed(frames, rate), fps):
            empty = False
            yield frame
        if empty:
            raise TalkmeshError(f"{path}: not one video frame can be decoded; the file is damaged")


def to_rgb(frame: Any) -> np.ndarray:
    """Return a PyAV frame as (H, W, 3) uint8 RGB."""
    return frame.to_ndarray(format="rgb24")


def read_video(path: str | Path, fps: float) -> Iterator[np.ndarray]:
    """Yield frames (H, W, 3) uint8 RGB of a video at `fps`; see `video_frames`."""
    return map(to_rgb, video_frames(path, fps))


def _rational(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)


def write_lossless(path: str | Path, frames: Iterable[Any], fps: float) -> int:
    """Write PyAV frames as lossless H.264 in Matroska at a constant rate; return how many there were.

    The pixel format is kept where x264 has it and the size allows, so that frames decode bit-identical; other YUV
    formats become 4:4:4, grey and palettes RGB. Without frames no file is written. Equal frames give equal bytes.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        return 0
    pixels, encoder = first.format.name, "libx264"
    if pixels.startswith(("rgb", "bgr", "gbr", "pal", "gray", "mono")):
        encoder = "libx264rgb"
    offered = {f.name for f in av.Codec(encoder, "w").video_formats or ()}
    halved = first.width % 2 or first.height % 2  # 4:2:0 and 4:2:2 need even sizes
    if encoder == "libx264rgb":
        pixels = pixels if pixels in offered else "rgb24"
    elif pixels not in offered or (halved and "444" not in pixels):
        pixels = "yuv444p"
    rate = _rational(fps)
    count = 0
    options = {"fflags": "+bitexact"}
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="matroska", options=options) as out,
    ):
        stream: Any = out.add_stream(encoder, rate=rate, options={"qp": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, pixels
        context = stream.codec_context
        context.flags |= av.codec.context.Flags.bitexact
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(first, tag))
        for frame in itertools.chain([first], frames):
            if (frame.width, frame.height) != (first.width, first.height) or frame.format.name != pixels:
                frame = frame.reformat(first.width, first.height, pixels)
            frame.pict_type, frame.pts, frame.time_base = 0, count, 1 / rate
            out.mux(stream.encode(frame))
            count += 1
        out.mux(stream.encode(None))
    return count


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    audio: np.ndarray | None = None,
    rate: int = 16_000,
    crf: int = 18,
) -> None:
    """Write an mp4 that plays everywhere: H.264 4:2:0, and AAC where there is sound.

    Parameters
    ----------
    frames : (H, W, 3) uint8 RGB each, all of one size; an odd size is padded by repeating the last row or column
    fps : frames a second
    audio : (N,) float32 mono in [-1, 1] at `rate` Hz, or None
    crf : quality of H.264, lower is better

    Raises
    ------
    TalkmeshError
        If there is no frame or a frame has another size or type.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise TalkmeshError(f"{path}: a video needs at least one frame")
    height, width = first.shape[:2]
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as out:
        # without macroblock trees, whose floating point makes other bytes where a process also draws with OpenGL
        options = {"crf": str(crf), "x264-params": "mbtree=0"}
        video: Any = out.add_stream("libx264", rate=_rational(fps), options=options)
        video.width, video.height, video.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        sound: Any = None
        if audio is not None:
            sound = out.add_stream("aac", rate=rate, layout="mono")
            audio = np.clip(np.asarray(audio, np.float32), -1, 1)
        written = 0
        for k, image in enumerate(itertools.chain([first], frames)):
            if image.shape != (height, width, 3) or image.dtype != np.uint8:
                raise TalkmeshError(
                    f"{path}: frames must all be ({height}, {width}, 3) uint8; frame {k} is not"
                )
            padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")))
            if audio is not None:  # in step with the picture: the muxer would hold everything back otherwise
                upto = round((k + 1) / fps * rate)
                _encode_sound(out, sound, audio[written:upto], written, rate)
                written = max(written, min(upto, len(audio)))
        out.mux(video.encode(None))
        if audio is not None:
            _encode_sound(out, sound, audio[written:], written, rate)
            out.mux(sound.encode(None))


def _encode_sound(out: Any, stream: Any, samples: np.ndarray, start: int, rate: int) -> None:
    if len(samples):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        out.mux(stream.encode(frame))


# ------------------------------------------------------------------------------------------------------ sound


def _time_zero(path: str | Path) -> float | None:
    """Return the timestamp of the first video frame in seconds, or None without a video stream."""
    with _opened(path) as container:
        if not container.streams.video:
            return None
        stream = container.streams.video[0]
        for time, _, _ in timed(_decoded(container, stream, path), 25):
            return time
    return None


def read_audio(path: str | Path, rate: int = 16_000) -> np.ndarray:
    """Return a file's sound as mono at `rate` Hz, on the clock of its picture.

    Sample 0 is at the first video frame (at the first sample where there is no picture): sound that starts later is
    preceded by silence, sound that starts earlier is cut, holes are filled with silence.

    Returns
    -------
    (N,) float32, nominally in [-1, 1]; channels are averaged

    Raises
    ------
    TalkmeshError
        If the file cannot be read, has no sound, or not one sample of it can be decoded.
    """
    zero = _time_zero(path)
    chunks: list[np.ndarray] = []
    length = 0

    def add(frames: list[Any]) -> None:
        nonlocal length
        for out in frames:
            chunks.append(out.to_ndarray().mean(0, dtype=np.float32))
            length += len(chunks[-1])

    with _opened(path) as container:
        if not container.streams.audio:
            raise TalkmeshError(f"{path} has no sound")
        resampler = av.AudioResampler(format="fltp", rate=rate)
        early = 0
        for frame in _decoded(container, container.streams.audio[0], path):
            if frame.pts is not None:
                time = float(frame.pts * frame.time_base)
                zero = time if zero is None else zero
                missing = round((time - zero) * rate) + early - length
                if not chunks:
                    early = max(0, -missing)
                if missing > (SOUND_GAP_S * rate if chunks else 0):
                    chunks.append(np.zeros(missing, np.float32))
                    length += missing
            frame.pts = None
            try:
                add(resampler.resample(frame))
            except (ValueError, av.error.FFmpegError):
                raise TalkmeshError(
                    f"{path}: the sound changes its format midway; convert it first"
                ) from None
        if chunks:
            add(resampler.resample(None))
    if not chunks:
        raise TalkmeshError(f"{path}: not one sample of the sound can be decoded; the file is damaged")
    return np.concatenate(chunks)[early:]
