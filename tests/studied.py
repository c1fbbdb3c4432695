"""A tiny study for tests: a made-up project with its predictions, built into a folder, and people who answer it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_project
from talkmesh import contracts
from talkmesh.study.answers import Answers
from talkmesh.study.design import Checks, Part, Study
from talkmesh.study.folder import ANSWERS, Key, read_key, read_shown
from talkmesh.study.session import open_session
from talkmesh.study.videos import build

CHECKS = Checks(still=2, max_wrong=0, repeats=1, min_consistent=0.5)
ALL = ("realism", "lip_sync", "similarity")
Taste = Callable[[str, str, str], bool]  # question, left and right method: whether left is chosen


def part(**changes: Any) -> Part:
    values: dict[str, Any] = {
        "name": "filmed",
        "clips": "data/clips",
        "rig": "character",
        "predictions": "predictions",
        "sentences": 2,
        "competitors": ("pseudo", "ground_truth"),
        "questions": ALL,
    }
    return Part(**values | changes)


def study(*parts: Part, checks: Checks = CHECKS, **changes: Any) -> Study:
    values: dict[str, Any] = {"method": "ours", "seed": 3, "pixels": 64}
    return Study(**values | changes, parts=parts or (part(),), checks=checks)


def project(root: Path) -> None:
    """Write a project with predictions of `ours`, `pseudo` and `ground_truth`; the current folder must be `root`."""
    rig = tiny_project.make(root)
    for clip in tiny_project.CLIPS:
        poses = tiny_project.poses(clip)
        contracts.write_poses(root / f"predictions/ground_truth/{clip}.npz", poses, tiny_project.FPS, rig)


def built(root: Path, what: Study | None = None) -> Path:
    """Make a project in `root` and build its study; return the study's folder."""
    project(root)
    build(what or study(), "embedded", root / "study")
    return root / "study"


def prefers(*order: str) -> Taste:
    """Somebody who always prefers the method that stands first in `order`."""
    return lambda _, left, right: order.index(left) < order.index(right)


def answer_all(folder: Path, taste: Taste, upto: int | None = None) -> str:
    """Answer a study as the server would note it, at most `upto` questions; return the participant's code."""
    shown, key = read_shown(folder), read_key(folder)
    answers = Answers(folder / ANSWERS, shown.id)
    answers.prepare()
    code = answers.enrol()
    session = open_session(shown, answers, code)
    for i in range(len(session.steps) if upto is None else upto):
        page = session.page()
        side = choice(key, page, taste)
        answers.record(session.answer(page["trial"], page["question"], side, 1.5 + i / 100))
        session = open_session(shown, answers, code)
    return code


def choice(key: Key, page: dict[str, Any], taste: Taste) -> str:
    left, right = key.methods[page["left"]], key.methods[page["right"]]
    return "left" if taste(page["question"], left, right) else "right"


def call(
    url: str, body: Any = None, raw: bytes | None = None, kind: str = "application/json"
) -> tuple[int, Any]:
    """Ask a server; return the status and the reply, decoded where it is JSON."""
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind} if data is not None else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            status, found, kind = reply.status, reply.read(), reply.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        status, found, kind = error.code, error.read(), error.headers["Content-Type"]
    return status, json.loads(found) if kind == "application/json" else found
