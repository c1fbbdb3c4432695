"""The app in a real browser: a sound file in, a face that moves in 3D, a curve, pictures and a file out."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from chromium import BROWSER, MICROPHONE, WEBGL, Page, browsing
from models_on_disk import sound, talking_bundle
from talkmesh.rig import write_rig
from tiny_project import tiny_rig

PLACE = "(b => [b.x, b.y, b.width, b.height].map(Math.round))(document.querySelector({0!r}).getBoundingClientRect())"


def seen(page: Page, selector: str, scratch: Path) -> np.ndarray:
    """Return what the browser shows of an element, (H, W, 3)."""
    page.picture(scratch / "now.png")
    x, y, width, height = page.value(PLACE.format(selector))
    image = Image.open(io.BytesIO((scratch / "now.png").read_bytes())).convert("RGB")
    return np.asarray(image)[y : y + height, x : x + width].astype(int)


def at(page: Page, seconds: float) -> None:
    """Go to a place in time, and wait until it is drawn."""
    page.value(f"$('audio').pause() || ($('audio').currentTime = {seconds})")
    page.until("!$('audio').seeking && shown.ticked === $('audio').currentTime")
    page.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_from_a_sound_file_to_a_face_that_moves(tmp_path: Path) -> None:
    rig = tiny_rig()
    talking_bundle(tmp_path, rig, fast=True)
    (tmp_path / "models/bundles").mkdir(parents=True)
    (tmp_path / "ours").rename(tmp_path / "models/bundles/ours")
    write_rig(tmp_path / "models/rigs/character.npz", rig)
    soundfile.write(tmp_path / "line.flac", sound(2.0), 16_000)
    (tmp_path / "notes.mp3").write_text("no sound at all")
    words = [sys.executable, "-m", "talkmesh.cli", "app", "--port", "0", "--seconds", "20"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().split()[1]
            with browsing(tmp_path / "profile", (1280, 900), (*WEBGL, *MICROPHONE)) as page:
                _use(page, url, tmp_path)
                assert page.complaints == []
                assert all(r.startswith((url, "blob:")) for r in page.requests), (
                    "nothing comes from elsewhere"
                )
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 128 + signal.SIGTERM


def _use(page: Page, url: str, scratch: Path) -> None:
    page.open(url)
    page.until("typeof about !== 'undefined' && !!about && !!scene")
    assert not page.seen("#player")
    page.choose_file("#file", scratch / "notes.mp3")
    page.until("!document.getElementById('go').disabled")
    page.click("#go")
    page.until("!document.getElementById('trouble').hidden")
    assert page.text("#trouble").startswith("notes.mp3 cannot be read as video or sound")

    page.choose_file("#file", scratch / "line.flac")
    page.until("document.getElementById('chosen').textContent === 'line.flac'")
    page.click("#go")
    page.until("!!shown && shown.moves.frames === shown.frames")
    assert not page.seen("#trouble")
    assert not page.seen("#pictures"), "the fast path decodes no pictures"

    # it plays by itself, on the clock of the sound
    page.until("shown.ticked > 0.3 || document.getElementById('audio').ended")
    openings = page.value("shown.opening")
    closed, wide = (float(np.argmin(openings)) / 25, float(np.argmax(openings)) / 25)
    at(page, closed)
    first = seen(page, "#canvas", scratch)
    at(page, wide)
    second = seen(page, "#canvas", scratch)
    changed = np.abs(second - first).max(2) > 25
    assert changed.mean() > 0.002, "the lips move"
    at(page, closed)
    np.testing.assert_array_equal(seen(page, "#canvas", scratch), first), "and come back"
    empty = page.value("getComputedStyle(document.getElementById('empty')).display")
    assert empty == "none"
    skin = (first[..., 0] > first[..., 2] + 15).mean()
    assert skin > 0.05, "there is a face"

    # the curve is that of the motion, over the loudness of the sound
    d = page.value("document.querySelector('#curve .opening').getAttribute('d')")
    assert d.count("L") == len(openings) - 1
    heights = np.array([float(pair.split()[1]) for pair in d[1:].split("L")])
    assert np.corrcoef(heights, openings)[0, 1] < -0.999
    blue = seen(page, "#curve", scratch)
    assert ((blue[..., 2] > blue[..., 0] + 60).mean()) > 0.003, "it is drawn"

    # turned by keys, and set back
    page.value("document.getElementById('canvas').focus()")
    page.press("ArrowLeft")
    at(page, closed)
    turned = seen(page, "#canvas", scratch)
    assert (np.abs(turned - first).max(2) > 25).mean() > 0.01
    page.press("Home")
    page.value("$('canvas').blur()")  # without the ring about what has the keys
    at(page, closed)
    back = seen(page, "#canvas", scratch)
    assert (np.abs(back - first).max(2) > 25).mean() < 0.01
    page.press(" ")
    page.until("!document.getElementById('audio').paused || document.getElementById('audio').ended")

    # a file
    page.value(
        "window.saved = []; HTMLAnchorElement.prototype.click = function () { saved.push(this.href); }"
    )
    page.value("document.querySelector('[data-kind=glb]').click()")
    page.until("saved.length === 1")
    head = page.value("fetch(saved[0]).then(r => r.text()).then(t => t.slice(0, 4))")
    assert head == "glTF"
    assert "MB, lips within 0.0" in page.text("[data-kind=glb]")

    # with the decoded faces, from the microphone; the full path
    page.click("#fast")
    page.click("#record")
    page.until("!!recorder && performance.now() > 0")
    page.until("parseFloat(document.getElementById('chosen').textContent) > 0.6")
    page.click("#record")
    page.until("sound.name.startsWith('recording.')")
    page.click("#go")
    page.until("shown.sound.startsWith('recording.') && shown.painted >= 0 && !!shown.pictures")
    assert page.seen("#pictures")
    assert seen(page, "#speaker", scratch).std() > 5

    # the address brings it back, and it fits narrow and wide windows, light and dark
    address = page.value("location.href")
    page.open("about:blank")
    page.open(address)
    page.until(
        "typeof shown !== 'undefined' && !!shown && shown.sound.startsWith('recording.') && shown.painted >= 0"
    )
    for width, scheme in ((360, "dark"), (700, "light"), (1280, "dark")):
        page.look(width, 900, scheme)
        assert page.value("document.documentElement.scrollWidth <= innerWidth"), (
            f"{width} pixels are too narrow"
        )
        dark = page.value("getComputedStyle(document.body).backgroundColor") == "rgb(19, 19, 21)"
        assert dark == (scheme == "dark")
