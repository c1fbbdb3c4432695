"""One sheet to look at: sentences by characters, as a picture and as a video with sound.

Every sentence is said by the model once; its motion goes to each character. The moments of a row are those in which the
lips of its parts are widest open, the same for all characters.

T frames, V vertices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from talkmesh.animate import animate
from talkmesh.bundle import Bundle
from talkmesh.contracts import RIGS, Track, clip_audio
from talkmesh.errors import TalkmeshError
from talkmesh.export.character import Onto, carried, onto
from talkmesh.export.command import SOUNDS
from talkmesh.export.sounds import HEARD_RATE
from talkmesh.media import write_video
from talkmesh.preview import save_png
from talkmesh.render import MeshRenderer
from talkmesh.report.pictures import comparison
from talkmesh.rig import Rig, read_rig
from talkmesh.rig.pictures import close_up
from talkmesh.rig.source import Source, load
from talkmesh.scoring import mesh_opening
from talkmesh.sound import read_audio

CAST = 3  # characters, unless they are named
MOMENTS = 3  # pictures of a sentence and character
FACE, VIDEO_FACE = 160, 320  # pixels, sides of a face in the picture and in the video
WIDE = 3.6  # mouth widths across a picture
GAP, BETWEEN, LABEL = 3, 14, 22  # pixels: between moments, between characters, height of a line of text
PAPER, INK = (250, 250, 250), (40, 40, 40)
PEOPLE = (12, 5)  # seeds of those who join where there are too few rigs


@dataclass(frozen=True)
class Line:
    """A sentence: what it is called, its sound file, and its text where that is known."""

    name: str
    sound: Path
    text: str = ""


@dataclass(frozen=True)
class Actor:
    """A character under the name it is shown by. reach : how motion gets to it, None for the model's own."""

    name: str
    rig: Rig
    reach: Onto | None


def project_lines(track: Track, count: int) -> list[Line]:
    """Return `count` of the test clips of a finished project, spread over all of them."""
    rows = list(track.tests().itertuples())
    if not rows:
        raise TalkmeshError(f"{track.clips} has no test clips: run `dvc repro`, or give --sounds FOLDER")
    return [
        Line(str(r.clip), clip_audio(str(r.clip), track.sounds), str(r.text)) for r in _spread(rows, count)
    ]


def lines_in(folder: Path, count: int) -> list[Line]:
    """Return `count` of the sounds in a folder, spread over all of them."""
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in SOUNDS)
    if not found:
        raise TalkmeshError(f"{folder} holds no sounds ({', '.join(SOUNDS)})")
    return [Line(path.stem, path) for path in _spread(found, count)]


def actors(bundle: Bundle, rigs: Sequence[Path], folder: Path = RIGS) -> list[Actor]:
    """Return the characters in the files `rigs`; without any `CAST`: the model's own, those in `folder`, and people
    made up at random where these are too few.

    Raises
    ------
    TalkmeshError
        If a rig cannot be read, or no face is found in a picture of it.
    """
    if rigs:
        opened = [(path.stem, read_rig(path)) for path in rigs]
    else:
        paths = sorted(p for p in folder.glob("*.npz") if not p.stem.endswith(".transfer"))
        others = [(path.stem, read_rig(path)) for path in paths]
        opened = [
            (bundle.rig.name, bundle.rig),
            *(pair for pair in others if pair[1].hash != bundle.rig.hash),
        ]
        for seed in PEOPLE[: max(0, CAST - len(opened))]:
            opened.append((f"person {seed}", load(Source("anny", person=seed), f"person_{seed}")))
    cast: dict[str, Actor] = {}
    for k, (name, rig) in enumerate(opened[: None if rigs else CAST], 1):
        label = name if name not in cast else f"{name} {k}"
        cast[label] = Actor(label, rig, onto(bundle.rig, rig))
    return list(cast.values())


def write_sheet(folder: Path, bundle: Bundle, lines: Sequence[Line], cast: Sequence[Actor]) -> list[Path]:
    """Write sheet.png and sheet.mp4 of sentences and characters; return their paths."""
    said = [_said(bundle, line, cast) for line in tqdm(lines, "sentences", leave=False, disable=None)]
    sounds = [
        _of_length(read_audio(line.sound, HEARD_RATE), len(motions[0]), bundle.fps)
        for line, motions in zip(lines, said, strict=True)
    ]
    still = [MeshRenderer(a.rig, FACE, close_up(a.rig, FACE, WIDE, 0.14)) for a in cast]
    rows = []
    for motions in said:
        chosen = moments(mesh_opening(motions[0], cast[0].rig), MOMENTS)
        faces = [[r.image(motion[k]) for k in chosen] for r, motion in zip(still, motions, strict=True)]
        rows.append(np.array(faces))
    moving = [MeshRenderer(a.rig, VIDEO_FACE) for a in cast]

    def frames() -> Iterator[np.ndarray]:
        for motions in tqdm(said, "video", leave=False, disable=None):
            panes = {a.name: map(r.image, m) for a, r, m in zip(cast, moving, motions, strict=True)}
            yield from comparison(panes, VIDEO_FACE)

    paths = [folder / "sheet.png", folder / "sheet.mp4"]
    save_png(paths[0], laid_out(rows, [a.name for a in cast], [line.text or line.name for line in lines]))
    write_video(paths[1], frames(), bundle.fps, np.concatenate(sounds), HEARD_RATE)
    return paths


def moments(opening: np.ndarray, count: int) -> np.ndarray:
    """Return of each of `count` parts of a sentence the frame in which its lips are widest open (T,)."""
    parts = np.array_split(np.arange(len(opening)), min(count, len(opening)))
    return np.array([part[opening[part].argmax()] for part in parts])


def laid_out(rows: Sequence[np.ndarray], heads: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """Return the sheet (H, W, 3) uint8 of rows of pictures (characters, moments, S, S, 3), with the names of the
    characters above and the text of each sentence over its row."""
    cast, moments, size = len(heads), max(row.shape[1] for row in rows), rows[0].shape[2]
    block = moments * (size + GAP) - GAP
    width, height = cast * (block + BETWEEN) + BETWEEN, LABEL * 2 + len(rows) * (size + LABEL + GAP) + BETWEEN
    sheet = Image.new("RGB", (width, height), PAPER)
    pen, large, small = ImageDraw.Draw(sheet), ImageFont.load_default(15), ImageFont.load_default(12)
    lefts = [BETWEEN + i * (block + BETWEEN) for i in range(cast)]
    for left, head in zip(lefts, heads, strict=True):
        pen.text((left + block / 2, LABEL), head, INK, large, anchor="mm")
    for k, (row, text) in enumerate(zip(rows, texts, strict=True)):
        top = LABEL * 2 + k * (size + LABEL + GAP)
        pen.text((BETWEEN, top + LABEL / 2), text[: width // 7], INK, small, anchor="lm")
        for left, faces in zip(lefts, row, strict=True):
            for i, face in enumerate(faces):
                sheet.paste(Image.fromarray(face), (left + i * (size + GAP), top + LABEL))
    return np.asarray(sheet)


def _said(bundle: Bundle, line: Line, cast: Sequence[Actor]) -> list[np.ndarray]:
    """Return the motion (T, V, 3) of a sentence on each character."""
    vertices = animate(bundle, read_audio(line.sound)).vertices
    return [vertices if a.reach is None else carried(vertices, bundle.rig, a.reach) for a in cast]


def _of_length(samples: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """Return samples (S,) as long as `frames` frames, cut or followed by silence."""
    wanted = round(frames / fps * HEARD_RATE)
    return np.pad(samples[:wanted], (0, max(0, wanted - len(samples))))


def _spread(items: list, count: int) -> list:
    index = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[i] for i in index]
