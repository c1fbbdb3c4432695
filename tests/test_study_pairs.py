"""Who is compared, on which side, under which name, in which order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from studied import ALL
from talkmesh.errors import TalkmeshError
from talkmesh.study.design import Checks
from talkmesh.study.pairs import FILM, Group, Pair, anonymised, drawn, ordered

SIX = ("voca", "faceformer", "ground_truth", "voca_pseudo", "faceformer_pseudo", "pseudo")
CHECKS = Checks(still=4, max_wrong=0, repeats=4, min_consistent=0.25)


def group(
    sentences: int = 10, competitors: tuple[str, ...] = SIX, name: str = "filmed", film: bool = True
) -> Group:
    clips = {f"{name}_{i}": ALL if film else ALL[:2] for i in range(sentences)}
    return Group(name, clips, frozenset(clips) if film else frozenset(), competitors, "ground_truth")


def pairs(*groups: Group, seed: int = 0, checks: Checks = CHECKS) -> list[Pair]:
    return drawn(groups, "ours", checks, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_ten_sentences_and_six_comparisons_are_sixty_pairs_balanced_in_each_comparison(seed: int) -> None:
    found = [p for p in pairs(group(), seed=seed) if p.kind == "pair"]
    assert len(found) == 60
    assert Counter((p.clip, *sorted({p.left, p.right} - {"ours"})) for p in found).most_common(1)[0][1] == 1
    for other in SIX:
        sides = Counter(p.left == "ours" for p in found if other in (p.left, p.right))
        assert sides == {True: 5, False: 5}


def test_the_second_study_has_twenty_pairs() -> None:
    unseen = group(4, ("ground_truth", "faceformer", "voca"), "unseen", film=False)
    filmed = group(4, ("faceformer", "voca"))
    found = [p for p in pairs(unseen, filmed) if p.kind == "pair"]
    assert Counter(p.part for p in found) == {"unseen": 12, "filmed": 8}
    assert all((p.questions == ALL) == (p.part == "filmed") for p in found)


def test_an_odd_number_of_sentences_is_balanced_within_one_and_over_all() -> None:
    found = [p for p in pairs(group(7), checks=Checks(0, 0, 0, 0.0))]
    for other in SIX:
        assert sum(p.left == "ours" for p in found if other in (p.left, p.right)) in (3, 4)
    assert sum(p.left == "ours" for p in found) == len(found) // 2


def test_sides_are_random_by_seed() -> None:
    assert pairs(group(), seed=1) == pairs(group(), seed=1)
    assert pairs(group(), seed=1) != pairs(group(), seed=2)


def test_checks_stand_on_either_side_and_repeats_swap_sides() -> None:
    found = pairs(group(4, name="a"), group(4, name="b", film=False))
    still = [p for p in found if p.kind == "still"]
    assert Counter(p.left == "still" for p in still) == {True: 2, False: 2}
    assert Counter(p.part for p in still) == {"a": 2, "b": 2}
    again = [p for p in found if p.kind == "repeat"]
    assert len({p.repeats for p in again}) == 4
    for p in again:
        assert replace(p, kind="pair", left=p.right, right=p.left, repeats=-1) == found[p.repeats]
    with pytest.raises(TalkmeshError, match="only 6 pairs; lower it"):
        pairs(group(1), checks=Checks(0, 0, 7, 0.0))


def test_names_say_nothing_and_none_is_used_twice() -> None:
    found = pairs(group())
    trials, by_trial, methods = anonymised(found, np.random.default_rng(0))
    assert sorted(p.clip for p in by_trial.values()) == sorted(p.clip for p in found)
    names = [n for t in trials for n in (t.id, t.left, t.right, t.face)]
    assert len(set(names)) == len(names) == 4 * 68
    assert all(len(n) == 12 and set(n) <= set("0123456789abcdef") for n in names)
    for t in trials:
        pair = by_trial[t.id]
        assert (methods[t.left], methods[t.right], methods[t.face]) == (pair.left, pair.right, FILM)
        assert (t.repeats != "") == (pair.kind == "repeat")
        if t.repeats:
            assert by_trial[t.repeats].clip == pair.clip
    kinds = "".join(by_trial[t.id].kind[0] for t in trials)
    assert kinds.rstrip("rs") != "p" * 60, "the order of the file tells checks from pairs"


def test_every_participant_has_an_order_of_his_own_and_every_second_one_the_other_sides() -> None:
    trials, by_trial, methods = anonymised(pairs(group()), np.random.default_rng(0))
    orders = [ordered(trials, 7, number) for number in range(6)]
    assert len({tuple(t.id for t in order) for order in orders}) == 6
    assert orders[2] == ordered(trials, 7, 2)
    assert orders[2] != ordered(trials, 8, 2)
    for number, order in enumerate(orders):
        assert sorted(t.id for t in order) == sorted(t.id for t in trials)
        for t in order:
            shown = methods[t.left], methods[t.right]
            pair = by_trial[t.id]
            assert shown == ((pair.left, pair.right) if number % 2 == 0 else (pair.right, pair.left))
        place = {t.id: i for i, t in enumerate(order)}
        assert all(abs(place[t.id] - place[t.repeats]) > len(order) // 4 for t in order if t.repeats)


def test_a_study_too_short_to_keep_repeats_apart_is_shown_all_the_same() -> None:
    few = pairs(group(1, ("pseudo",)), checks=Checks(0, 0, 1, 0.0))
    trials, _, _ = anonymised(few, np.random.default_rng(0))
    assert len(ordered(trials, 7, 0)) == 2
