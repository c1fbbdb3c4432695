"""The app's queue and server without a browser: order, limits, and requests that mean no good."""

from __future__ import annotations

import errno
import io
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app_server import LIMITS, call, send, serving
from processes import python
from talkmesh.app.jobs import Job, Jobs
from talkmesh.app.server import Limits, Server
from talkmesh.errors import TalkmeshError
from talkmesh.study.server import Server as StudyServer
from talkmesh.web import Refused, is_here


class Worker:
    """Does tasks as a model would, one at a time, each as long as the test holds it."""

    def __init__(self, held: bool = False) -> None:
        self.done: list[str] = []
        self.at_once = self.most_at_once = 0
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        if not held:
            self.go.set()

    def __call__(self, job: Job, kind: str) -> dict[str, Any]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        assert self.go.wait(30)
        self.done.append(job.wish.sound if kind == "motion" else f"{job.wish.sound}.{kind}")
        self.at_once -= 1
        if job.wish.sound == "bad":
            raise TalkmeshError("bad has no sound")
        if job.wish.sound == "bug":
            raise ZeroDivisionError("/secret/place")
        if kind != "motion":
            (job.folder / f"line.{kind}").write_bytes(b"content")
            return {"file": f"line.{kind}", "bytes": 7}
        (job.folder / "mesh.bin").write_bytes(b"0123456789")
        return {"frames": 3}


def until(reached: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (value := reached()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return value


def motion(server: Server, id: str) -> dict[str, Any]:
    return call(server, "GET", f"/api/jobs/{id}")[1]["tasks"]["motion"]


def finished(server: Server, id: str) -> dict[str, Any]:
    return until(lambda: (m := motion(server, id))["state"] in ("done", "failed") and m)


def test_a_sound_becomes_a_motion_and_files(tmp_path: Path) -> None:
    with serving(tmp_path, Worker()) as server:
        status, job = send(server, "line.wav")
        assert status == 201
        assert finished(server, job["id"]) == {"state": "done", "before": 0, "error": "", "frames": 3}
        at = f"/api/jobs/{job['id']}"
        assert call(server, "GET", f"{at}/mesh.bin") == (200, b"0123456789")
        assert call(server, "GET", f"{at}/mesh.bin", headers={"Range": "bytes=2-4"}) == (206, b"234")
        assert call(server, "GET", f"{at}/files/glb")[0] == 404
        assert call(server, "POST", f"{at}/files/glb")[0] == 202
        until(lambda: call(server, "GET", at)[1]["tasks"]["glb"]["state"] == "done")
        assert call(server, "GET", f"{at}/files/glb") == (200, b"content")
        assert call(server, "POST", f"{at}/files/glb")[0] == 202, "asked for twice, made once"
        assert server.jobs._work.done == ["line.wav", "line.wav.glb"]


def test_sounds_are_said_one_after_the_other_in_the_order_in_which_they_were_taken(tmp_path: Path) -> None:
    worker = Worker(held=True)
    with serving(tmp_path, worker) as server:
        ids = [send(server, str(k))[1]["id"] for k in range(4)]
        worker.begun.acquire()
        assert [motion(server, id)["before"] for id in ids] == [0, 1, 2, 3]
        assert [motion(server, id)["state"] for id in ids] == ["working", *["waiting"] * 3]
        assert call(server, "POST", f"/api/jobs/{ids[1]}/files/glb") == (
            409, {"error": "the motion is not there yet", "kind": "too_early"},
        )  # fmt: skip
        worker.go.set()
        finished(server, ids[-1])
        assert worker.done == ["0", "1", "2", "3"]


def test_fifty_at_once_are_taken_or_told_to_come_back_and_the_order_holds(tmp_path: Path) -> None:
    worker = Worker(held=True)
    with serving(tmp_path, worker, waiting=20, kept=100) as server:
        send(server, "first")
        worker.begun.acquire()  # the queue is empty, the worker is not
        with ThreadPoolExecutor(50) as pool:
            replies = list(pool.map(lambda k: send(server, str(k), b"s" * 100_000), range(50)))
        taken = [reply for status, reply in replies if status == 201]
        full = [reply for status, reply in replies if status != 201]
        assert {reply["kind"] for reply in full} == {"queue_full"}
        assert len(taken) == 20
        assert sorted(reply["tasks"]["motion"]["before"] for reply in taken) == list(range(1, 21))
        assert len(list(tmp_path.iterdir())) == 21, "what was refused left nothing behind"
        names = {reply["id"]: str(k) for k, (status, reply) in enumerate(replies) if status == 201}
        order = sorted(taken, key=lambda reply: reply["tasks"]["motion"]["before"])
        worker.go.set()
        for reply in taken:
            finished(server, reply["id"])
        assert worker.done == ["first", *(names[reply["id"]] for reply in order)]
        assert worker.most_at_once == 1


def test_memory_does_not_grow_with_what_is_sent(tmp_path: Path) -> None:
    """Fifty uploads of 8 MB side by side: held in memory they would be 400 MB."""
    script = (
        "import pathlib, resource, threading, sys, http.client\n"
        "import app_server\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from talkmesh.app.server import Limits\n"
        f"root = pathlib.Path({str(tmp_path)!r})\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "body = bytes(8_000_000)\n"
        "work = lambda job, kind: (job.folder / 'sound').unlink() or {}\n"
        "with app_server.serving(root, work, 60, 60, Limits(10_000_000, 1)) as server:\n"
        "    app_server.send(server, 'x', body)\n"
        "    before = peak()\n"
        "    with ThreadPoolExecutor(50) as pool:\n"
        "        found = list(pool.map(lambda k: app_server.send(server, str(k), body)[0], range(50)))\n"
        "    print(found.count(201), peak() - before, flush=True)\n"
    )
    with python(script) as process:
        assert process.stdout is not None
        taken, more = process.stdout.readline().split()
    assert int(taken) == 50
    assert float(more) < 60, "MB"


def test_limits_are_told_in_one_sentence(tmp_path: Path) -> None:
    with serving(tmp_path, Worker(), limits=Limits(1000, 10)) as server:
        status, reply = send(server, "line.wav", b"x" * 200_000)
        assert (status, reply["kind"]) == (413, "too_large")
        assert reply["error"] == "the file is larger than 0.001 MB: cut it or compress it"
        assert send(server, "a.txt", b"no sound") == (
            415, {"error": "a.txt cannot be read as video or sound: damaged or not media", "kind": "no_sound"},
        )  # fmt: skip
        assert call(server, "POST", "/api/jobs", headers={"Content-Length": "-5"})[0] == 411
        assert call(server, "POST", "/api/jobs", headers={"Content-Length": "9" * 30})[0] == 411
        for words, kind in (
            ({"model": "../ours"}, "unknown_model"),
            ({"character": "/etc/passwd"}, "unknown_character"),
            ({"amplitude": "x"}, "bad_number"),
            ({"amplitude": "nan"}, "bad_number"),
            ({"fps": "1e9"}, "bad_number"),
        ):
            status, reply = send(server, "a", b"s", **words)
            assert (status, reply["kind"]) == (400, kind)
        assert list(tmp_path.iterdir()) == []


def test_what_fails_inside_is_told_without_what_is_inside(tmp_path: Path) -> None:
    with serving(tmp_path, Worker()) as server:
        bad, bug, good = (send(server, name)[1]["id"] for name in ("bad", "bug", "good"))
        assert finished(server, bad) == {"state": "failed", "before": 0, "error": "bad has no sound"}
        assert finished(server, bug)["error"].startswith("something went wrong inside")
        assert finished(server, good)["state"] == "done", "the queue goes on"
        assert call(server, "POST", f"/api/jobs/{bad}/files/glb")[0] == 409


def test_an_upload_that_breaks_off_leaves_nothing_and_gives_its_place_back(tmp_path: Path) -> None:
    with serving(tmp_path, Worker(), waiting=1) as server:
        for _ in range(3):
            with socket.create_connection(server.server_address[:2]) as client:
                client.sendall(
                    b"POST /api/jobs?name=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\nbegin"
                )
                until(lambda: list(tmp_path.glob("*/sound")))
                assert send(server, "b") == (
                    503, {"error": "1 are waiting already: try again in a minute", "kind": "queue_full"},
                )  # fmt: skip
            until(lambda: not list(tmp_path.iterdir()))
        assert send(server, "c")[0] == 201
        assert server.jobs._work.done in ([], ["c"])


@pytest.mark.parametrize("room", [None, 3], ids=["none left", "for a part of a piece"])
def test_a_full_disk_is_told_and_no_sound_is_cut_short(
    room: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        def write(self, piece: Any) -> int:
            if room is None:
                raise OSError(errno.ENOSPC, "no space left on device")
            return super().write(piece[:room])

    with serving(tmp_path, Worker()) as server:
        with monkeypatch.context() as patch:
            patch.setattr(
                "talkmesh.app.server.open", lambda path, mode, buffering: Full(path, mode), raising=False
            )
            status, reply = send(server, "a", b"long enough")
        assert (status, reply["kind"]) == (507, "disk_full")
        assert list(tmp_path.iterdir()) == []
        assert send(server, "b")[0] == 201, "and the page goes on"


def test_a_job_is_cancelled_while_it_waits_and_while_it_is_worked_on(tmp_path: Path) -> None:
    worker = Worker(held=True)
    with serving(tmp_path, worker) as server:
        ids = [send(server, str(k))[1]["id"] for k in range(3)]
        worker.begun.acquire()
        for id in ids[:2]:
            assert call(server, "DELETE", f"/api/jobs/{id}") == (200, {})
            assert call(server, "GET", f"/api/jobs/{id}")[0] == 404
        assert motion(server, ids[2])["before"] == 1, "the worker ends what it has begun"
        worker.go.set()
        finished(server, ids[2])
        assert worker.done == ["0", "2"]
        until(lambda: [folder.name for folder in tmp_path.iterdir()] == [ids[2]])


def test_the_oldest_results_give_way(tmp_path: Path) -> None:
    with serving(tmp_path, Worker(), kept=3) as server:
        ids = []
        for k in range(5):
            ids.append(send(server, str(k))[1]["id"])
            finished(server, ids[-1])
        assert {folder.name for folder in tmp_path.iterdir()} == set(ids[2:])
        status, reply = call(server, "GET", f"/api/jobs/{ids[0]}")
        assert (status, reply["kind"]) == (404, "gone")
        assert "let the sound be said again" in reply["error"]
        assert call(server, "GET", f"/api/jobs/{ids[0]}/mesh.bin")[0] == 404


def test_ids_cannot_be_guessed_and_hostile_paths_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_text("secret")
    with serving(tmp_path / "jobs", Worker()) as server:
        (tmp_path / "jobs").mkdir()
        ids = {send(server, "a")[1]["id"] for _ in range(4)}
        assert all(len(id) == 32 for id in ids)
        assert len(ids) == 4
        for id in ids:
            finished(server, id)
        id = min(ids)
        for path in (
            f"/api/jobs/{id}/../../secret.bin", f"/api/jobs/{id}/%2e%2e/secret.bin", "/api/jobs/../secret.bin",
            f"/api/jobs/{id}/sound", f"/api/jobs/{id}/motion.npy", f"/api/jobs/{id}/files/..", f"/api/jobs/{id}/",
            f"/api/jobs/{id}/files/motion", f"/api/jobs/{id}/sheet-0.jpg%00", f"/api/jobs/{id.upper()}x", "/server.py",
            "/page.html/../server.py", "/..//etc/passwd", "//etc/passwd", f"/api/jobs/{'0' * 32}", "/api/jobs/",
            "/api/jobs/" + "a" * 10_000,
        ):  # fmt: skip
            with socket.create_connection(
                server.server_address[:2]
            ) as client:  # http.client refuses some of these
                client.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
                )
                reply = b"".join(iter(lambda: client.recv(65_536), b""))
            assert reply.split()[1] in (b"404", b"400"), path
            assert b"secret" not in reply.partition(b"\r\n\r\n")[2]
        for kind in ("motion", "exe", "GLB", "npy"):
            assert call(server, "POST", f"/api/jobs/{id}/files/{kind}")[0] == 404
        assert call(server, "PUT", f"/api/jobs/{id}")[0] == 501


@pytest.mark.parametrize("server_of", [Server, StudyServer])
def test_names_that_a_stranger_lets_point_here_are_refused(server_of: type, tmp_path: Path) -> None:
    """Both pages share the check; it is tried on the app's."""
    assert server_of.__mro__[1].__module__ == "talkmesh.web"
    with serving(tmp_path, Worker()) as server:
        port = server.server_address[1]
        here = f"127.0.0.1:{port}"
        for host in (
            f"evil.example:{port}",
            f"localhost.evil.example:{port}",
            "",
            "127.0.0.1.evil.example",
            "a@b:c:d",
        ):
            status, reply = call(server, "GET", "/", headers={"Host": host})
            assert status == 403
            assert b"open the page by the address that the terminal shows" in reply
        for host in (here, f"localhost:{port}", "[::1]:80", "192.168.1.7:8010"):
            assert call(server, "GET", "/", headers={"Host": host})[0] == 200
        for origin in ("http://evil.example", "null", f"http://localhost:{port}", f"https://{here}"):
            headers = {"Host": here, "Origin": origin}
            assert call(server, "POST", "/api/jobs?name=a", b"sound", headers)[0] == 403
            assert call(server, "DELETE", f"/api/jobs/{'0' * 32}", headers=headers)[0] == 403
        own = {"Host": here, "Origin": f"http://{here}"}
        assert call(server, "POST", "/api/jobs?name=a", b"sound", own)[0] == 201
    assert not is_here("[::1")


def test_the_page_asks_nobody_else_and_says_what_it_offers(tmp_path: Path) -> None:
    with serving(tmp_path, Worker()) as server:
        texts = [call(server, "GET", path)[1] for path in ("/", "/page.css", "/page.js", "/scene.js")]
        text = b"".join(texts).replace(b"http://www.w3.org/2000/svg", b"")  # a name, not an address
        assert b"://" not in text
        about = call(server, "GET", "/api/about")[1]
        assert about["limits"] == {"bytes": LIMITS.bytes, "seconds": LIMITS.seconds}
        assert [model["name"] for model in about["models"]] == ["ours"]
        assert {"mp4", "glb", "csv", "npz"} <= set(about["files"])
        assert about["light"]["vertex"].startswith("#version 300 es\n")
        assert "nowhere" not in json.dumps(about), "no place on the disk is told"


def test_a_full_queue_refuses_files_too_and_a_failed_one_is_tried_again(tmp_path: Path) -> None:
    calls = itertools.count()

    def work(job: Job, kind: str) -> dict[str, Any]:
        if kind == "csv" and next(calls) == 0:
            raise TalkmeshError("the disk is full")
        return {"file": "line.csv"}

    jobs = Jobs(tmp_path, work, waiting=1, kept=5)
    with jobs.place() as folder:
        jobs.add(folder, None)
    jobs.ask(_moved(jobs, folder.name), "csv")
    with pytest.raises(Refused, match="1 are waiting already"):
        jobs.ask(folder.name, "glb")
    worker = threading.Thread(target=jobs.run)
    worker.start()
    until(lambda: jobs.status(folder.name)["tasks"]["csv"]["state"] == "failed")
    assert jobs.status(folder.name)["tasks"]["csv"]["error"] == "the disk is full"
    jobs.ask(folder.name, "csv")
    until(lambda: jobs.status(folder.name)["tasks"]["csv"]["state"] == "done")
    jobs.close()
    worker.join()


def _moved(jobs: Jobs, id: str) -> str:
    """Do the first task of a job here and now."""
    pair = jobs._next()
    assert pair is not None
    pair[0].tasks["motion"].state = "done"
    jobs._current = None
    return id
