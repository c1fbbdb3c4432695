"""The local web page of a study. It works offline, and it never opens the file that says which method is which."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from talkmesh.errors import TalkmeshError
from talkmesh.study.answers import Answers
from talkmesh.study.folder import ANSWERS, MEDIA, Shown, read_shown
from talkmesh.study.session import open_session
from talkmesh.web import TEXT, LocalServer, PageHandler, Refused, page

PAGES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
LARGEST = 10_000  # bytes of a request


class Server(LocalServer):
    """Serves one study. port 0 takes a free one; `url` says which."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.shown: Shown = read_shown(folder)
        self.media: Path = folder / MEDIA
        self.answers = Answers(folder / ANSWERS, self.shown.id)
        self.answers.prepare()
        names = {name for t in self.shown.trials for name in (t.left, t.right, t.face) if name}
        self.videos: frozenset[str] = frozenset(names)
        if missing := sorted(name for name in names if not (self.media / f"{name}.mp4").is_file()):
            raise TalkmeshError(
                f"{self.media}/{missing[0]}.mp4 not found: copy the whole folder of the study, or build it again"
            )
        super().__init__(host, port, Handler)


class Handler(PageHandler):
    """Answers requests: the page, steps and answers as JSON, parts of videos."""

    server: Server

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path in PAGES:
            self.send(200, page("talkmesh.study", PAGES[path][0]), PAGES[path][1])
        elif path == "/api/study":
            self.send_json(lambda: _about(self.server.shown))
        elif path == "/api/step":
            self.send_json(lambda: self._step({name: values[-1] for name, values in query.items()}))
        elif path.startswith("/media/"):
            name = path.removeprefix("/media/").removesuffix(".mp4")
            if name in self.server.videos:  # no path of a request reaches the disk
                self.send_file(self.server.media / f"{name}.mp4", "video/mp4")
            else:
                self.send(404, b"not found\n", TEXT)
        else:
            self.send(404, b"not found\n", TEXT)

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST or self.headers.get_content_type() != "application/json":
            self.close_connection = True  # what it sent is not read
            self.send(400, b"JSON is expected\n", TEXT)
            return
        sent = self.rfile.read(length)
        path = urlsplit(self.path).path
        if path == "/api/participants":
            self.send_json(lambda: {"code": self.server.answers.enrol()})
        elif path == "/api/answers":
            self.send_json(lambda: self._answer(sent))
        else:
            self.send(404, b"not found\n", TEXT)

    def _step(self, query: Mapping[str, str]) -> dict[str, Any]:
        session = open_session(self.server.shown, self.server.answers, query.get("code", ""))
        step = query.get("step")
        if step is not None and not step.isdecimal():
            raise Refused("a step is a number")
        return session.page(None if step is None else int(step))

    def _answer(self, sent: bytes) -> dict[str, Any]:
        """Keep an answer, and only then reply, with the step that follows."""
        try:
            values = json.loads(sent)
            code, step = str(values["code"]), int(values["step"])
            fields = [values[name] for name in ("trial", "question", "side", "seconds")]
        except (ValueError, TypeError, KeyError) as error:
            raise Refused("an answer needs code, step, trial, question, side and seconds") from error
        shown, answers = self.server.shown, self.server.answers
        answers.record(open_session(shown, answers, code).answer(*fields))
        after = open_session(shown, answers, code)
        return after.page(min(step + 1, after.next))


def _about(shown: Shown) -> dict[str, Any]:
    """What the first page says of the study."""
    questions = sum(len(trial.questions) for trial in shown.trials)
    face = any("similarity" in trial.questions for trial in shown.trials)
    return {"id": shown.id, "pairs": len(shown.trials), "questions": questions, "face": face}
