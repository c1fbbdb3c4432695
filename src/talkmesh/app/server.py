"""The requests of the page: sounds come in, jobs are followed, files go out. No path of a request reaches the disk."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from talkmesh.app.jobs import GONE, Jobs
from talkmesh.app.offer import FILES, Offer
from talkmesh.app.studio import SOUND
from talkmesh.errors import TalkmeshError
from talkmesh.light import shaders
from talkmesh.web import TEXT, LocalServer, PageHandler, Refused, page

PAGES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/scene.js": ("scene.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
JOB = re.compile(
    r"/api/jobs/(?P<id>[0-9a-f]{32})"
    r"(/(?P<view>mesh\.bin|motion\.bin|sound\.wav|sheet-[0-9]{1,4}\.jpg)|/files/(?P<file>[a-z0-9]{1,8}))?"
)
VIEWS = {".bin": "application/octet-stream", ".wav": "audio/wav", ".jpg": "image/jpeg"}
PIECE = 1 << 16  # bytes of an upload in memory
UPLOAD_S = 300.0  # seconds that an upload may hold a place in the queue
PATIENCE_S = 10.0  # for what a refused browser still sends, so that it reads why


@dataclass(frozen=True)
class Limits:
    """What is taken of a user: bytes and seconds of sound."""

    bytes: int
    seconds: float


class Server(LocalServer):
    """Serves the page. check : raises a `TalkmeshError` if the file at a path, of a name, is seen to be no sound."""

    def __init__(
        self,
        offer: Offer,
        jobs: Jobs,
        limits: Limits,
        check: Callable[[Path, str], None],
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.offer, self.jobs, self.limits, self.check = offer, jobs, limits, check
        super().__init__(host, port, Handler)


class Handler(PageHandler):
    """Answers requests: the page, uploads, jobs as JSON, parts of files."""

    server: Server
    unread = 0  # bytes of this request's body that have not been read

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path in PAGES:
            self.send(200, page("talkmesh.app", PAGES[path][0]), PAGES[path][1])
        elif path == "/api/about":
            self.send_json(self._about)
        elif found := JOB.fullmatch(path):
            if found["view"] or found["file"]:
                self._file(found["id"], found["view"], found["file"])
            else:
                self.send_json(lambda: self.server.jobs.status(found["id"]))
        else:
            self.send(404, b"not found\n", TEXT)

    def do_POST(self) -> None:
        path, self.unread = urlsplit(self.path).path, self._length() or 0
        self.close_connection |= self._length() is None  # where its body ends is not known
        found = JOB.fullmatch(path)
        if path == "/api/jobs":
            self.send_json(self._taken, 201)
        elif found and found["file"]:
            self.send_json(lambda: self._asked(found["id"], found["file"]), 202)
        else:
            self.send(404, b"not found\n", TEXT)
        self._pass_over()

    def do_DELETE(self) -> None:
        if (found := JOB.fullmatch(urlsplit(self.path).path)) and not (found["view"] or found["file"]):
            self.send_json(lambda: self._cancelled(found["id"]))
        else:
            self.send(404, b"not found\n", TEXT)

    # ---- in

    def _length(self) -> int | None:
        said = self.headers.get("Content-Length", "")
        return int(said) if said.isascii() and said.isdecimal() and len(said) < 16 else None

    def _taken(self) -> dict[str, Any]:
        """Keep the sound that is sent and queue it."""
        server = self.server
        length = self._length()
        if length is None:
            raise Refused("a sound of known length is expected", 411, "no_length")
        if length > server.limits.bytes:
            most = f"{server.limits.bytes / 1e6:.3g} MB"
            raise Refused(f"the file is larger than {most}: cut it or compress it", 413, "too_large")
        wish = server.offer.wish(dict(parse_qsl(urlsplit(self.path).query)))
        with server.jobs.place() as folder:
            self._receive(folder / SOUND)
            try:
                server.check(folder / SOUND, wish.sound)
            except TalkmeshError as error:
                raise Refused(str(error), 415, "no_sound") from None
            return server.jobs.add(folder, wish)

    def _receive(self, path: Path) -> None:
        """Write the body to a file, piece by piece."""
        end = time.monotonic() + UPLOAD_S
        with open(path, "wb", buffering=0) as file:
            while self.unread:
                piece = self.rfile.read1(min(PIECE, self.unread))
                if not piece:
                    self.unread, self.close_connection = 0, True
                    raise Refused("the upload broke off: send it again", 400, "broken_off")
                if time.monotonic() > end:
                    raise Refused(f"the upload took more than {UPLOAD_S:g} s: send less", 408, "too_slow")
                self.unread -= len(piece)
                try:
                    written = file.write(piece)
                except OSError:
                    written = 0
                if written < len(piece):
                    raise Refused("the disk is full: tell who started the page", 507, "disk_full")

    def _pass_over(self) -> None:
        """Read what a refused request still sends, for a while: closed too early, the reply is lost to the browser."""
        if not self.unread:
            return
        self.close_connection = True
        self.wfile.flush()
        self.connection.settimeout(PATIENCE_S)
        end = time.monotonic() + PATIENCE_S
        while self.unread and time.monotonic() < end:
            piece = self.rfile.read1(min(PIECE, self.unread))
            if not piece:
                return
            self.unread -= len(piece)

    def _asked(self, id: str, kind: str) -> dict[str, Any]:
        if kind not in self.server.offer.files():
            raise Refused(f"no '{kind}' is written here", 404, "unknown_file")
        return self.server.jobs.ask(id, kind)

    def _cancelled(self, id: str) -> dict[str, Any]:
        self.server.jobs.cancel(id)
        return {}

    # ---- out

    def _about(self) -> dict[str, Any]:
        """Return what the page has to know before it begins."""
        vertex, fragment = (
            text.replace("#version 330 core", "#version 300 es\nprecision highp float;") for text in shaders()
        )
        limits = {"bytes": self.server.limits.bytes, "seconds": self.server.limits.seconds}
        return {
            **self.server.offer.about(),
            "limits": limits,
            "light": {"vertex": vertex, "fragment": fragment},
        }

    def _file(self, id: str, view: str | None, kind: str | None) -> None:
        """Send a file of a job: one that the page shows, or one to keep."""
        try:
            folder, tasks = self.server.jobs.folder(id), self.server.jobs.status(id)["tasks"]
            if view:
                self.send_file(folder / view, VIEWS[Path(view).suffix])
                return
            name = tasks.get(kind, {}).get("file")
            if kind not in FILES or name is None:
                raise Refused(GONE, 404, "gone")
        except Refused as error:
            self.send(error.status, f"{error}\n".encode(), TEXT)
            return
        self.send_file(folder / name, FILES[kind], {"Content-Disposition": f'attachment; filename="{name}"'})
