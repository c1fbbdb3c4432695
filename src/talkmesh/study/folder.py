"""The folder of a study: what the server reads, what it must never see, the videos and the answers.

| file | holds |
|---|---|
| `study.json` | trials: names of videos, questions; all that the server reads |
| `media/<name>.mp4` | the videos, under names that say nothing |
| `key.json` | which method is behind which name, and the rule by which answers count; read by the report alone |
| `answers.sqlite` | what was chosen: `talkmesh.study.answers` |
| `report/` | the tables |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkmesh import params
from talkmesh.contracts import SAFE
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, write_json
from talkmesh.study.design import Checks
from talkmesh.study.pairs import Pair, Trial

DEFAULT = Path("study")
SHOWN, KEY, ANSWERS, MEDIA, REPORT = "study.json", "key.json", "answers.sqlite", "media", "report"


@dataclass(frozen=True)
class Shown:
    """What participants are shown. id : of this build; seed : of the orders."""

    id: str
    seed: int
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Key:
    """What participants must not know.

    id : of the build; method : A of every comparison; corpus, synthetic : as in the report; parts : name to whether it
    was filmed; pairs : by trial; methods : by video; left_out : competitor to the reason why it is missing.
    """

    id: str
    method: str
    corpus: str
    synthetic: str
    parts: dict[str, bool]
    checks: Checks
    pairs: dict[str, Pair]
    methods: dict[str, str]
    left_out: dict[str, str]


def write_study(folder: Path, shown: Shown, key: Key) -> None:
    """Write both halves of a study into its folder."""
    write_json(folder / SHOWN, shown)
    write_json(folder / KEY, key)


def read_shown(folder: Path) -> Shown:
    """Read what the server needs; a missing or broken file is an error that names it."""
    shown = params.build(Shown, _read(folder, SHOWN), str(folder / SHOWN))
    names = {name for t in shown.trials for name in (t.id, t.left, t.right, t.face, t.repeats) if name}
    if not shown.trials or not all(map(SAFE.fullmatch, names)):
        raise TalkmeshError(f"{folder / SHOWN} shows nothing, or has names that are no names of videos")
    return shown


def read_key(folder: Path) -> Key:
    """Read what is behind the names; a missing or broken file is an error that names it."""
    return params.build(Key, _read(folder, KEY), str(folder / KEY))


def _read(folder: Path, name: str) -> dict[str, Any]:
    if not (folder / name).exists():
        raise TalkmeshError(f"{folder / name} not found: make a study with `talkmesh study build`")
    values: dict[str, Any] = read_json(folder / name)
    return values
