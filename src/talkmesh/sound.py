"""The sound of a recording as one channel on the clock of its picture, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.streams import chosen, decoded, opened
from talkmesh.timing import timed

# A jump of the timestamps above this is a hole in the recording and is filled with silence, so that what follows
# stays in step with the picture; containers round timestamps by less.
GAP_S = 0.1
LONGEST_HOLE_S = 600.0  # of all holes together
SLOWEST, FASTEST = 2_000, 1_000_000  # Hz; a header that says less or more is damaged
# Film sound: dialogue is in the centre, so it weighs twice as much as left and right; what surrounds is left out.
FRONT = {"FC": 0.5, "FL": 0.25, "FR": 0.25}
# What is never speech: the bass channel.
BASS = ("LFE", "LFE2")
USUAL = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")  # of 1, 2, ... channels


def downmix(channels: tuple[str, ...]) -> np.ndarray:
    """Return the weight (C,) of each channel, by name as FFmpeg has them, in one channel of speech; their sum is 1.

    With a centre it is that and the front; otherwise left and right are averaged, or all but the bass.
    """
    if {"FL", "FR"} <= set(channels):
        weights = np.array([FRONT.get(name, 0.0) for name in channels])
    else:
        weights = np.array([float(name not in BASS) for name in channels])
    if not weights.any():
        weights = np.ones(len(channels))
    return weights / weights.sum()


def names(layout: Any) -> tuple[str, ...]:
    """Return the names of the channels of a PyAV layout; where the file does not say, those that FFmpeg assumes."""
    count = layout.nb_channels
    if layout.name.endswith("channels"):
        if count > len(USUAL):
            return ("",) * count
        layout = av.AudioLayout(USUAL[count - 1])
    return tuple(channel.name for channel in layout.channels)


def _time_zero(path: str | Path) -> float | None:
    """Return the timestamp of the first video frame in seconds, or None without a picture."""
    with opened(path) as container:
        stream = chosen(container, "video")
        if stream is not None:
            for time, _, _ in timed(decoded(container, stream, path), 25):
                return time
    return None


def sound_chunks(path: str | Path, rate: int) -> Iterator[np.ndarray]:
    """Yield the sound that `read_audio` returns, piece by piece: memory does not grow with its length."""
    zero = _time_zero(path)
    with opened(path) as container:
        stream = chosen(container, "audio")
        if stream is None:
            raise TalkmeshError(f"{path} has no sound")
        length = early = filled = 0  # samples so far; those before the picture; those of silence
        begun = False
        for samples, time in _resampled(container, stream, path, rate):
            if time is not None:
                zero = time if zero is None else zero
                missing = round((time - zero) * rate) + early - length
                if not begun:
                    early = max(0, -missing)
                if missing + filled > LONGEST_HOLE_S * rate:
                    raise TalkmeshError(
                        f"{path}: the timestamps of the sound jump by {missing / rate:.0f} s; repair it first "
                        "(ffmpeg -i IN -c copy OUT)"
                    )
                if missing > (GAP_S * rate if begun else 0):
                    yield from _after(early, length, np.zeros(missing, np.float32))
                    length, filled = length + missing, filled + missing
            begun = True
            yield from _after(early, length, samples)
            length += len(samples)
        if not length:
            raise TalkmeshError(f"{path}: not one sample of the sound can be decoded; the file is damaged")


def _after(early: int, position: int, samples: np.ndarray) -> Iterator[np.ndarray]:
    """Yield what of samples (N,) at `position` does not lie before `early`."""
    kept = samples[max(0, early - position) :]
    if len(kept):
        yield kept


def _resampled(
    container: Any, stream: Any, path: str | Path, rate: int
) -> Iterator[tuple[np.ndarray, float | None]]:
    """Yield one channel (N,) float32 at `rate`, with the time at which the piece that was decoded begins."""
    resampler: Any = None
    form, weights = None, np.ones(1)
    for frame in decoded(container, stream, path):
        time = None if frame.pts is None else float(frame.pts * frame.time_base)
        if form != (frame.format.name, frame.layout.name, frame.sample_rate):  # broadcasts change it midway
            if resampler is not None:
                for out in resampler.resample(None):
                    yield _mixed(out, weights), None
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if not SLOWEST <= frame.sample_rate <= FASTEST:
                raise TalkmeshError(
                    f"{path}: {frame.sample_rate} samples a second cannot be: its header is damaged"
                )
            weights = downmix(names(frame.layout))
            resampler = av.AudioResampler(format="flt", rate=rate)  # PyAV crashes on 8 planes
        frame.pts = None
        try:
            pieces = resampler.resample(frame)
        except (ValueError, av.error.FFmpegError) as error:
            raise TalkmeshError(f"{path}: the sound cannot be converted ({error})") from None
        for out in pieces:
            yield _mixed(out, weights), time
            time = None
        if not pieces:
            yield np.zeros(0, np.float32), time
    if resampler is not None:
        for out in resampler.resample(None):
            yield _mixed(out, weights), None


def _mixed(frame: Any, weights: np.ndarray) -> np.ndarray:
    samples = frame.to_ndarray().reshape(-1, len(weights))
    mixed = np.zeros(len(samples), np.float32)
    for channel in np.flatnonzero(weights):
        mixed += np.float32(weights[channel]) * samples[:, channel]
    return mixed


def read_audio(path: str | Path, rate: int = 16_000) -> np.ndarray:
    """Return a file's sound as mono at `rate` Hz, on the clock of its picture.

    Sample 0 is at the first video frame (at the first sample where there is no picture): sound that starts later is
    preceded by silence, sound that starts earlier is cut, holes are filled with silence.

    Returns
    -------
    (N,) float32, nominally in [-1, 1]; channels as in `downmix`

    Raises
    ------
    TalkmeshError
        If the file cannot be read, has no sound, or not one sample of it can be decoded.
    """
    return np.concatenate([np.zeros(0, np.float32), *sound_chunks(path, rate)])
