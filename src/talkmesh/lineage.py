"""Trainings that go on from one another as recordings come in: which was the last one, and what it had learned from.

Beside the folders of checkpoints a small file for each set of settings names the last training that came to its end.
No clock decides what is last; and a training that is killed, or run once more, finds the same predecessor again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, read_json, write_json
from talkmesh.train import BEST


@dataclass(frozen=True)
class Place:
    """Where the checkpoints of one training lie.

    work : its folder; before : the folder of the training that it goes on from, or None; data : hash of what it learns
    from; note : the file that names the last training with its settings
    """

    work: Path
    before: Path | None
    data: str
    note: Path

    def finished(self) -> None:
        """Note that this training has come to its end: the next one on other recordings may go on from it."""
        before = self.before.name if self.before else None
        write_json(self.note, {"folder": self.work.name, "before": before, "data": self.data})


def place(folder: Path, settings: str, data: str, continued: int) -> Place:
    """Return where a training has its checkpoints.

    Parameters
    ----------
    folder : of all trainings of its kind
    settings, data : hashes of how it is trained, code included, and of what it learns from
    continued : steps by which it goes on from the last one with these settings, if that learned from other data; 0:
    it begins anew
    """
    note = folder / f"{settings}.json"
    before = _last(note, data) if continued else None
    if before is not None and not (folder / before / BEST).exists():
        before = None
    named: list[Any] = [settings, data] + ([before, continued] if before else [])
    return Place(folder / content_hash(*named), folder / before if before else None, data, note)


def _last(note: Path, data: str) -> str | None:
    """Return the name of the folder to go on from; of a training that is run again, the one it went on from."""
    try:
        last = read_json(note)
    except TalkmeshError:  # there was none yet
        return None
    found: str | None = last["before"] if last["data"] == data else last["folder"]
    return found
