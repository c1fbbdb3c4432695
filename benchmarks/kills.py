"""Kill drills: what is left when a process dies in the middle of its work.

    python -m benchmarks.kills [--json] [--kills N] [DRILL ...]

export    `talkmesh animate` to every format, killed at N random moments, in every second round over an earlier export:
          under a final name there is a whole file, the earlier or the new one, or nothing
study     the study's server, killed at N random moments while three people answer: no acknowledged answer is missing

Processes are forked from one that has loaded everything, so that the kill falls into the work and not into imports.
Exit code 1 if anything half was found, or an answer was lost.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads would not survive the forks
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import av
import soundfile

import models_on_disk
import studied
import tiny_project
from benchmarks.drills import command
from talkmesh import opengl
from talkmesh.bundle import Bundle
from talkmesh.errors import TalkmeshError
from talkmesh.export.sounds import animate_file
from talkmesh.export.usd import check_usd
from talkmesh.files import content_hash
from talkmesh.models.regressor import Regressor, RegressorConfig
from talkmesh.study.answers import Answers
from talkmesh.study.folder import ANSWERS, read_shown
from talkmesh.study.server import Server

SECONDS = (2.0, 3.0)  # of the earlier sound and of the new one
PEOPLE = 3


def forked(work: Callable[[], None]) -> int:
    """Start a process that does `work` and ends; return its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        silent = os.open(os.devnull, os.O_RDWR)
        for number in (1, 2):
            os.dup2(silent, number)
        work()
        code = 0
    finally:
        os._exit(code)


# ------------------------------------------------------------------------------------------------------- exports


def content(path: Path) -> str:
    """Return what tells a whole file from any other: the hash of what is in it; of a video or USD, its frames."""
    if not path.exists():
        return "nothing"
    if path.is_dir():
        return content_hash(*(part for f in sorted(path.iterdir()) for part in (f.name, f)))
    if path.suffix == ".mp4":
        with av.open(str(path)) as video:
            return f"{sum(1 for _ in video.decode(video=0))} frames"
    if path.suffix == ".usdc":
        from pxr import Usd

        return f"{Usd.Stage.Open(str(path)).GetEndTimeCode()} frames"
    return content_hash(path)


def names() -> list[str]:
    """The outputs that this machine can write."""
    found = ["line.glb", "line.csv", "line.npz", "line_obj"]
    with contextlib.suppress(TalkmeshError):
        check_usd("line.usdc")
        found.append("line.usdc")
    if not os.waitpid(forked(opengl.context), 0)[1]:  # elsewhere: what draws must not fork
        found.append("line.mp4")
    return found


def small_bundle(root: Path) -> Bundle:
    """A model with random weights, whose rig has shapes of ARKit's names."""
    model = models_on_disk.bundle_in(root)
    import torch

    rig = tiny_project.tiny_rig()
    geometry = Regressor(RegressorConfig("resnet18", 4, 0.0, 0, 0, 0, 0, 0), torch.from_numpy(rig.neutral))
    return Bundle(model.transcoder, geometry.eval(), rig, model.framing, model.fps)


def export(root: Path, kills: int) -> dict[str, Any]:
    """Kill exports at random moments and look at what lies under their names."""
    bundle, moments, outputs = small_bundle(root), random.Random(7), names()
    for k, seconds in enumerate(SECONDS):
        soundfile.write(root / f"{k}.wav", models_on_disk.sound(seconds, k), 16_000)
    whole: list[dict[str, str]] = []
    for k in range(2):
        process = forked(lambda k=k: _write(bundle, root / f"{k}.wav", root / f"whole{k}", outputs))  # type: ignore[misc]
        start = time.monotonic()
        if os.waitpid(process, 0)[1]:
            raise RuntimeError("the export does not work")
        length = time.monotonic() - start
        whole.append({name: content(root / f"whole{k}" / name) for name in outputs})
    half: list[str] = []
    killed = finished = left = 0
    for round_ in range(kills):
        out = root / f"out{round_}"
        if round_ % 2:
            os.waitpid(forked(lambda out=out: _write(bundle, root / "0.wav", out, outputs)), 0)  # type: ignore[misc]
        process = forked(lambda out=out: _write(bundle, root / "1.wav", out, outputs))  # type: ignore[misc]
        time.sleep(moments.uniform(0.02, 1.0) * length)
        os.kill(process, signal.SIGKILL)
        died = os.waitpid(process, 0)[1] == signal.SIGKILL
        killed, finished = killed + died, finished + (not died)
        for name in outputs:
            try:
                found = content(out / name)
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
            fine = {whole[1][name], whole[0][name] if round_ % 2 else "nothing", "nothing"}
            half += [] if found in fine else [f"round {round_}: {name} is {found}"]
        left += len(list(out.glob(".tmp*"))) if out.exists() else 0
    return {
        "ok": not half,
        "kills": killed,
        "came_to_its_end_before": finished,
        "formats": len(outputs),
        "seconds_of_an_export": round(length, 2),
        "half_files": half,
        "temporary_files_left": left,
    }


def _write(bundle: Bundle, sound: Path, out: Path, outputs: list[str]) -> None:
    animate_file(bundle, sound, [out / name for name in outputs])


# -------------------------------------------------------------------------------------------------------- study


def study(root: Path, kills: int) -> dict[str, Any]:
    """Kill the server again and again while people answer; count answers that were acknowledged and are gone."""
    before = os.getcwd()
    os.chdir(root)
    folder = studied.built(root)
    os.chdir(before)
    moments, key = random.Random(7), studied.read_key(folder)
    acknowledged: set[tuple[int, str, str]] = set()
    unasked = 0
    answers = Answers(folder / ANSWERS, read_shown(folder).id)
    for _ in range(kills):
        reading, writing = os.pipe()
        process = forked(lambda w=writing: _serve(folder, w))  # type: ignore[misc]
        os.close(writing)
        with open(reading) as said:
            url = said.readline().strip()
        people = [
            threading.Thread(target=_answer, args=(url, key, answers, acknowledged)) for _ in range(PEOPLE)
        ]
        for person in people:
            person.start()
        time.sleep(moments.uniform(0.05, 0.6))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        for person in people:
            person.join()
        there = {(a.participant, a.trial, a.question) for a in answers.given()}
        unasked = len(there - acknowledged)
        if acknowledged - there:
            break
    lost = len(acknowledged - {(a.participant, a.trial, a.question) for a in answers.given()})
    return {
        "ok": lost == 0 and len(acknowledged) > kills,
        "kills": kills,
        "acknowledged": len(acknowledged),
        "lost": lost,
        "kept_though_the_reply_was_not_heard": unasked,
    }


def _serve(folder: Path, writing: int) -> None:
    with Server(folder, "127.0.0.1", 0) as server, open(writing, "w") as said:
        said.write(f"{server.url}\n")
        said.flush()
        server.serve_forever()


def _answer(url: str, key: Any, answers: Answers, acknowledged: set[tuple[int, str, str]]) -> None:
    """Answer one question after the other, as a new participant when all are answered, until the server is gone."""
    with contextlib.suppress(OSError, HTTPException, ValueError, KeyError):
        while True:
            code = studied.call(f"{url}api/participants", {})[1]["code"]
            number = answers.number(code)
            page = studied.call(f"{url}api/step?code={code}")[1]
            while not page["done"]:
                what = {name: page[name] for name in ("step", "trial", "question")}
                status, after = studied.call(
                    f"{url}api/answers", what | {"code": code, "side": "left", "seconds": 1.5}
                )
                if status == 200 and number is not None:
                    acknowledged.add((number, what["trial"], what["question"]))
                page = after


def main() -> int:
    return command(__doc__, {"export": export, "study": study})


if __name__ == "__main__":
    sys.exit(main())
