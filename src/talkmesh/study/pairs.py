"""Who is compared with whom, on which side, under which name, and in which order: pure functions of a seed.

Every video of every pair has a name of its own, also where two pairs show the same one: nothing that a participant can
see, the page's addresses included, says that two faces come from one method.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.references import STILL
from talkmesh.study.design import Checks, Question

Kind = Literal["pair", "still", "repeat"]
Side = Literal["left", "right"]
TRIES = 200  # shuffles among which one that keeps repeated pairs apart is looked for
FILM = "film"  # stands where a method does, for the real face


@dataclass(frozen=True)
class Group:
    """The sentences of one part: clips to the questions asked about them, and whom the study's method meets.

    moving : the method that is shown beside a face that does not move.
    """

    name: str
    clips: Mapping[str, tuple[Question, ...]]
    filmed: frozenset[str]
    competitors: tuple[str, ...]
    moving: str


@dataclass(frozen=True)
class Pair:
    """Two methods say a sentence. left, right : methods, as participants with an even number see them; filmed : the
    real face is shown for the question on similarity; repeats : place in the list of the pair shown again, or -1."""

    kind: Kind
    part: str
    clip: str
    left: str
    right: str
    questions: tuple[Question, ...]
    filmed: bool
    repeats: int = -1


@dataclass(frozen=True)
class Trial:
    """A pair as it is shown: names of its videos that say nothing. face : of the real face, or empty; repeats : the id
    of the trial that this one shows again, or empty."""

    id: str
    left: str
    right: str
    face: str
    questions: tuple[Question, ...]
    repeats: str = ""

    def video(self, side: Side) -> str:
        return self.left if side == "left" else self.right


def compared(group: Group, method: str, rng: np.random.Generator) -> list[Pair]:
    """Return a pair for each competitor and sentence of a group.

    In each comparison `method` stands left in half of the sentences; where their number is odd, the one that is left
    over goes left and right in turn from comparison to comparison.
    """
    pairs = []
    for k, other in enumerate(group.competitors):
        count = len(group.clips)
        lefts = np.arange(count) < count // 2 + (count % 2) * (k % 2)
        for (clip, questions), left in zip(group.clips.items(), rng.permutation(lefts), strict=True):
            sides = (method, other) if left else (other, method)
            pairs.append(Pair("pair", group.name, clip, *sides, questions, clip in group.filmed))
    return pairs


def still_checks(groups: Sequence[Group], count: int, rng: np.random.Generator) -> list[Pair]:
    """Return `count` pairs with a face that does not move, taken from the groups in turn, on either side as often."""
    drawn = {group.name: rng.permutation(list(group.clips)) for group in groups}
    lefts = rng.permutation(np.arange(count) < count // 2)
    pairs = []
    for k, left in enumerate(lefts):
        group, turn = groups[k % len(groups)], k // len(groups)
        clip = str(drawn[group.name][turn % len(group.clips)])
        sides = (STILL, group.moving) if left else (group.moving, STILL)
        pairs.append(Pair("still", group.name, clip, *sides, group.clips[clip], clip in group.filmed))
    return pairs


def repeated(pairs: Sequence[Pair], count: int, rng: np.random.Generator) -> list[Pair]:
    """Return `count` of the pairs again, sides swapped.

    Raises
    ------
    TalkmeshError
        If there are fewer pairs.
    """
    if count > len(pairs):
        raise TalkmeshError(
            f"params.yaml: study.checks.repeats is {count}, but there are only {len(pairs)} pairs; lower it"
        )
    chosen = np.sort(rng.choice(len(pairs), count, replace=False))
    return [
        replace(pairs[i], kind="repeat", left=pairs[i].right, right=pairs[i].left, repeats=int(i))
        for i in chosen
    ]


def drawn(groups: Sequence[Group], method: str, checks: Checks, rng: np.random.Generator) -> list[Pair]:
    """Return all pairs of a study, its checks among them."""
    pairs = [pair for group in groups for pair in compared(group, method, rng)]
    return pairs + repeated(pairs, checks.repeats, rng) + still_checks(groups, checks.still, rng)


def anonymised(
    pairs: Sequence[Pair], rng: np.random.Generator
) -> tuple[list[Trial], dict[str, Pair], dict[str, str]]:
    """Give pairs and their videos names that say nothing, and shuffle them.

    Returns
    -------
    trials, pair by the name of its trial, method by the name of its video (`FILM` for real faces)
    """
    names = _names(rng)
    ids = [next(names) for _ in pairs]
    trials: list[Trial] = []
    methods: dict[str, str] = {}
    for name, pair in zip(ids, pairs, strict=True):
        left, right = next(names), next(names)
        methods |= {left: pair.left, right: pair.right}
        face = next(names) if pair.filmed else ""
        if face:
            methods[face] = FILM
        again = ids[pair.repeats] if pair.repeats >= 0 else ""
        trials.append(Trial(name, left, right, face, pair.questions, again))
    key = dict(zip(ids, pairs, strict=True))
    return [trials[i] for i in rng.permutation(len(trials))], key, methods


def _names(rng: np.random.Generator) -> Iterator[str]:
    """Yield names of twelve hexadecimal digits, none twice."""
    seen = set()
    while True:
        name = rng.bytes(6).hex()
        if name not in seen:
            seen.add(name)
            yield name


def ordered(trials: Sequence[Trial], seed: int, number: int) -> list[Trial]:
    """Return the trials in the order, and with the sides, of the participant of this `number`.

    The order is random. Participants with an odd number see all sides swapped, so that over two of them every pair is
    balanced in itself. A pair that is shown again stays a quarter of the study away from its first showing, where the
    study is long enough.
    """
    rng = np.random.default_rng([seed, number])
    again = [(i, j) for i, t in enumerate(trials) for j, u in enumerate(trials) if t.repeats == u.id]
    for _ in range(TRIES):
        order = rng.permutation(len(trials))
        place = np.argsort(order)
        if all(abs(place[i] - place[j]) > len(trials) // 4 for i, j in again):
            break
    chosen = [trials[i] for i in order]
    return [replace(t, left=t.right, right=t.left) for t in chosen] if number % 2 else chosen
