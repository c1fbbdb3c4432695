"""The app's server for tests: jobs done by whatever the test says, and the requests of a user."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from talkmesh.app.jobs import Jobs, Work
from talkmesh.app.offer import Model, Offer
from talkmesh.app.server import Limits, Server
from talkmesh.errors import TalkmeshError

OFFER = Offer(
    {"ours": Model(Path("nowhere"), "character", "embedded", 25.0, True, "")}, {"other": Path("nowhere")}
)
LIMITS = Limits(1_000_000, 10.0)


def no_media(path: Path, name: str) -> None:
    """Take all but what begins with "no"."""
    with open(path, "rb") as file:
        if file.read(2) == b"no":
            raise TalkmeshError(f"{name} cannot be read as video or sound: damaged or not media")


@contextlib.contextmanager
def serving(
    root: Path, work: Work, waiting: int = 5, kept: int = 10, limits: Limits = LIMITS
) -> Iterator[Server]:
    """Serve on a free port, with the worker in a thread of its own."""
    jobs = Jobs(root, work, waiting, kept)
    with Server(OFFER, jobs, limits, no_media) as server:
        threads = [threading.Thread(target=run, daemon=True) for run in (server.serve_forever, jobs.run)]
        for thread in threads:
            thread.start()
        try:
            yield server
        finally:
            jobs.close()
            server.shutdown()
            for thread in threads:
                thread.join(30)


def call(
    server: Server, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Send one request; return the status and the reply, decoded where it is JSON."""
    host, port = server.server_address[:2]
    connection = http.client.HTTPConnection(str(host), int(port), timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        found = reply.read()
        is_json = reply.getheader("Content-Type") == "application/json"
        return reply.status, json.loads(found) if is_json else found
    finally:
        connection.close()


def send(server: Server, name: str, body: bytes = b"sound", **words: str) -> tuple[int, Any]:
    """Send a sound."""
    query = "&".join(f"{key}={value}" for key, value in {"name": name, **words}.items())
    return call(server, "POST", f"/api/jobs?{query}", body)
