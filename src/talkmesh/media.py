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
from typing import Any, TypeVar

import av
import av.error
import av.filter
import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing

log = logging.getLogger(__name__)
T = TypeVar("T")

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


def constant_rate(frames: Iterable[tuple[float, float, T]], fps: float) -> Iterator[T]:
    """Choose, for each moment k / fps after the first frame, the frame nearest in time.

    Parameters
    ----------
    frames : (time, duration, frame), seconds; frames whose time does not advance are passed over
    fps : frames a second

    Yields
    ------
    frame, as often as it is needed; the last one is held for its duration
    """
    start = previous_time = previous_duration = 0.0
    previous: T | None = None
    k = 0
    for time, duration, frame in frames:
        if previous is None:
            start = time
        elif time <= previous_time:
            continue
        else:
            while start + k / fps <= (previous_time + time) / 2:
                yield previous
                k += 1
            duration = duration or time - previous_time
        previous, previous_time, previous_duration = frame, time, duration
    if previous is not None:
        count = max(1, round((previous_time + previous_duration - start) * fps))
        while k < count:
            yield previous
            k += 1


def _timed(frames: Iterable[Any], rate: float) -> Iterator[tuple[float, float, Any]]:
    """Add time and duration in seconds to decoded frames; a frame without a timestamp follows the one before."""
    time = None
    for frame in frames:
        duration = float(frame.duration * frame.time_base) if frame.duration else 1 / rate
        if frame.pts is not None:
            time = float(frame.pts * frame.time_base)
        else:
            time = 0.0 if time is None else time + 1 / rate
        yield time, duration, frame


def _upright(frames: Iterator[Any], stream: Any) -> Iterator[Any]:
    """Turn frames as their metadata ask (phones), weave interlaced fields out, and make pixels square.

    Frames that need none of it, the usual case, pass through untouched.
    """
    first = next(frames, None)
    if first is None:
        return
    frames = itertools.chain([first], frames)
    aspect = stream.sample_aspect_ratio or 1
    turn = {90: "transpose=cclock", -90: "transpose=clock", 180: "hflip,vflip", -180: "hflip,vflip"}
    filters = [
        "yadif=deint=interlaced" if first.interlaced_frame else "",
        f"scale=2*trunc(iw*{float(aspect)}/2+0.5):ih,setsar=1" if aspect != 1 else "",
        turn.get(round(first.rotation), ""),
    ]
    chain = ",".join(f for f in filters if f)
    if not chain:
        yield from frames
        return
    graph = av.filter.Graph()
    nodes = [graph.add_buffer(template=stream)]
    for part in chain.split(","):
        name, _, arguments = part.partition("=")
        nodes.append(graph.add(name, arguments))
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes).configure()
    for frame in itertools.chain(frames, [None]):
        graph.push(frame)
        try:
            while True:
                yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            continue


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
        frames = _upright(_decoded(container, stream, path), stream)
        for frame in constant_rate(_timed(frames, rate), fps):
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

    The pixel format is kept where x264 has it and the size allows, so that frames decode bit-identical; others
    become 4:4:4. Without frames no file is written. Equal frames give equal bytes.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        return 0
    pixels = first.format.name
    encoder = "libx264rgb" if pixels in ("rgb24", "bgr24", "bgr0") else "libx264"
    offered = {f.name for f in av.Codec(encoder, "w").video_formats or ()}
    whole = not ((first.width | first.height) % 2 and pixels not in ("gray", "yuv444p", "yuvj444p"))
    if pixels not in offered or (encoder == "libx264" and not whole):
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
        video: Any = out.add_stream("libx264", rate=_rational(fps), options={"crf": str(crf)})
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
        for time, _, _ in _timed(_decoded(container, stream, path), 25):
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
