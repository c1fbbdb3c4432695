"""The page in a real browser, from the first question to the table, through a reload and a killed server."""

from __future__ import annotations

import csv
import signal
import subprocess
from pathlib import Path

import pytest

import studied
from chromium import BROWSER, Page, browsing
from processes import python
from talkmesh import cli
from talkmesh.study.answers import Answers
from talkmesh.study.design import Checks
from talkmesh.study.folder import ANSWERS, Key, read_key, read_shown

STUDY = studied.study(
    studied.part(sentences=1), checks=Checks(still=1, max_wrong=0, repeats=1, min_consistent=1)
)
STEPS = 4 * 3
ANSWERABLE = "!!step && !document.querySelector('.choice').disabled && performance.now() - ready > SETTLE_MS"
ORDER = {  # better first; the lips of the truth are liked, its looks are not
    "realism": ("ours", "pseudo", "ground_truth", "still"),
    "lip_sync": ("ground_truth", "ours", "pseudo", "still"),
    "similarity": ("ours", "ground_truth", "pseudo", "still"),
}


def serving(folder: Path, port: int) -> subprocess.Popen[str]:
    return python(
        "from pathlib import Path; from talkmesh.study.server import Server\n"
        f"with Server(Path({str(folder)!r}), '127.0.0.1', {port}) as server:\n"
        "    print(server.url, flush=True); server.serve_forever()\n"
    )


def choose(page: Page, key: Key, by_mouse: bool) -> None:
    """Answer the question that the page shows, by what only the test knows, and wait for the next one."""
    page.until(ANSWERABLE)
    step = page.value("step")
    taste = studied.prefers(*ORDER[step["question"]])
    side = studied.choice(key, step, taste)
    shown = page.value("shown().map(v => v.getAttribute('src'))")
    faces = [step["left"], step["face"], step["right"]]
    assert shown == [f"media/{name}.mp4" for name in faces if name]
    assert page.seen("#face") == (step["question"] == "similarity")
    assert page.text("#question") == step["text"]
    if by_mouse:
        page.click(f".choice[data-side={side}]")
    else:
        page.press({"left": "ArrowLeft", "right": "ArrowRight"}[side])
    page.until(f"step.step === {step['step'] + 1}")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_from_the_first_question_to_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = studied.built(tmp_path, STUDY)
    key, shown = read_key(folder), read_shown(folder)
    answers = Answers(folder / ANSWERS, shown.id)
    server = serving(folder, 0)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with browsing(tmp_path / "profile") as page:
            page.open(url)
            page.until("document.getElementById('intro')?.hidden === false")
            assert "4 pairs and 12 questions" in page.text("#intro")
            page.click("#begin")
            # nothing can be answered before both faces were watched to the end
            page.until("!!step")
            page.press("ArrowLeft")
            assert page.value("step.step") == 0
            assert answers.given() == []
            choose(page, key, by_mouse=True)
            assert len(answers.given()) == 1, "the page goes on only with an answer that is kept"
            page.until(ANSWERABLE)  # the second question is on the same pair, which was watched
            page.press("Backspace")
            page.until("step.step === 0")
            assert page.value("document.querySelectorAll('.choice.before').length") == 1
            choose(page, key, by_mouse=False)
            choose(page, key, by_mouse=False)
            page.until(ANSWERABLE)
            # Space plays again, all faces in step
            page.press(" ")
            page.until("shown().every(v => !v.paused) || shown().every(v => v.ended)")
            page.until(ANSWERABLE)

            server.send_signal(signal.SIGKILL)
            server.wait()
            page.press("a")
            page.until("!document.getElementById('trouble').hidden")
            assert "Your answers so far are safe" in page.text("footer")
            assert page.value("step.step") == 2
            server.stdout.close()
            server = serving(folder, int(url.rstrip("/").rpartition(":")[2]))
            page.until("step.step === 3")
            assert not page.seen("#trouble")
            answered = answers.given()
            assert len(answered) == 3

            page.open(url)  # without the code in the address: the browser remembers it
            page.until("document.getElementById('intro')?.hidden === false")
            assert page.text("#begin") == "Go on with pair 2"
            page.click("#begin")
            page.until("!!step && step.step === 3")
            assert answers.given() == answered
            assert answers.participants() == [0]
            page.press("Backspace")  # what was pressed blindly is put right
            page.until("step.step === 2")
            for k in range(2, STEPS):
                choose(page, key, by_mouse=k % 2 == 0)
            page.until("!document.getElementById('done').hidden")
            assert page.text("#count") == "finished"
            assert page.complaints == []
            assert all(request.startswith(url) for request in page.requests), "nothing comes from elsewhere"
            assert not any("key" in request for request in page.requests)
    finally:
        server.kill()
        server.wait()

    assert cli.main(["study", "report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "1 participant counted" in said
    assert "| Ours vs. GT | 100.0 [20.7, 100.0], p 1.000 | 43.0 | 0.0 [0.0, 79.3], p 1.000 | 45.0 |" in said
    with open(folder / "report/table3.csv", newline="") as file:
        rows = {(row["competitor"], row["column"]): row["share"] for row in csv.DictReader(file)}
    assert rows == {
        ("ground_truth", "Realism"): "1", ("ground_truth", "Lip Sync"): "0", ("ground_truth", "Similarity"): "1",
        ("pseudo", "Realism"): "1", ("pseudo", "Lip Sync"): "1", ("pseudo", "Similarity"): "1",
    }  # fmt: skip
