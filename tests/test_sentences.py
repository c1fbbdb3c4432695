"""Borders between sentences: in pauses, never too short or too long, tiling each shot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkmesh.contracts import SAMPLE_RATE
from talkmesh.sentences import Lengths, Span, borders, quietest, text_between

WANT = Lengths(whole_below_s=4.0, min_clip_s=0.6, max_clip_s=3.0, pause_s=0.3)


def noise(spans: list[Span], length_s: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 1e-4, round(length_s * SAMPLE_RATE))
    for span in spans:
        part = slice(round(span.start_s * SAMPLE_RATE), round(span.end_s * SAMPLE_RATE))
        sound[part] += rng.normal(0, 0.1, len(sound[part]))
    return sound


def cut(spans: list[Span], end_s: float, want: Lengths = WANT, start_s: float = 0.0) -> list[float]:
    sound = noise(spans, end_s)

    def between(a: float, b: float) -> np.ndarray:
        assert b - a <= want.max_clip_s + 1e-6  # memory
        return sound[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)]

    return borders(start_s, end_s, spans, between, want)


def test_borders_are_in_the_middle_of_pauses() -> None:
    spans = [Span(0.1, 1.6), Span(2.2, 3.6), Span(3.7, 4.0), Span(4.6, 5.4)]
    assert cut(spans, 6.0) == pytest.approx([0, 1.9, 4.3, 6.0])
    assert cut(spans, 6.0, start_s=1.95) == pytest.approx([1.95, 4.3, 6.0])
    assert cut([*spans[1:], spans[0]], 6.0) == cut(spans, 6.0)


def test_a_sentence_ends_its_clip_however_short_the_pause() -> None:
    spans = [Span(0.1, 1.6, "a", True), Span(1.6, 3.6, "b"), Span(3.65, 4.5, "c")]
    assert cut(spans, 4.5) == pytest.approx([0, 1.6, 4.5])


def test_a_short_recording_is_whole_and_a_short_piece_is_joined_across_the_shorter_pause() -> None:
    assert cut([Span(0.1, 0.5), Span(1.0, 3.5)], 3.9) == [0.0, 3.9]
    # the middle word is too short to stand alone: 0.4 s of pause before it, 0.7 s after
    spans = [Span(0.0, 2.0), Span(2.4, 2.5), Span(3.2, 5.0)]
    assert cut(spans, 5.0, dataclasses.replace(WANT, min_clip_s=0.8)) == pytest.approx([0, 2.85, 5.0])


def test_a_long_piece_is_cut_in_its_longest_pause_or_where_it_is_quietest() -> None:
    spans = [Span(0.0, 1.0), Span(1.1, 2.2), Span(2.4, 4.5)]
    assert cut(spans, 4.5) == pytest.approx([0, 2.3, 4.5])
    heard = [Span(0.0, 4.5)]
    sound = noise([Span(0.0, 2.2), Span(2.3, 4.5)], 4.5)
    found = borders(
        0.0, 4.5, heard, lambda a, b: sound[round(a * SAMPLE_RATE) : round(b * SAMPLE_RATE)], WANT
    )
    assert found == pytest.approx([0, 2.25, 4.5], abs=0.03)


def test_words_inside_longer_spans_make_no_pause() -> None:
    spans = [Span(0.0, 4.4), Span(1.0, 1.2), Span(2.0, 2.1), Span(5.0, 6.0)]
    assert 4.7 in [pytest.approx(t) for t in cut(spans, 6.0, dataclasses.replace(WANT, max_clip_s=5.0))]
    assert len(cut(spans, 6.0, dataclasses.replace(WANT, max_clip_s=5.0))) == 3


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0.05, 4), st.floats(0.02, 2), st.booleans()), min_size=1, max_size=8),
    st.floats(0, 3),
)
def test_clips_tile_and_keep_to_their_lengths(runs: list[tuple[float, float, bool]], start: float) -> None:
    spans, at = [], 0.0
    for talk, rest, ends in runs:
        spans.append(Span(at, at + talk, ends=ends))
        at += talk + rest
    end = max(at, start + 0.1)
    cuts = cut(spans, end, start_s=start)
    assert (cuts[0], cuts[-1]) == (start, end)
    lengths = np.diff(cuts)
    if end - start >= WANT.whole_below_s:
        assert lengths.min() >= WANT.min_clip_s - 1e-6
        assert lengths.max() <= WANT.max_clip_s + 1e-6
    else:
        assert len(lengths) == 1


def test_the_quietest_moment() -> None:
    sound = noise([Span(0, 0.8), Span(0.9, 2)], 2.0)
    assert quietest(sound) == pytest.approx(0.85, abs=0.03)
    assert 0 <= quietest(sound[:100]) <= 0.1


def test_text_goes_where_the_middle_of_its_span_is() -> None:
    spans = [Span(0, 1, "one"), Span(1, 2.4, "two\n three"), Span(2.4, 3, "four")]
    assert [text_between(spans, *t) for t in ((0, 1), (1, 2), (2, 3))] == ["one", "two three", "four"]
