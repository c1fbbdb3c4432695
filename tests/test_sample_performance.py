"""The motion, and the difficulty of the built-in benchmark: what DESIGN.md fixes is asserted on the whole corpus."""

# ruff: noqa: RUF001

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from talkmesh.params import read, section
from talkmesh.sample.coarticulation import VOWELS, articulate
from talkmesh.sample.corpus import SampleConfig, act, plan
from talkmesh.sample.performance import ARKIT
from talkmesh.sample.voice import Phone, Voice

PARAMS = Path(__file__).parents[1] / "params.yaml"


@pytest.fixture(scope="module")
def rig():
    """The character of the default parameters."""
    pytest.importorskip("anny")
    from talkmesh.params import build
    from talkmesh.rig import anny

    values = read(PARAMS)["rig"]
    return anny.load(build(anny.Identity, values["identity"], "rig"), build(anny.Look, values["look"], "rig"))


@pytest.fixture(scope="module")
def corpus(rig):
    """The default corpus without its pictures; lips : (T, L, 3) mm on the character of every recording."""
    pytest.importorskip("hibari")
    config = section(SampleConfig, "sample", path=PARAMS)
    voice = Voice(config.speed)
    acted = [act(config, voice, r) for r in plan(config)]
    deltas = rig.deltas[[rig.names.index(n) for n in ARKIT]][:, rig.lips]
    moved = [np.einsum("tk,klx->tlx", p.weights, deltas) for _, p in acted]
    return SimpleNamespace(
        config=config,
        voice=voice,
        speeches=[s for s, _ in acted],
        performances=[p for _, p in acted],
        weights=np.concatenate([p.weights for _, p in acted]),
        moved=moved,
    )


def of(weights: np.ndarray, *names: str) -> np.ndarray:
    return weights[:, [ARKIT.index(n) for n in names]]


def sampled(corpus, symbols: str) -> np.ndarray:
    """Return the frame numbers, over the whole corpus, nearest to the middles of phones."""
    frames, start = [], 0
    for speech, performance in zip(corpus.speeches, corpus.performances, strict=True):
        for p in speech.phones:
            if p.symbol and p.symbol in symbols and p.end_s - p.start_s >= 0.05:
                frames.append(start + round((p.start_s + p.end_s) / 2 * corpus.config.fps))
        start += len(performance.weights)
    return np.array(frames)


# ------------------------------------------------------------------------------------------------- difficulty


def test_enough_test_sentences(corpus):
    splits = [r.split for r in plan(corpus.config)]
    assert splits.count("test") >= 20
    assert splits.count("train") >= 60


def test_four_to_six_syllables_a_second(corpus):
    rates = []
    for speech in corpus.speeches:
        said = [p for p in speech.phones if p.symbol]
        length = sum(p.end_s - p.start_s for p in said)
        rates.append(sum(p.symbol in VOWELS for p in said) / length)
    assert 4 <= np.mean(rates) <= 6
    assert min(rates) >= 3.4
    assert max(rates) <= 7


def test_a_still_face_is_at_least_3_mm_wrong(corpus):
    errors = np.concatenate([np.linalg.norm(m, axis=-1).max(1) for m in corpus.moved])
    assert errors.mean() >= 3.0
    assert errors.mean() <= 8.0  # and nobody gapes
    assert np.percentile(errors, 99) <= 20


def test_the_head_turns_and_drifts(corpus):
    rotation = np.concatenate([p.head.rotation for p in corpus.performances])
    position = np.concatenate([p.head.position for p in corpus.performances])
    assert (rotation.std(0) >= 2.0).all()
    assert (np.abs(rotation) < 20).all()
    assert (position.std(0) >= 2.0).all()
    drift = [np.ptp(p.head.position, axis=0) for p in corpus.performances]
    assert (np.mean(drift, 0) >= 2.0).all()  # also within a recording
    jerk = np.abs(np.diff(corpus.performances[0].head.rotation, axis=0))
    assert jerk.max() < 3  # degrees a frame


def test_eyes_blink_at_a_human_rate(corpus):
    minutes = len(corpus.weights) / corpus.config.fps / 60
    shut = of(corpus.weights, "eyeBlinkLeft")[:, 0] > 0.5
    count = int((np.diff(shut.astype(int)) == 1).sum())
    assert 10 <= count / minutes <= 24
    assert of(corpus.weights, "eyeBlinkLeft").max() > 0.95
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, shut, 0])))[::2] / corpus.config.fps
    assert np.median(runs) <= 0.3


def test_brows_move(corpus):
    raised = of(corpus.weights, "browInnerUp", "browOuterUpLeft", "browOuterUpRight")
    assert (raised.std(0) > 0.05).all()
    assert (np.ptp(raised, axis=0) > 0.3).all()


def test_a_consonant_depends_on_the_vowel_after_it():
    def rounding(vowel: str) -> float:
        said = [Phone("", 0, 0.3), Phone("t", 0.3, 0.38), Phone(vowel, 0.38, 0.55), Phone("", 0.55, 0.9)]
        times = np.arange(0, 0.9, 0.005)
        return float(articulate(said, np.ones(4), times)["pucker"][np.searchsorted(times, 0.34)])

    assert rounding("u") > 0.2
    assert rounding("u") > 4 * rounding("i")


# ------------------------------------------------------------------------------------------------ articulation


def gap(rig, moved: np.ndarray) -> np.ndarray:
    """Return by how much the middle of the lips opens (T,), mm."""
    place = rig.neutral[rig.lips]
    middle = np.abs(place[:, 0]) < 4
    front = place[:, 2] > place[middle][:, 2].max() - 12
    height = np.where(middle & front, place[:, 1], np.nan)
    upper, lower = np.nanargmax(height), np.nanargmin(height)
    return moved[:, upper, 1] - moved[:, lower, 1]


def width(rig, moved: np.ndarray) -> np.ndarray:
    place = rig.neutral[rig.lips, 0]
    return moved[:, place.argmax(), 0] - moved[:, place.argmin(), 0]


def test_lips_close_at_every_bilabial(corpus):
    """Also those too short to have a frame of their own at 25 frames a second: seen at 200."""
    for speech in corpus.speeches:
        times = np.arange(0, speech.phones[-1].end_s, 0.005)
        close = articulate(speech.phones, np.ones(len(speech.phones)), times)["close"]
        for p in speech.phones:
            if p.symbol and p.symbol in "pbm":
                assert close[(times >= p.start_s) & (times <= p.end_s)].max() > 0.97, p


def test_lips_touch_on_the_character_too(corpus, rig):
    opening = gap(rig, np.concatenate(corpus.moved))
    closed, open_ = opening[sampled(corpus, "pbm")], opening[sampled(corpus, "ɑæ")]
    assert np.percentile(closed, 95) < 0.5  # mm more than at rest
    assert np.median(open_) > 6
    assert of(corpus.weights[sampled(corpus, "pbm")], "mouthClose", "jawOpen").min() >= 0


def test_lips_round_spread_and_tuck(corpus, rig):
    wide = width(rig, np.concatenate(corpus.moved))
    assert np.median(wide[sampled(corpus, "uw")]) < -3
    assert np.median(wide[sampled(corpus, "i")]) > 1.5
    tuck = of(corpus.weights, "mouthRollLower")[:, 0]
    assert np.median(tuck[sampled(corpus, "fv")]) > 0.35
    assert np.median(tuck[sampled(corpus, "ɑæiu")]) < 0.1


def test_every_sentence_begins_near_and_ends_at_the_resting_face(corpus):
    """Near: lips round for a first /w/ a quarter of a second before it sounds."""
    mouth = [i for i, n in enumerate(ARKIT) if n.startswith(("jaw", "mouth", "tongue"))]
    for performance, moved in zip(corpus.performances, corpus.moved, strict=True):
        first, last = (np.linalg.norm(moved[i], axis=-1).max() for i in (0, -1))  # mm
        assert first < 2.0
        assert last < 1.0
        assert performance.weights[-1, mouth].max() < 0.08


def test_weights_are_valid_and_lively(corpus):
    assert corpus.weights.shape[1] == 52
    assert len(set(ARKIT)) == 52
    assert corpus.weights.dtype == np.float32
    assert ((corpus.weights >= 0) & (corpus.weights <= 1)).all()
    left, right = (of(corpus.weights, f"mouthLowerDown{s}")[:, 0] for s in ("Left", "Right"))
    assert 0.01 < np.abs(left - right).max() < 0.2  # nobody is quite symmetric


def test_the_same_seed_moves_alike_and_another_does_not(corpus):
    recording = plan(corpus.config)[3]
    again = act(corpus.config, corpus.voice, recording)[1]
    np.testing.assert_array_equal(again.weights, corpus.performances[3].weights)
    np.testing.assert_array_equal(again.head.rotation, corpus.performances[3].head.rotation)
    from dataclasses import replace

    other = act(corpus.config, corpus.voice, replace(recording, seed=(8, recording.seed[1])))[1]
    assert np.abs(other.weights - again.weights).max() > 0.01
