"""The comparison of voice detectors: what is found and what is cut, on words at known times."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import vad
from talkmesh.contracts import SAMPLE_RATE
from talkmesh.errors import TalkmeshError
from talkmesh.sentences import Span


def tone(spans: list[tuple[float, float]], seconds: float) -> np.ndarray:
    """Sound (S,) float32 that is loud in the given spans and still elsewhere."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    loud = sum(((a <= t) & (t < b)).astype(float) for a, b in spans)
    return (0.3 * loud * np.sin(2 * np.pi * 300 * t) + 1e-5 * np.sin(2 * np.pi * 50 * t)).astype(np.float32)


WORDS = [(0.5, 1.0), (1.1, 1.6)]


@pytest.fixture
def long() -> vad.Long:
    """Three sentences of two words each, two seconds long."""
    words = [Span(a, b, "x") for a, b in WORDS]
    return vad.join([(tone(WORDS, 2.0), words)] * 3)


def test_joined_words_keep_their_times(long: vad.Long) -> None:
    assert len(long.audio) == 6 * SAMPLE_RATE
    assert [w.start_s for w in long.words] == pytest.approx([0.5, 1.1, 2.5, 3.1, 4.5, 5.1])
    np.testing.assert_allclose(long.sentences, [(0.5, 1.6), (2.5, 3.6), (4.5, 5.6)])


def test_a_perfect_detector_is_perfect_and_a_deaf_one_finds_nothing(long: vad.Long) -> None:
    off, count, cut = vad.judge(long, long.words, 0.3)
    assert (count, cut) == (2, 0)
    assert off == pytest.approx([0] * 4)
    assert vad.judge(long, [Span(0, 6)], 0.3) == ([], 2, 0)
    assert vad.judge(long, [], 0.3)[0] == []


def test_late_edges_and_words_that_are_cut_are_counted(long: vad.Long) -> None:
    late = [Span(w.start_s + 0.05, w.end_s + 0.05) for w in long.words]
    off, _, cut = vad.judge(long, late, 0.3)
    assert off == pytest.approx([0.05] * 4)
    assert cut == 0
    deaf_inside = [Span(0.5, 0.6), Span(0.95, 1.6), *long.words[2:]]  # a pause of 0.35 s in the first word
    off, count, cut = vad.judge(long, deaf_inside, 0.3)
    assert (len(off) / 2, count, cut) == (2, 2, 1)


def test_the_energy_rule_hears_what_is_loud_and_room_noise_deceives_it(long: vad.Long) -> None:
    heard = vad.energy(long.audio)
    np.testing.assert_allclose(
        [(s.start_s, s.end_s) for s in heard], [(w.start_s, w.end_s) for w in long.words], atol=0.03
    )
    found = vad.figures([long], {"energy": vad.energy}, 0.3)
    assert found["energy_as_is_found"] == found["energy_quieter_40db_found"] == 1
    assert found["energy_as_is_edges_ms"] < 30
    assert found["energy_noise_10db_found"] == 0
    assert (found["pauses"], found["words"]) == (2, 6)


def test_noise_is_as_loud_as_it_says(long: vad.Long) -> None:
    noise = vad.with_noise(long, 20.0) - long.audio
    spoken = 0.3**2 / 2
    assert 10 * np.log10(spoken / np.mean(noise.astype(float) ** 2)) == pytest.approx(20, abs=0.1)


def test_runs_close_short_gaps_and_pass_over_clicks() -> None:
    heard = np.zeros(100, bool)
    heard[10:30] = heard[33:50] = True  # a gap of 30 ms
    heard[70:73] = True  # 30 ms
    (span,) = vad.runs(heard, 0.01)
    assert (span.start_s, span.end_s) == pytest.approx((0.1, 0.5))
    assert vad.runs(np.zeros(5, bool), 0.01) == []


def test_webrtc_if_it_is_there(long: vad.Long, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(TalkmeshError, match="pip install webrtcvad-wheels"):
        vad.webrtc(long.audio)
    monkeypatch.undo()
    pytest.importorskip("webrtcvad")
    assert vad.webrtc(np.zeros(SAMPLE_RATE, np.float32)) == []


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TalkmeshError, match="needs video/ and align/"):
        vad.read_corpus(tmp_path, 10)
