"""The voice and when it says what. The independent reference for timing is the sound itself."""

# ruff: noqa: RUF001

import sys

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from talkmesh.errors import TalkmeshError
from talkmesh.sample.coarticulation import CONSONANTS, VOWELS
from talkmesh.sample.sentences import TEST, TRAIN
from talkmesh.sample.voice import DELAY_S, Voice, phones, with_pause


@pytest.fixture(scope="module")
def voice():
    pytest.importorskip("hibari")
    pytest.importorskip("onnx")
    return Voice(1.1)


@pytest.fixture(scope="module")
def speeches(voice):
    return [voice(text, seed=i) for i, text in enumerate(TRAIN[:60] + TEST)]


def test_phones_follow_each_other_and_last_as_long_as_the_sound(speeches):
    for speech in speeches:
        starts = np.array([p.start_s for p in speech.phones])
        ends = np.array([p.end_s for p in speech.phones])
        np.testing.assert_allclose(starts[1:], ends[:-1])
        assert (ends > starts).all()
        assert starts[0] == 0
        assert ends[-1] == pytest.approx(len(speech.sound) / speech.rate, abs=1e-9)


def test_sentences_begin_and_end_in_silence(speeches):
    for speech in speeches:
        loud = np.abs(speech.sound).max()
        for phone, least in ((speech.phones[0], 0.2), (speech.phones[-1], 0.15)):
            assert phone.symbol == ""
            assert phone.end_s - phone.start_s >= least
        assert np.abs(speech.sound[: int(0.15 * speech.rate)]).max() < 0.05 * loud


def test_vowels_are_louder_than_stops_at_their_times(speeches):
    """The labels are aligned: shifted by 75 ms either way they tell loud from quiet less well."""

    def contrast(shift: float) -> float:
        levels: dict[bool, list[float]] = {True: [], False: []}
        for speech in speeches:
            power = uniform_filter1d(speech.sound.astype(float) ** 2, 240)
            for phone in speech.phones[1:-1]:
                at = int(((phone.start_s + phone.end_s) / 2 + shift) * speech.rate)
                if phone.symbol in VOWELS or phone.symbol in set("pbtdkɡ"):
                    levels[phone.symbol in VOWELS].append(10 * np.log10(power[at] + 1e-7))
        return float(np.mean(levels[True]) - np.mean(levels[False]))

    assert contrast(0) > 6  # dB
    assert contrast(0) > max(contrast(-0.075), contrast(0.075))


def test_every_symbol_has_an_articulation_and_each_split_covers_all_classes(speeches):
    symbols = [[p.symbol for p in s.phones if p.symbol] for s in speeches]
    known = set(CONSONANTS) | set(VOWELS)
    assert {s for text in symbols for s in text} <= known
    classes = [
        set(c) for c in ("pbm", "fv", "θð", "td", "sz", "ʃʒ", "ʧʤ", "kɡ", "n", "ŋ", "l", "ɹ", "w", "j", "h")
    ]
    classes += [{v} for v in "ɑæʌəɛɪiɔɜʊuAIOWY"]
    for split, least in ((symbols[:60], 3), (symbols[60:], 1)):
        said = [s for text in split for s in text]
        for group in classes:
            assert sum(s in group for s in said) >= least, group


def test_the_same_seed_gives_the_same_sound(voice):
    first, again, other = voice(TEST[0], 1), voice(TEST[0], 1), voice(TEST[0], 2)
    np.testing.assert_array_equal(first.sound, again.sound)
    assert first.phones == again.phones == other.phones
    assert not np.array_equal(first.sound, other.sound)


def test_a_pause_fills_whole_frames(speeches):
    longer = with_pause(speeches[0], 0.15, 25)
    frames = len(longer.sound) / longer.rate * 25
    assert frames == pytest.approx(round(frames), abs=1e-3)
    assert len(longer.sound) - len(speeches[0].sound) >= 0.15 * longer.rate
    assert longer.phones[-1].end_s == pytest.approx(len(longer.sound) / longer.rate)


def test_stress_marks_lengthen_the_vowel_and_blanks_are_shared():
    said = phones(["", "b", "ˈ", "i", " ", "k", ".", ""], np.array([8, 2, 1, 3, 2, 2, 4, 2]))
    assert [(p.symbol, p.stress) for p in said] == [("", 0), ("b", 0), ("i", 2), ("k", 0), ("", 0)]
    np.testing.assert_allclose([p.start_s for p in said[1:]], np.array([8, 10, 15, 18]) * 0.025 - DELAY_S)
    assert said[-1].end_s == pytest.approx(24 * 0.025)


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(TalkmeshError, match=r"'hibari'.*uv pip install talkmesh\[sample\]"):
        Voice()
