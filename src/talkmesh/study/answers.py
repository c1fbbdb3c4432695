"""What participants chose, in SQLite: an answer is on the disk before anybody is told that it was received.

Nothing is overwritten: a corrected answer is one more row, and the last one counts.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from talkmesh.errors import TalkmeshError
from talkmesh.study.pairs import Side

TABLES = """
CREATE TABLE IF NOT EXISTS study (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS participants (
    number INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    began TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL REFERENCES participants (number),
    trial TEXT NOT NULL,
    question TEXT NOT NULL,
    side TEXT NOT NULL CHECK (side IN ('left', 'right')),
    video TEXT NOT NULL,
    seconds REAL NOT NULL,
    answered TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS of_participant ON answers (participant);
"""
SIGNS = "23456789abcdefghjkmnpqrstuvwxyz"  # of codes: none that is mistaken for another
WAIT = 30  # seconds that one write waits for another


@dataclass(frozen=True)
class Answer:
    """participant : number; video : the chosen one's name; seconds : from the question to the answer."""

    participant: int
    trial: str
    question: str
    side: Side
    video: str
    seconds: float


@dataclass(frozen=True)
class Answers:
    """The answers to one build of a study. path : the SQLite file; study : id of the build."""

    path: Path
    study: str

    def prepare(self) -> None:
        """Make the file if it is not there.

        Raises
        ------
        TalkmeshError
            If it is no database, or holds answers to another build.
        """
        with self._open() as base:
            base.execute("PRAGMA trusted_schema = OFF")
            base.executescript(TABLES)
            kinds = base.execute(
                "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index')"
            ).fetchall()
            if kinds:  # a view may never end, a trigger may take answers away
                raise TalkmeshError(f"{self.path} holds more than tables ({kinds[0][0]}): it is not ours")
            base.execute("INSERT INTO study SELECT ? WHERE NOT EXISTS (SELECT * FROM study)", (self.study,))
            (found,) = base.execute("SELECT id FROM study").fetchone()
        if found != self.study:
            raise TalkmeshError(
                f"{self.path} holds answers to another build of the study ({found}, not {self.study}): "
                "put its own study beside it, or move it away"
            )

    def enrol(self) -> str:
        """Note a new participant, and return the code under which he or she goes on."""
        code = "".join(secrets.choice(SIGNS) for _ in range(8))
        with self._open() as base:
            base.execute(
                "INSERT INTO participants SELECT COALESCE(MAX(number), -1) + 1, ?, ? FROM participants",
                (code, _now()),
            )
        return code

    def number(self, code: str) -> int | None:
        """Return the number of a participant, from 0 on; None if there is no such code."""
        with self._open() as base:
            found = base.execute("SELECT number FROM participants WHERE code = ?", (code,)).fetchone()
        return None if found is None else int(found[0])

    def record(self, answer: Answer) -> None:
        """Put an answer on the disk; when this returns, it is there."""
        with self._open() as base:
            base.execute(
                "INSERT INTO answers (participant, trial, question, side, video, seconds, answered) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (answer.participant, answer.trial, answer.question, answer.side, answer.video, answer.seconds, _now()),
            )  # fmt: skip

    def given(self, number: int | None = None) -> list[Answer]:
        """Return the answers that count, of one participant or of all: the last one to each question."""
        with self._open() as base:
            rows = base.execute(
                "SELECT participant, trial, question, side, video, seconds FROM answers WHERE id IN "
                "(SELECT MAX(id) FROM answers GROUP BY participant, trial, question) "
                "AND (?1 IS NULL OR participant = ?1) ORDER BY id",
                (number,),
            ).fetchall()
        if not all(map(_is_answer, rows)):
            raise TalkmeshError(f"{self.path} holds a row that is no answer: it was changed or damaged")
        return [Answer(*row) for row in rows]

    def participants(self) -> list[int]:
        """Return the numbers of all who began."""
        with self._open() as base:
            return [n for (n,) in base.execute("SELECT number FROM participants ORDER BY number")]

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction; each thread has its own connection, and leaving commits."""
        try:
            base = sqlite3.connect(self.path, timeout=WAIT)
            try:
                base.execute("PRAGMA journal_mode = WAL")
                base.execute("PRAGMA synchronous = FULL")  # a commit waits for the disk
                base.execute("PRAGMA foreign_keys = ON")
                with base:
                    yield base
            finally:
                base.close()
        except sqlite3.Error as error:
            raise TalkmeshError(
                f"{self.path}: {error}; is the disk full, or is it no SQLite file?"
            ) from error


def count_answers(path: Path) -> int:
    """Return how many answers a file holds; 0 if there is none."""
    if not path.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
            made = base.execute(
                "SELECT * FROM sqlite_master WHERE type = 'table' AND name = 'answers'"
            ).fetchone()
            return int(base.execute("SELECT COUNT(*) FROM answers").fetchone()[0]) if made else 0
    except sqlite3.Error as error:
        raise TalkmeshError(f"{path}: {error}; is it a SQLite file?") from error


def _is_answer(row: tuple[Any, ...]) -> bool:
    number, *texts, seconds = row
    return (
        type(number) is int
        and all(isinstance(text, str) for text in texts)
        and texts[2] in ("left", "right")
        and isinstance(seconds, float)
        and 0 <= seconds < math.inf
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
