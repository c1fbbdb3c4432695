"""The sentences: distinct, of the right length, none in both splits."""

import re

import pytest

from talkmesh.sample.sentences import TEST, TRAIN, number


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def test_there_are_as_many_as_in_the_paper():
    assert (len(TRAIN), len(TEST)) == (128, 20)
    assert len({" ".join(words(s)) for s in TRAIN + TEST}) == 148


@pytest.mark.parametrize("text", TRAIN + TEST)
def test_a_sentence_has_six_to_twelve_words(text):
    assert 6 <= len(words(text)) <= 12
    assert text[-1] in ".?!"


def test_no_test_sentence_resembles_a_training_sentence():
    for test in map(set, map(words, TEST)):
        for train in map(set, map(words, TRAIN)):
            assert len(test & train) / len(test | train) < 0.3, (test, train)


def test_a_sentence_keeps_its_number():
    assert [number(s) for s in (TRAIN[0], TRAIN[127], TEST[0])] == [0, 127, 128]
