"""What the local web pages share: a server, safe headers, files in parts, and requests that are not meant for it.

Nothing is loaded from elsewhere, and no foreign page gets in: a name that a stranger lets point to this machine (DNS
rebinding) is refused by its Host header, a form or script of another site by its Origin.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import logging
import re
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from talkmesh.errors import TalkmeshError

log = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"
RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
FIXED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Refused(TalkmeshError):
    """A request that cannot be answered, in one sentence for the user; `status` as HTTP has it, `kind`, where there
    is one, for programs."""

    def __init__(self, sentence: str, status: int = 400, kind: str = "") -> None:
        super().__init__(sentence)
        self.status, self.kind = status, kind


class LocalServer(ThreadingHTTPServer):
    """A server at `host`; port 0 takes a free one, `url` says which.

    Raises
    ------
    TalkmeshError
        If nothing can listen there.
    """

    daemon_threads = True
    request_queue_size = 128  # of connections that wait to be accepted: many people may come at once

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise TalkmeshError(
                f"no page can be served at {host}:{port} ({reason}): choose another --port, or 0 for a free one"
            ) from error

    @property
    def url(self) -> str:
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong; a browser that left in the middle of a file is no error."""
        left = isinstance(sys.exception(), ConnectionError | TimeoutError)
        log.log(logging.DEBUG if left else logging.ERROR, "a request broke off", exc_info=True)


class PageHandler(BaseHTTPRequestHandler):
    """What a handler of requests needs."""

    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a silent connection is kept

    def parse_request(self) -> bool:
        """Read the head of a request; one that is not meant for this server is answered here, and goes no further."""
        if not super().parse_request():
            return False
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if not is_here(host):
            why = f"'{host}' is no name of this machine: open the page by the address that the terminal shows"
        elif origin is not None and origin != f"http://{host}" and self.command != "GET":
            why = "another page may not use this one"
        else:
            return True
        self.close_connection = True  # what it sent is not read
        self.send(403, f"{why}\n".encode(), TEXT)
        return False

    def send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole reply, which no browser keeps."""
        self.head(status, len(body), kind, {"Cache-Control": "no-store", **(headers or {})})
        self.wfile.write(body)

    def send_json(self, reply: Callable[[], Any], status: int = 200) -> None:
        """Send what `reply` returns as JSON, or the sentence of the error that it raises."""
        try:
            value = reply()
        except Refused as error:
            status, value = error.status, {"error": str(error)} | ({"kind": error.kind} if error.kind else {})
        except TalkmeshError as error:
            log.error("%s", error)
            status, value = 500, {"error": str(error)}
        self.send(status, json.dumps(value).encode(), "application/json")

    def send_file(self, path: Path, kind: str, headers: Mapping[str, str] | None = None) -> None:
        """Send a file or the part of it that is asked for: browsers need parts in order to play again."""
        try:
            file = open(path, "rb")  # noqa: SIM115
        except OSError:
            self.send(404, b"not found\n", TEXT)
            return
        with file:
            size = file.seek(0, 2)
            first, last = 0, size - 1
            asked = RANGE.match(self.headers.get("Range", ""))
            if asked and asked[1]:
                first, last = int(asked[1]), min(int(asked[2] or last), last)
            elif asked and asked[2]:
                first = max(0, size - int(asked[2]))
            if first > last and asked:
                self.send(416, b"", TEXT, {"Content-Range": f"bytes */{size}"})
                return
            part = {"Content-Range": f"bytes {first}-{last}/{size}"} if asked else {}
            usual = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600", **part}
            self.head(206 if asked else 200, last - first + 1, kind, {**usual, **(headers or {})})
            file.seek(first)
            if asked:
                self.wfile.write(file.read(last - first + 1))
            else:
                shutil.copyfileobj(file, self.wfile)

    def head(self, status: int, length: int, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(length)}
        for name, value in {**own, **FIXED, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def is_here(host: str) -> bool:
    """Return whether a Host header names this machine: by an address, which no stranger can have let point here, as
    localhost, or by the machine's own name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name in ("localhost", socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"):
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@functools.cache
def page(package: str, name: str) -> bytes:
    """Return a file of a page that lies in `package`."""
    return files(package).joinpath(name).read_bytes()
