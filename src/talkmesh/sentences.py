"""Where sentences end: stretches of speech, and the borders of clips between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from talkmesh.silence import HOP_S, loudness


@dataclass(frozen=True)
class Span:
    """A stretch of speech in seconds: a word, a sentence or what a voice detector heard (without text).

    ends : a sentence ends here, however short the pause after it
    """

    start_s: float
    end_s: float
    text: str = ""
    ends: bool = False


@dataclass(frozen=True)
class Lengths:
    """whole_below_s : what is shorter is one clip; min_clip_s, max_clip_s : lengths of the clips of what is longer;
    pause_s : shortest pause at which a clip ends."""

    whole_below_s: float
    min_clip_s: float
    max_clip_s: float
    pause_s: float


def pauses(spans: list[Span], start_s: float, end_s: float) -> list[tuple[float, float, bool]]:
    """Return (middle, length, a sentence ends) of the pauses between spans, in order, from start to end."""
    found = []
    last, ends = -np.inf, False
    for span in sorted(spans, key=lambda s: s.start_s):
        middle = (last + span.start_s) / 2
        if span.start_s >= last and start_s < middle < end_s:
            found.append((middle, span.start_s - last, ends))
        if span.end_s >= last:
            last, ends = span.end_s, span.ends
    return found


def borders(
    start_s: float,
    end_s: float,
    spans: list[Span],
    sound: Callable[[float, float], np.ndarray],
    want: Lengths,
) -> list[float]:
    """Return the borders of the clips of one shot in seconds, its start first and its end last.

    A shot shorter than `want.whole_below_s` is one clip. Others are cut in the middle of every pause of `want.pause_s`
    and after every sentence; a piece shorter than `want.min_clip_s` is joined to the neighbour across the shorter
    pause; a piece longer than `want.max_clip_s` is cut in the longest of its shorter pauses, or at its quietest moment
    if it has none.

    Parameters
    ----------
    spans : the speech of the recording
    sound : returns the samples (N,) at `SAMPLE_RATE` between two times; asked for no more than `want.max_clip_s`
    """
    if end_s - start_s < want.whole_below_s:
        return [start_s, end_s]
    all_pauses = pauses(spans, start_s, end_s)
    length = {
        middle: seconds for middle, seconds, ends in all_pauses if ends or seconds >= want.pause_s - 1e-9
    }
    cuts = [start_s, *length, end_s]
    while len(cuts) > 2 and min(short := np.diff(cuts)) < want.min_clip_s:
        i = int(np.argmin(short))
        inner = [k for k in (i, i + 1) if 0 < k < len(cuts) - 1]
        del cuts[min(inner, key=lambda k: length[cuts[k]])]
    result = [start_s]
    for low, high in itertools.pairwise(cuts):
        while high - low > want.max_clip_s:
            first, last = low + want.min_clip_s, min(low + want.max_clip_s, high - want.min_clip_s)
            inside = [(seconds, middle) for middle, seconds, _ in all_pauses if first <= middle <= last]
            low = max(inside)[1] if inside else first + quietest(sound(first, last))
            result.append(low)
        result.append(high)
    return result


def quietest(sound: np.ndarray) -> float:
    """Return the moment in seconds at which samples (N,) are quietest: a syllable's dip, not a glottal pulse's."""
    level = loudness(sound)
    width = 15
    if len(level) <= width:
        return len(level) / 2 * HOP_S
    smooth = np.convolve(level, np.ones(width) / width, mode="valid")
    return (int(np.argmin(smooth)) + width / 2) * HOP_S


def text_between(spans: list[Span], start_s: float, end_s: float) -> str:
    """Return the words of the spans whose middle lies between two times, as one line."""
    words = [s.text for s in spans if start_s <= (s.start_s + s.end_s) / 2 < end_s]
    return " ".join(" ".join(words).split())
