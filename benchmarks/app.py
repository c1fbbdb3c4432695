"""How long a user of `talkmesh app` waits: from the first byte of the upload to the first frames of the motion.

    python -m benchmarks.app --bundle FOLDER [--bundle FOLDER ...] [--sound FILE] [--seconds 2 5 10] [--json]

The server runs in this process, at a free port, with the model open as after its start; requests are those of the page.
The bar: twice the length of the sound, on two cores, by the fast path. `export`: seconds until each file is there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.app import view
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, action="append", required=True, metavar="FOLDER")
    parser.add_argument("--sound", type=Path, metavar="FILE", help="speech; noise if not given")
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 5.0, 10.0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    samples = noise if arguments.sound is None else read_audio(arguments.sound, RATE)
    studio = Studio(offered(arguments.bundle, Path(), Path("models/rigs")), 600.0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "jobs").mkdir()
        jobs = Jobs(root / "jobs", studio.work, 10, 100)
        with Server(studio.offer, jobs, Limits(10**9, 600.0), studio.check_sound) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            result: dict[str, Any] = {}

            def user() -> None:
                try:
                    result.update(measured(server, samples, arguments.seconds, root))
                finally:
                    jobs.close()

            studio.warm_up()
            threading.Thread(target=user).start()
            jobs.run()  # in the main thread, as the command does
            server.shutdown()
    print(json.dumps(result, indent=2) if arguments.json else as_text(result))


def as_text(result: dict[str, Any]) -> str:
    lines = []
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
