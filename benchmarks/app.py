"""How long a user of `talkmesh app` waits: from the first byte of the upload to the first frames of the motion.

    python -m benchmarks.app --bundle FOLDER [--bundle FOLDER ...] [--sound FILE] [--seconds 2 5 10] [--crowd N]

The server runs in this process, at a free port, with the model open as after its start; requests are those of the page.
The bar: twice the length of the sound, on two cores, by the fast path. `export`: seconds until each file is there.
`crowd`: N users send the shortest sound at the same moment. Those for whom there is room are served in the order in
which they came, the others are told to come back; meanwhile, how long a small request takes and how far memory grows.
"""

from __future__ import annotations

import argparse
import http.client
import json
import resource
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.app import view
from talkmesh.app.command import KEPT, WAITING
from talkmesh.app.jobs import Jobs
from talkmesh.app.offer import offered
from talkmesh.app.server import Limits, Server
from talkmesh.app.studio import Studio
from talkmesh.sound import read_audio

RATE, ROUNDS, POLL_S = 48_000, 3, 0.05


def call(server: Server, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection(str(server.server_address[0]), server.server_port, timeout=600)
    connection.request(method, path, body)
    reply = connection.getresponse()
    found = reply.read(1 << 16) if path.endswith("motion.bin") else reply.read()
    connection.close()
    assert reply.status < 300, found
    return found


def waited(server: Server, id: str, kind: str) -> dict[str, Any]:
    while True:
        task = json.loads(call(server, "GET", f"/api/jobs/{id}"))["tasks"][kind]
        assert task["state"] != "failed", task["error"]
        if task["state"] == "done":
            return task
        time.sleep(POLL_S)


def said(server: Server, sound: bytes, model: str) -> tuple[float, str]:
    """Return the seconds from the upload to the first frames, and the job."""
    start = time.perf_counter()
    id = json.loads(call(server, "POST", f"/api/jobs?name=line.wav&model={model}", sound))["id"]
    waited(server, id, "motion")
    call(server, "GET", f"/api/jobs/{id}/mesh.bin")
    call(server, "GET", f"/api/jobs/{id}/motion.bin")
    return time.perf_counter() - start, id


def measured(server: Server, samples: np.ndarray, lengths: list[float], folder: Path) -> dict[str, Any]:
    """Return, for each model, the seconds waited for sounds of these lengths, and for files of the longest."""
    found: dict[str, Any] = {}
    for name, model in server.offer.models.items():
        row: dict[str, Any] = {"fast": model.fast, "first_s": {}, "export_s": {}}
        for seconds in lengths:
            view.write_sound(folder / "line.wav", np.resize(samples, round(seconds * RATE)), RATE)
            sound = (folder / "line.wav").read_bytes()
            tries = [said(server, sound, name) for _ in range(ROUNDS)]
            row["first_s"][f"{seconds:g}"] = float(np.median([taken for taken, _ in tries]))
        for kind in server.offer.files():
            start = time.perf_counter()
            call(server, "POST", f"/api/jobs/{tries[-1][1]}/files/{kind}")
            waited(server, tries[-1][1], kind)
            row["export_s"][kind] = time.perf_counter() - start
        found[name] = row
    return found


def crowd(server: Server, jobs: Jobs, sound: bytes, model: str, users: int) -> dict[str, Any]:
    """Let `users` send a sound at once; return what became of them, and what it cost the others."""
    together, ended, statuses, taken = threading.Barrier(users), {}, [], []
    before = _megabytes()

    def user() -> None:
        connection = http.client.HTTPConnection(
            str(server.server_address[0]), server.server_port, timeout=600
        )
        together.wait()
        connection.request("POST", f"/api/jobs?name=line.wav&model={model}", sound)
        reply = connection.getresponse()
        body = json.loads(reply.read())
        statuses.append(reply.status)
        if reply.status < 300:
            waited(server, body["id"], "motion")
            ended[body["id"]] = time.perf_counter()

    people = [threading.Thread(target=user) for _ in range(users)]
    start = time.perf_counter()
    for person in people:
        person.start()
    while any(person.is_alive() for person in people):
        asked = time.perf_counter()
        call(server, "GET", "/")
        taken.append(time.perf_counter() - asked)
        time.sleep(POLL_S)
    came = [id for id in jobs.ids() if id in ended]
    gaps = np.diff([ended[id] for id in came])
    return {
        "users": users,
        "served": len(ended),
        "told_to_come_back": statuses.count(503),
        "otherwise": users - len(ended) - statuses.count(503),
        "in_order": bool((gaps > -2 * POLL_S).all()),  # each looks every POLL_S
        "all_served_s": time.perf_counter() - start,
        "page_median_s": float(np.median(taken)),
        "page_longest_s": max(taken),
        "memory_grew_mb": _megabytes() - before,
    }


def _megabytes() -> float:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, action="append", required=True, metavar="FOLDER")
    parser.add_argument("--sound", type=Path, metavar="FILE", help="speech; noise if not given")
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 5.0, 10.0])
    parser.add_argument(
        "--crowd", type=int, default=50, metavar="N", help="users at once (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    samples = noise if arguments.sound is None else read_audio(arguments.sound, RATE)
    studio = Studio(offered(arguments.bundle, Path(), Path("models/rigs")), 600.0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "jobs").mkdir()
        jobs = Jobs(root / "jobs", studio.work, WAITING, KEPT)
        with Server(studio.offer, jobs, Limits(10**9, 600.0), studio.check_sound) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            result: dict[str, Any] = {}

            def user() -> None:
                try:
                    result.update(measured(server, samples, arguments.seconds, root))
                    view.write_sound(
                        root / "short.wav", np.resize(samples, round(min(arguments.seconds) * RATE)), RATE
                    )
                    name, sound = next(iter(studio.offer.models)), (root / "short.wav").read_bytes()
                    result["crowd"] = crowd(server, jobs, sound, name, arguments.crowd)
                finally:
                    jobs.close()

            studio.warm_up()
            threading.Thread(target=user).start()
            jobs.run()  # in the main thread, as the command does
            server.shutdown()
    print(json.dumps(result, indent=2) if arguments.json else as_text(result))


def as_text(result: dict[str, Any]) -> str:
    lines = []
    lines += [f"crowd: {key} {value}" for key, value in result.pop("crowd").items()]
    for name, row in result.items():
        lines.append(f"{name} ({'fast path' if row['fast'] else 'full path with pictures'})")
        for seconds, taken in row["first_s"].items():
            lines.append(
                f"  {seconds:>4} s of sound: on show after {taken:.2f} s, {taken / float(seconds):.2f} of its length"
            )
        lines += [f"  {kind:>4} of the last: {taken:.2f} s" for kind, taken in row["export_s"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
