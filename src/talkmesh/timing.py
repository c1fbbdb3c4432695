"""Which video frame is shown when: constant rate by timestamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from talkmesh.errors import TalkmeshError

T = TypeVar("T")
SLOWEST, FASTEST = 0.01, 10_000.0  # frames a second; beyond, a file is broken


def rate_of(value: Any, path: str | Path) -> float:
    """Return what the file `path` says of its frames a second; anything but one sensible number is an error."""
    number = np.asarray(value)
    if number.size != 1 or number.dtype.kind not in "iuf" or not SLOWEST <= float(number.item()) <= FASTEST:
        raise TalkmeshError(
            f"{path}: fps must be one number of {SLOWEST} to {FASTEST:.0f}; got {number.ravel()[:3]}"
        )
    return float(number.item())


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


def timed(frames: Iterable[Any], rate: float) -> Iterator[tuple[float, float, Any]]:
    """Add time and duration in seconds to decoded frames; a frame without a timestamp follows the one before."""
    step, time = 1 / rate, -1 / rate
    for frame in frames:
        time = time + step if frame.pts is None else float(frame.pts * frame.time_base)
        yield time, float(frame.duration * frame.time_base) if frame.duration else step, frame
