"""The local web page of a study. It works offline, and it never opens the file that says which method is which."""

from __future__ import annotations

import functools
import json
import logging
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from talkmesh.errors import TalkmeshError
from talkmesh.study.answers import Answers
from talkmesh.study.folder import ANSWERS, MEDIA, Shown, read_shown
from talkmesh.study.session import Refused, open_session

log = logging.getLogger(__name__)

PAGES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
LARGEST = 10_000  # bytes of a request
RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


class Server(ThreadingHTTPServer):
    """Serves one study. port 0 takes a free one; `url` says which."""

    daemon_threads = True

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
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise TalkmeshError(
                f"no page can be served at {host}:{port} ({error.strerror}): choose another --port, or 0 for a free one"
            ) from error

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong; a browser that left in the middle of a video is no error."""
        left = isinstance(sys.exception(), ConnectionError | TimeoutError)
        log.log(logging.DEBUG if left else logging.ERROR, "a request broke off", exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """Answers requests: the page, steps and answers as JSON, parts of videos."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a silent connection is kept

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path in PAGES:
            self._send(200, _page(PAGES[path][0]), PAGES[path][1])
        elif path == "/api/study":
            self._json(lambda: _about(self.server.shown))
        elif path == "/api/step":
            self._json(lambda: self._step({name: values[-1] for name, values in query.items()}))
        elif path.startswith("/media/"):
            self._video(path.removeprefix("/media/").removesuffix(".mp4"))
        else:
            self._send(404, b"not found\n", "text/plain; charset=utf-8")

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST or self.headers.get_content_type() != "application/json":
            self.close_connection = True  # what it sent is not read
            self._send(400, b"JSON is expected\n", "text/plain; charset=utf-8")
            return
        sent = self.rfile.read(length)
        path = urlsplit(self.path).path
        if path == "/api/participants":
            self._json(lambda: {"code": self.server.answers.enrol()})
        elif path == "/api/answers":
            self._json(lambda: self._answer(sent))
        else:
            self._send(404, b"not found\n", "text/plain; charset=utf-8")

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

    def _json(self, reply: Callable[[], dict[str, Any]]) -> None:
        try:
            status, value = 200, reply()
        except Refused as error:
            status, value = 400, {"error": str(error)}
        except TalkmeshError as error:  # the page sends the answer again
            log.error("%s", error)
            status, value = 500, {"error": str(error)}
        self._send(status, json.dumps(value).encode(), "application/json")

    def _video(self, name: str) -> None:
        """Send a video or the part of it that is asked for: browsers need parts in order to play again."""
        if name not in self.server.videos:  # no path of a request reaches the disk
            self._send(404, b"not found\n", "text/plain; charset=utf-8")
            return
        with open(self.server.media / f"{name}.mp4", "rb") as file:
            size = file.seek(0, 2)
            first, last = 0, size - 1
            asked = RANGE.match(self.headers.get("Range", ""))
            if asked and asked[1]:
                first, last = int(asked[1]), min(int(asked[2] or last), last)
            elif asked and asked[2]:
                first = max(0, size - int(asked[2]))
            if first > last:
                self._send(416, b"", "text/plain", {"Content-Range": f"bytes */{size}"})
                return
            part = {"Content-Range": f"bytes {first}-{last}/{size}"} if asked else {}
            headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600", **part}
            self._head(206 if asked else 200, last - first + 1, "video/mp4", headers)
            file.seek(first)
            if asked:
                self.wfile.write(file.read(last - first + 1))
            else:
                shutil.copyfileobj(file, self.wfile)

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        self._head(status, len(body), kind, {"Cache-Control": "no-store", **(headers or {})})
        self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        fixed = {"Content-Type": kind, "Content-Length": str(length), "X-Content-Type-Options": "nosniff"}
        policy = {"Content-Security-Policy": "default-src 'self'", "Referrer-Policy": "no-referrer"}
        for name, value in {**fixed, **policy, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


@functools.cache
def _page(name: str) -> bytes:
    return files("talkmesh.study").joinpath(name).read_bytes()


def _about(shown: Shown) -> dict[str, Any]:
    """What the first page says of the study."""
    questions = sum(len(trial.questions) for trial in shown.trials)
    face = any("similarity" in trial.questions for trial in shown.trials)
    return {"id": shown.id, "pairs": len(shown.trials), "questions": questions, "face": face}
