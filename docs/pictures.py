"""Remake the pictures that the README and docs/app.md show, from a finished `make demo`: ``make pictures``.

demo.png: moments of a test clip, the film above, below what it is as ground truth on the character.
gallery.png: three sentences of `talkmesh gallery`. app.png: the page of `talkmesh app`, where there is a Chromium.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from chromium import BROWSER, WEBGL, browsing  # type: ignore[import-not-found]  # noqa: E402
from talkmesh import params, preview, sheet  # noqa: E402
from talkmesh.bundle import load  # noqa: E402
from talkmesh.contracts import PREDICTIONS, Track, clip_audio, read_crops, read_prediction  # noqa: E402
from talkmesh.files import replacing  # noqa: E402
from talkmesh.report.pictures import film, mesh_images  # noqa: E402
from talkmesh.rig import read_rig  # noqa: E402
from talkmesh.scoring import mesh_opening  # noqa: E402

IMAGES = ROOT / "docs/images"
METHOD, MOMENTS, SIZE = "ground_truth", 5, 240  # of demo.png; the README says which method it shows
BUNDLE = Path("models/bundles/ours")


def moments(track: Track, clip: str, fps: float) -> np.ndarray:
    """Return the sheet of film and character at moments spaced along the motion of the lips."""
    rig = read_rig(track.rig_file)
    vertices = read_prediction(PREDICTIONS / METHOD / f"{clip}.npz", rig)
    chosen = sheet.moments(mesh_opening(vertices, rig), MOMENTS)
    filmed = [image for k, image in enumerate(film(clip, fps, read_crops(clip), SIZE)) if k in chosen]
    return preview.contact_sheet(np.stack([*filmed, *mesh_images(vertices[chosen], rig, SIZE)]), len(chosen))


def page(sound: Path, scratch: Path) -> np.ndarray:
    """Return what the page of `talkmesh app` looks like with a sentence, at its widest opening."""
    words = [sys.executable, "-m", "talkmesh.cli", "app", "--bundle", str(BUNDLE), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().split()[1]
            with browsing(scratch / "profile", (1240, 900), WEBGL) as browser:
                browser.open(url)
                browser.until("typeof about !== 'undefined' && !!about && !!scene")
                browser.choose_file("#file", sound.resolve())
                browser.until("!document.getElementById('go').disabled")
                browser.click("#go")
                browser.until("!!shown && shown.moves.frames === shown.frames && shown.painted >= 0")
                browser.value(
                    "$('audio').pause(), scene.turn(-0.35, 0.05),"
                    " $('audio').currentTime = shown.opening.indexOf(Math.max(...shown.opening)) / shown.fps"
                )
                browser.until("shown.ticked === $('audio').currentTime && !$('audio').seeking")
                browser.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
                browser.picture(scratch / "app.png")
                return np.asarray(Image.open(scratch / "app.png").convert("RGB"))
        finally:
            server.send_signal(signal.SIGTERM)


def save(name: str, image: np.ndarray) -> None:
    """Write a picture of 256 colours: a third of the bytes, and few see it."""
    with replacing(IMAGES / name) as temporary:
        Image.fromarray(image).quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(
            temporary, optimize=True
        )
    print(IMAGES / name)


def main() -> None:
    track = params.section(Track, "track")
    row = next(track.tests().itertuples())
    save("demo.png", moments(track, str(row.clip), float(str(row.fps))))
    with tempfile.TemporaryDirectory() as folder:
        bundle, lines = load(BUNDLE), sheet.project_lines(track, 3)
        picture, _ = sheet.write_sheet(Path(folder), bundle, lines, sheet.actors(bundle, []))
        save("gallery.png", np.asarray(Image.open(picture).convert("RGB")))
        if BROWSER is None:
            print("app.png stays as it is: no Chromium on this machine")
        else:
            save("app.png", page(clip_audio(str(row.clip), track.sounds), Path(folder)))


if __name__ == "__main__":
    main()
