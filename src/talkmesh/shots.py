"""Cuts inside a recording: where one shot ends and another begins."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

WIDTH, HEIGHT = 64, 48  # of the small pictures that are compared
AROUND = 4  # pictures to either side that a cut is judged by
# Measured on 60 GRID clips and 400 joins of two of them, the same face before the same wall: within a clip the
# difference is at most 0.03, at 399 of 400 joins more.
LEAST = 0.03  # difference, in standard deviations of a picture
TIMES = 3.2  # against the neighbours
RETURNED = 0.5  # pictures at most this share of the difference apart show the same shot


def _small(frame: Any, reformatter: VideoReformatter) -> np.ndarray:
    """Return a frame as a small grey picture of mean 0 and deviation 1, which a change of light hardly changes."""
    small = reformatter.reformat(frame, WIDTH, HEIGHT, "gray", interpolation="AREA", threads=1)
    grey = small.to_ndarray().astype(np.float32)
    return (grey - grey.mean()) / max(float(grey.std()), 4.0)


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


def is_cut(pictures: list[np.ndarray]) -> bool:
    """Say whether between the middle two of 2 * (AROUND + 1) small pictures there is a cut.

    The difference must stand out from those around it, all but the largest one of either side: fast motion has
    neighbours as large. And no picture of one side may resemble one of the other: a flash returns.
    """
    before, after = pictures[: AROUND + 1], pictures[AROUND + 1 :]
    jump = _difference(before[-1], after[0])
    if jump < LEAST:
        return False
    for side in (before, after):
        steps = sorted(_difference(a, b) for a, b in itertools.pairwise(side))
        if jump < TIMES * steps[-2]:
            return False
    return min(_difference(a, b) for a, b in itertools.product(before, after)) > RETURNED * jump


def cuts(frames: Iterable[Any]) -> Iterator[int]:
    """Yield the numbers of the frames that begin a new shot, in order; PyAV frames, of which a few are held.

    A frame that is the same object as the one before is a held one and not looked at. Another size is another shot.
    """
    window: deque[tuple[int, np.ndarray]] = deque(maxlen=2 * (AROUND + 1))
    size: tuple[int, int] | None = None
    previous, reformatter = None, VideoReformatter()

    def judged() -> Iterator[int]:
        if len(window) == window.maxlen and is_cut([picture for _, picture in window]):
            yield window[AROUND + 1][0]

    def ended() -> Iterator[int]:
        for _ in range(AROUND if window else 0):
            window.append((-1, window[-1][1]))
            yield from judged()

    for number, frame in enumerate(frames):
        if frame is previous:
            continue
        previous, picture = frame, _small(frame, reformatter)
        if size != (frame.width, frame.height):
            yield from ended()
            if size is not None:
                yield number
            size = (frame.width, frame.height)
            window.clear()
            window.extend([(number, picture)] * (AROUND + 1))
        else:
            window.append((number, picture))
            yield from judged()
    yield from ended()
