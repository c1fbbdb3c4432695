"""What a study compares and asks: the section ``study`` of ``params.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from talkmesh.contracts import Track
from talkmesh.errors import TalkmeshError

Question = Literal["realism", "lip_sync", "similarity"]
QUESTIONS: tuple[Question, ...] = get_args(Question)  # in the order in which they are asked
TEXTS: dict[Question, str] = {
    "realism": "Which face looks more realistic?",
    "lip_sync": "Whose lips fit the speech better?",
    "similarity": "Whose lips move more like those of the real face?",
}
DECIDES: Question = "lip_sync"  # the question in which a face that does not move is surely wrong


@dataclass(frozen=True)
class Part:
    """One kind of sentences, reported apart.

    name : heads its column; clips : the folder whose test clips are drawn from, as in the section `track`; rig : its
    file in models/rigs; predictions : the folder of the methods' meshes; sentences : how many are drawn; competitors :
    methods that the study's method is compared with; questions : what is asked, `similarity` only where there is film.
    """

    name: str
    clips: str
    rig: str
    predictions: str
    sentences: int
    competitors: tuple[str, ...]
    questions: tuple[Question, ...]

    def __post_init__(self) -> None:
        where = f"params.yaml: study.parts '{self.name}'"
        if self.sentences < 1:
            raise TalkmeshError(f"{where}: sentences must be 1 or more, not {self.sentences}")
        for what, names in (("competitors", self.competitors), ("questions", self.questions)):
            if not names or len(set(names)) < len(names):
                raise TalkmeshError(f"{where}: {what} must list one or more names, each once")

    @property
    def track(self) -> Track:
        return Track(self.name, self.rig, self.clips)


@dataclass(frozen=True)
class Checks:
    """Whose answers count.

    still : pairs in which one face does not move; max_wrong : so many of them may be answered by the still face when
    lips and speech are asked about; repeats : pairs that are shown again with sides swapped; min_consistent : at least
    this share of their answers must be the same both times.
    """

    still: int
    max_wrong: int
    repeats: int
    min_consistent: float

    def __post_init__(self) -> None:
        if min(self.still, self.max_wrong, self.repeats) < 0 or not 0 <= self.min_consistent <= 1:
            raise TalkmeshError(
                "params.yaml: study.checks: counts must be 0 or more, min_consistent within 0 to 1"
            )

    @property
    def rule(self) -> str:
        """In words, whose answers count."""
        said = ["Counted are the answers of those who finished"]
        if self.still:
            said.append(
                f"who in at most {self.max_wrong} of {self.still} pairs chose a face that does not move when asked "
                "whose lips fit the speech"
            )
        if self.repeats and self.min_consistent:
            said.append(
                f"who answered at least {100 * self.min_consistent:g} % of the questions alike where pairs were shown "
                f"twice with sides swapped ({self.repeats})"
            )
        return ", and ".join(said) + "."


@dataclass(frozen=True)
class Study:
    """method : A of every comparison; seed : of sentences, sides and order; pixels : side of a video."""

    method: str
    seed: int
    pixels: int
    parts: tuple[Part, ...]
    checks: Checks

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) < len(names):
            raise TalkmeshError(
                "params.yaml: study.parts must list one or more parts, each with its own name"
            )
        if self.seed < 0 or self.pixels < 16:
            raise TalkmeshError("params.yaml: study.seed must be 0 or more, study.pixels 16 or more")
        for part in self.parts:
            if self.method in part.competitors:
                raise TalkmeshError(
                    f"params.yaml: study.parts '{part.name}' compares {self.method} with itself; "
                    "take it out of competitors"
                )
            if self.checks.still and DECIDES not in part.questions:
                raise TalkmeshError(
                    f"params.yaml: study.checks.still needs the question {DECIDES} in the part '{part.name}'; "
                    "ask it there, or set study.checks.still to 0"
                )
