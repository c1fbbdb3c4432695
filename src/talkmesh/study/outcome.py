"""What a study found: whose answers count, and how often its method was preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from talkmesh.references import STILL
from talkmesh.study.answers import Answer
from talkmesh.study.design import DECIDES, QUESTIONS, Checks, Question
from talkmesh.study.folder import Key, Shown
from talkmesh.study.shares import Share

Verdict = Literal["counted", "unfinished", "failed"]


@dataclass(frozen=True)
class Participant:
    """How one person answered.

    asked, answered : questions; wrong : answers for a face that does not move, of those that decide; consistent : share
    of the repeated questions answered alike, None where there are none; left : share of answers for the left side;
    seconds : median time from the end of the videos to an answer; verdict : whether the answers count; why : if not.
    """

    number: int
    asked: int
    answered: int
    wrong: int
    consistent: float | None
    left: float
    seconds: float
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class Chosen:
    """An answer with its names: who was preferred to whom, in which sentence."""

    participant: int
    kind: str
    part: str
    clip: str
    question: str
    preferred: str
    other: str
    side: str
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """shares : (part, question, competitor) to the share of the study's method, a zero where nobody answered; chosen :
    every answer, also of those that do not count."""

    participants: Sequence[Participant]
    shares: Mapping[tuple[str, Question, str], Share]
    chosen: Sequence[Chosen]

    def count(self, verdict: Verdict) -> int:
        return sum(p.verdict == verdict for p in self.participants)


def outcome(shown: Shown, key: Key, answers: Sequence[Answer]) -> Outcome:
    """Join answers with what is behind their names, and count those of the participants who pass the study's checks."""
    by_person: dict[int, list[Answer]] = {}
    for answer in answers:
        by_person.setdefault(answer.participant, []).append(answer)
    participants = [judged(number, shown, key, given) for number, given in sorted(by_person.items())]
    counted = {p.number for p in participants if p.verdict == "counted"}
    chosen = [named(answer, shown, key) for answer in answers]
    shares = {
        (pair.part, question, _other(pair.left, pair.right, key.method)): Share(0, 0)
        for pair in key.pairs.values()
        if pair.kind == "pair"
        for question in pair.questions
    }
    for one in chosen:
        if one.kind == "pair" and one.participant in counted:
            question = next(q for q in QUESTIONS if q == one.question)
            cell = one.part, question, _other(one.preferred, one.other, key.method)
            shares[cell] += Share(int(one.preferred == key.method), 1)
    return Outcome(participants, shares, chosen)


def _other(one: str, two: str, method: str) -> str:
    return two if one == method else one


def named(answer: Answer, shown: Shown, key: Key) -> Chosen:
    """Return an answer with the names of the methods in place of those of the videos."""
    pair, preferred = key.pairs[answer.trial], key.methods[answer.video]
    other = _other(pair.left, pair.right, preferred)
    facts = answer.participant, pair.kind, pair.part, pair.clip, answer.question
    return Chosen(*facts, preferred, other, answer.side, answer.seconds)


def judged(number: int, shown: Shown, key: Key, given: Sequence[Answer]) -> Participant:
    """Return how a participant did, by the rule of `Checks`."""
    preferred = {(a.trial, a.question): key.methods[a.video] for a in given}
    asked = [(trial.id, question) for trial in shown.trials for question in trial.questions]
    stills = [name for name, pair in key.pairs.items() if pair.kind == "still"]
    wrong = sum(preferred.get((name, DECIDES)) == STILL for name in stills)
    twice = [
        (preferred[trial.id, question], preferred[trial.repeats, question])
        for trial in shown.trials
        for question in trial.questions
        if trial.repeats and {(trial.id, question), (trial.repeats, question)} <= set(preferred)
    ]
    consistent = sum(one == two for one, two in twice) / len(twice) if twice else None
    verdict, why = _verdict(len(preferred), len(asked), wrong, consistent, key.checks)
    return Participant(
        number,
        len(asked),
        len(preferred),
        wrong,
        consistent,
        sum(a.side == "left" for a in given) / len(given),
        median(a.seconds for a in given),
        verdict,
        why,
    )


def _verdict(
    answered: int, asked: int, wrong: int, consistent: float | None, checks: Checks
) -> tuple[Verdict, str]:
    if wrong > checks.max_wrong:
        return "failed", f"the face that does not move in {wrong} of {checks.still} pairs"
    if answered < asked:
        return "unfinished", f"{answered} of {asked} questions answered"
    if consistent is not None and consistent < checks.min_consistent:
        return "failed", f"{100 * consistent:.0f} % of repeated questions answered alike"
    return "counted", ""
