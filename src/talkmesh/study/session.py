"""One participant's way through a study: which question comes next, and what an answer to it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from talkmesh.study.answers import Answer, Answers
from talkmesh.study.design import TEXTS, Question
from talkmesh.study.folder import Shown
from talkmesh.study.pairs import Side, Trial, ordered
from talkmesh.web import Refused

SIDES: tuple[Side, ...] = get_args(Side)
LONGEST = 24 * 3600.0  # seconds to an answer beyond which a clock is wrong


@dataclass(frozen=True)
class Step:
    """A question on a trial; place : of the trial among all, from 0 on."""

    trial: Trial
    question: Question
    place: int


@dataclass(frozen=True)
class Session:
    """The steps of one participant, and what was chosen so far: (trial, question) to side."""

    code: str
    number: int
    steps: Sequence[Step]
    chosen: Mapping[tuple[str, str], Side]

    @property
    def next(self) -> int:
        """The first step without an answer; their number when all are answered."""
        left = (i for i, s in enumerate(self.steps) if (s.trial.id, s.question) not in self.chosen)
        return next(left, len(self.steps))

    def page(self, step: int | None = None) -> dict[str, Any]:
        """Return all that the page may know of a step, by default the next: no later one can be seen.

        Raises
        ------
        Refused
            If there is no such step, or it is not reached yet.
        """
        at = self.next if step is None else step
        if not 0 <= at <= self.next:
            raise Refused(f"step {at} is not reached yet")
        progress = {
            "step": at,
            "steps": len(self.steps),
            "pairs": self.steps[-1].place + 1,
            "answered": len(self.chosen),
        }
        if at == len(self.steps):
            return progress | {"done": True, "pair": self.steps[-1].place + 1}
        now = self.steps[at]
        return progress | {
            "done": False,
            "pair": now.place + 1,
            "trial": now.trial.id,
            "left": now.trial.left,
            "right": now.trial.right,
            "face": now.trial.face if now.question == "similarity" else "",
            "question": now.question,
            "text": TEXTS[now.question],
            "chosen": self.chosen.get((now.trial.id, now.question)),
        }

    def answer(self, trial: Any, question: Any, side: Any, seconds: Any) -> Answer:
        """Return what the page sent as an answer.

        Raises
        ------
        Refused
            If it fits no question that was asked.
        """
        asked = {(s.trial.id, s.question): s.trial for s in self.steps[: self.next + 1]}
        if side not in SIDES or not isinstance(trial, str) or (trial, str(question)) not in asked:
            raise Refused("that is no answer to a question that was asked")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST:
            raise Refused("seconds must be a time")
        return Answer(self.number, trial, question, side, asked[trial, question].video(side), float(seconds))


def open_session(shown: Shown, answers: Answers, code: str) -> Session:
    """Return where a participant stands.

    Raises
    ------
    Refused
        If nobody has this code.
    """
    number = answers.number(code)
    if number is None:
        raise Refused("nobody has this code")
    trials = ordered(shown.trials, shown.seed, number)
    steps = [Step(trial, question, k) for k, trial in enumerate(trials) for question in trial.questions]
    return Session(code, number, steps, {(a.trial, a.question): a.side for a in answers.given(number)})
