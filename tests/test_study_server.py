"""Answers and the page's server: one way through, resumed at any time, and nothing acknowledged is ever lost."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest

import studied
from processes import python
from talkmesh.errors import TalkmeshError
from talkmesh.study.answers import Answer, Answers, count_answers
from talkmesh.study.folder import ANSWERS, read_key, read_shown
from talkmesh.study.server import Server

TASTE = studied.prefers("ours", "ground_truth", "pseudo", "still")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return studied.built(root)


@pytest.fixture
def folder(whole: Path) -> Iterator[Path]:
    yield whole
    for file in whole.glob("answers.sqlite*"):
        file.unlink()


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with Server(folder, "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def answer_of(page: dict, code: str, side: str = "left") -> dict:
    return {
        "code": code, "step": page["step"], "trial": page["trial"], "question": page["question"], "side": side,
        "seconds": 1.0,
    }  # fmt: skip


def test_a_way_from_the_first_question_to_the_last(server: Server, folder: Path) -> None:
    key = read_key(folder)
    code = studied.call(f"{server.url}api/participants", {})[1]["code"]
    page = studied.call(f"{server.url}api/step?code={code}")[1]
    seen = []
    while not page["done"]:
        seen.append((page["trial"], page["question"]))
        assert page["step"] == len(seen) - 1
        assert (page["face"] != "") == (page["question"] == "similarity"), (
            "the real face would sway other answers"
        )
        status, page = studied.call(
            f"{server.url}api/answers", answer_of(page, code, studied.choice(key, page, TASTE))
        )
        assert status == 200
    assert len(set(seen)) == len(seen) == 7 * 3 == page["steps"]
    assert studied.call(f"{server.url}api/step?code={code}")[1]["done"]
    given = Answers(folder / ANSWERS, read_shown(folder).id).given()
    assert [(a.trial, a.question) for a in given] == seen
    assert all(key.methods[a.video] != "still" for a in given if key.pairs[a.trial].kind == "still")


def test_a_participant_goes_on_where_he_was_and_may_go_back(server: Server) -> None:
    code = studied.call(f"{server.url}api/participants", {})[1]["code"]
    first = studied.call(f"{server.url}api/step?code={code}")[1]
    second = studied.call(f"{server.url}api/answers", answer_of(first, code, "left"))[1]
    assert studied.call(f"{server.url}api/step?code={code}")[1] == second
    again = studied.call(f"{server.url}api/step?code={code}&step=0")[1]
    assert again["chosen"] == "left"
    assert {k: v for k, v in again.items() if k not in ("chosen", "answered")} == {
        k: v for k, v in first.items() if k not in ("chosen", "answered")
    }
    assert studied.call(f"{server.url}api/answers", answer_of(again, code, "right"))[1] == second
    answers = server.answers.given()
    assert [(a.side, a.trial) for a in answers] == [("right", first["trial"])], "the last answer counts"
    with sqlite3.connect(server.answers.path) as base:
        assert base.execute("SELECT COUNT(*) FROM answers").fetchone() == (2,), "and none is removed"


def test_an_answer_sent_twice_is_one_answer(server: Server) -> None:
    code = studied.call(f"{server.url}api/participants", {})[1]["code"]
    page = studied.call(f"{server.url}api/step?code={code}")[1]
    replies = [studied.call(f"{server.url}api/answers", answer_of(page, code))[1] for _ in range(2)]
    assert replies[0] == replies[1]
    assert len(server.answers.given()) == 1


def test_several_people_at_once_have_sessions_of_their_own(server: Server, folder: Path) -> None:
    def walk(_: int) -> list[tuple[str, str, str]]:
        code = studied.call(f"{server.url}api/participants", {})[1]["code"]
        page = studied.call(f"{server.url}api/step?code={code}")[1]
        way = []
        while not page["done"]:
            way.append((page["trial"], page["left"], page["question"]))
            page = studied.call(f"{server.url}api/answers", answer_of(page, code))[1]
        return way

    with ThreadPoolExecutor(3) as pool:
        ways = list(pool.map(walk, range(3)))
    assert len({tuple(way) for way in ways}) == 3
    assert len(server.answers.given()) == 3 * 21
    assert server.answers.participants() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"code": "nobody"}, "nobody has this code"),
        ({"trial": "000000000000"}, "no answer to a question that was asked"),
        ({"trial": ["x"]}, "no answer to a question that was asked"),
        ({"question": "similarity"}, "no answer to a question that was asked"),
        ({"side": "middle"}, "no answer to a question that was asked"),
        ({"seconds": -1}, "seconds must be a time"),
        ({"seconds": True}, "seconds must be a time"),
        ({"step": "x"}, "needs code, step"),
    ],
)
def test_what_is_no_answer_is_refused_and_not_kept(changes: dict, sentence: str, server: Server) -> None:
    code = studied.call(f"{server.url}api/participants", {})[1]["code"]
    page = studied.call(f"{server.url}api/step?code={code}")[1]
    status, reply = studied.call(f"{server.url}api/answers", answer_of(page, code) | changes)
    assert status == 400
    assert sentence in reply["error"]
    assert server.answers.given() == []


def test_later_questions_and_foreign_requests_are_refused(server: Server) -> None:
    code = studied.call(f"{server.url}api/participants", {})[1]["code"]
    assert studied.call(f"{server.url}api/step?code={code}&step=1") == (
        400,
        {"error": "step 1 is not reached yet"},
    )
    assert studied.call(f"{server.url}api/step?code={code}&step=-1")[0] == 400
    assert studied.call(f"{server.url}api/step")[0] == 400
    assert studied.call(f"{server.url}api/answers", raw=b"{")[0] == 400
    assert studied.call(f"{server.url}api/answers", raw=b"[]")[0] == 400
    assert studied.call(f"{server.url}api/answers", raw=b"x" * 20_000)[0] == 400
    # a form of a foreign page cannot be made to say JSON
    assert studied.call(f"{server.url}api/participants", raw=b"{}", kind="text/plain")[0] == 400
    assert studied.call(f"{server.url}api/nothing", {})[0] == 404


def test_nothing_but_the_page_and_named_videos_is_served(server: Server, folder: Path) -> None:
    names = [f"media/{t.left}.mp4" for t in server.shown.trials]
    assert studied.call(server.url + names[0])[0] == 200
    for path in (
        "key.json", "study.json", "answers.sqlite", "media/", "media/../key.json", "media/%2e%2e/key.json",
        "media/..%2fkey.json.mp4", "media/000000000000.mp4", "page.html/../../key.json", "report/table3.md",
    ):  # fmt: skip
        status, body = studied.call(server.url + path)
        assert (status, body) == (404, b"not found\n"), path
    told = studied.call(server.url)[1] + studied.call(f"{server.url}page.js")[1]
    told += str(studied.call(f"{server.url}api/study")[1]).encode()
    assert not any(word in told for word in (b"ours", b"pseudo", b"ground_truth", b"://"))


def test_the_server_does_without_the_key(folder: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "key.json"
    (folder / "key.json").rename(hidden)
    try:
        with Server(folder, "127.0.0.1", 0) as made:
            assert made.shown.trials
    finally:
        hidden.rename(folder / "key.json")


def test_parts_of_videos_are_what_browsers_ask_for(server: Server, folder: Path) -> None:
    name = f"media/{server.shown.trials[0].left}.mp4"
    content = (folder / name).read_bytes()
    size = len(content)

    def part(asked: str) -> tuple[int, str | None, bytes]:
        request = urllib.request.Request(server.url + name, headers={"Range": asked})
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.headers["Content-Range"], reply.read()

    assert part("bytes=0-") == (206, f"bytes 0-{size - 1}/{size}", content)
    assert part("bytes=10-19") == (206, f"bytes 10-19/{size}", content[10:20])
    assert part("bytes=-7") == (206, f"bytes {size - 7}-{size - 1}/{size}", content[-7:])
    assert part(f"bytes=5-{size + 100}")[2] == content[5:]
    assert part("frames=1-2") == (200, None, content)
    with pytest.raises(urllib.error.HTTPError, match="416"):
        part(f"bytes={size}-")


def test_a_killed_server_loses_no_answer_that_it_acknowledged(folder: Path) -> None:
    """SIGKILL between answers, and in the middle of some: what was acknowledged is there, what is there is whole."""
    script = (
        "from pathlib import Path; from talkmesh.study.server import Server\n"
        f"with Server(Path({str(folder)!r}), '127.0.0.1', 0) as server:\n"
        "    print(server.url, flush=True); server.serve_forever()\n"
    )
    code, known = "", 0
    for round_ in range(4):
        with python(script) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            code = code or studied.call(f"{url}api/participants", {})[1]["code"]
            page = studied.call(f"{url}api/step?code={code}")[1]
            assert page["answered"] == known, "an acknowledged answer was lost, or half an answer was kept"
            for _ in range(3):
                page = studied.call(f"{url}api/answers", answer_of(page, code))[1]
                known += 1
            if round_ % 2:  # killed while an answer is on its way
                late = threading.Thread(target=_ignoring, args=(url, answer_of(page, code)))
                late.start()
            process.send_signal(signal.SIGKILL)
            if round_ % 2:
                late.join()
        answers = Answers(folder / ANSWERS, read_shown(folder).id)
        number = answers.number(code)
        kept = len(answers.given(number))
        assert known <= kept <= known + round_ % 2
        known = kept
        with sqlite3.connect(answers.path) as base:
            assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _ignoring(url: str, answer: dict) -> None:
    with contextlib.suppress(OSError, HTTPException):
        studied.call(f"{url}api/answers", answer)


def test_answers_to_another_build_and_broken_files_are_refused(folder: Path, tmp_path: Path) -> None:
    Answers(folder / ANSWERS, "another").prepare()
    with pytest.raises(TalkmeshError, match="another build of the study"):
        Server(folder, "127.0.0.1", 0)
    broken = tmp_path / "answers.sqlite"
    broken.write_bytes(b"no database, but something else" * 100)
    with pytest.raises(TalkmeshError, match="not a database"):
        Answers(broken, "x").prepare()
    with pytest.raises(TalkmeshError, match="is it a SQLite file"):
        count_answers(broken)


def test_an_answer_that_cannot_be_kept_is_not_acknowledged(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = studied.call(f"{server.url}api/participants", {})[1]["code"]
    page = studied.call(f"{server.url}api/step?code={code}")[1]

    def full(*_: object) -> None:
        raise TalkmeshError("answers.sqlite: database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Answers, "record", full)
        assert studied.call(f"{server.url}api/answers", answer_of(page, code)) == (
            500, {"error": "answers.sqlite: database or disk is full"},
        )  # fmt: skip
    assert studied.call(f"{server.url}api/answers", answer_of(page, code))[0] == 200


def test_a_missing_video_and_a_taken_port_are_told(folder: Path, server: Server) -> None:
    with pytest.raises(TalkmeshError, match="choose another --port"):
        Server(folder, "127.0.0.1", server.server_address[1])
    video = next((folder / "media").iterdir())
    content = video.read_bytes()
    video.unlink()
    try:
        with pytest.raises(TalkmeshError, match=f"{video.name} not found: copy the whole folder"):
            Server(folder, "127.0.0.1", 0)
    finally:
        video.write_bytes(content)


def test_the_command_serves_until_it_is_told_to_end(folder: Path) -> None:
    words = [sys.executable, "-m", "talkmesh.cli", "study", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert studied.call(said.split()[1] + "api/study")[1]["pairs"] == 7
        process.send_signal(signal.SIGTERM)  # a shell may have had SIGINT ignored
        assert process.wait(120) == 128 + signal.SIGTERM


def test_every_commit_waits_for_the_disk(folder: Path) -> None:
    answers = Answers(folder / ANSWERS, "x")
    answers.prepare()
    with answers._open() as base:
        assert base.execute("PRAGMA synchronous").fetchone() == (2,)
        assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with pytest.raises(TalkmeshError, match="FOREIGN KEY"):
        answers.record(Answer(99, "t", "realism", "left", "v", 1.0))
