"""Video and sound in and out, by timestamps, through PyAV (whose wheel carries FFmpeg).

Time zero of a recording is the timestamp of its first video frame; sound is placed on the same clock
(`talkmesh.sound`, whose `read_audio` is found here as well).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from talkmesh.display import BT601, BT709, HIGH_DEFINITION, displayed
from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing
from talkmesh.sound import read_audio as read_audio
from talkmesh.streams import chosen, decoded, opened
from talkmesh.timing import constant_rate, timed


def nominal_duration(path: str | Path) -> float | None:
    """Return the length in seconds that the file's header claims, or None if it claims none."""
    with opened(path) as container:
        return None if container.duration is None else container.duration / av.time_base


# --------------------------------------------------------------------------------------------------- pictures


def video_frames(path: str | Path, fps: float) -> Iterator[Any]:
    """Yield PyAV frames of a video at a constant rate, by timestamps, as they are meant to be seen.

    The latter is `talkmesh.display`; what needs nothing of it keeps its own pixel format. The size may change where
    that of the recording does. Memory does not grow with the length of the video.

    Raises
    ------
    TalkmeshError
        If the file cannot be read, has no video stream, or not one frame of it can be decoded.
    """
    with opened(path) as container:
        stream = chosen(container, "video")
        if stream is None:
            raise TalkmeshError(f"{path} has no video stream")
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        empty = True
        frames = displayed(decoded(container, stream, path), stream)
        for frame in constant_rate(timed(frames, rate), fps):
            empty = False
            yield frame
        if empty:
            raise TalkmeshError(f"{path}: not one video frame can be decoded; the file is damaged")


def to_rgb(frame: Any) -> np.ndarray:
    """Return a PyAV frame as (H, W, 3) uint8 RGB."""
    return frame.to_ndarray(format="rgb24", threads=1)


def read_video(path: str | Path, fps: float) -> Iterator[np.ndarray]:
    """Yield frames (H, W, 3) uint8 RGB of a video at `fps`; see `video_frames`."""
    reformatter = VideoReformatter()  # one for all, in one thread: a tenth of the time of the default
    for frame in video_frames(path, fps):
        yield reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()


# One thread: the bytes would depend on the number of cores, and recordings are cut in parallel anyway.
LOSSLESS = {"qp": "0", "preset": "ultrafast", "threads": "1"}


def _rational(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)


def write_lossless(path: str | Path, frames: Iterable[Any], fps: float) -> int:
    """Write PyAV frames as lossless H.264 in Matroska at a constant rate; return how many there were.

    The pixel format is kept where x264 has it and the size allows, so that frames decode bit-identical; other YUV
    formats become 4:4:4 of 8 or 10 bit, grey and palettes RGB. Without frames no file is written. Equal frames give
    equal bytes.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        return 0
    pixels, encoder = first.format.name, "libx264"
    if first.format.is_rgb or pixels.startswith(("pal", "gray", "mono")):
        encoder = "libx264rgb"
    offered = {f.name for f in av.Codec(encoder, "w").video_formats or ()}
    halved = first.width % 2 or first.height % 2  # 4:2:0 and 4:2:2 need even sizes
    if encoder == "libx264rgb":
        pixels = pixels if pixels in offered else "rgb24"
    elif pixels not in offered or (halved and "444" not in pixels):
        pixels = "yuv444p10le" if first.format.components[0].bits > 8 else "yuv444p"
    rate, reformatter = _rational(fps), VideoReformatter()
    count = 0
    options = {"fflags": "+bitexact"}
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="matroska", options=options) as out,
    ):
        stream: Any = out.add_stream(encoder, rate=rate, options=LOSSLESS)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, pixels
        context = stream.codec_context
        context.flags |= av.codec.context.Flags.bitexact
        for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
            setattr(context, tag, getattr(first, tag))
        for frame in itertools.chain([first], frames):
            if (frame.width, frame.height) != (first.width, first.height) or frame.format.name != pixels:
                frame = reformatter.reformat(frame, first.width, first.height, pixels, threads=1)
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
        # without tags every reader guesses, most of them like this
        colours = BT709 if height >= HIGH_DEFINITION else BT601
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = colours
        context.color_range = ColorRange.MPEG
        matrix = Colorspace.ITU709 if colours == BT709 else Colorspace.ITU601
        reformatter = VideoReformatter()
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
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
            frame = reformatter.reformat(
                frame, format="yuv420p", dst_colorspace=matrix, dst_color_range=ColorRange.MPEG, threads=1
            )
            out.mux(video.encode(frame))
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
