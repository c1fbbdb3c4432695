"""From sounds to files: the model, what the user wants changed, the character it goes to, and what is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from talkmesh.animate import Animation, animate
from talkmesh.bundle import Bundle, load
from talkmesh.errors import TalkmeshError
from talkmesh.export.character import Onto, carried
from talkmesh.export.glb import write_animation_glb
from talkmesh.export.kinds import kind_of
from talkmesh.export.livelink import write_animation_csv
from talkmesh.export.motion import Controls, controlled
from talkmesh.export.npz import write_animation_npz
from talkmesh.export.obj import check_folder, write_animation_obj
from talkmesh.export.shapes import Shapes, shapes_of
from talkmesh.export.usd import check_usd, write_animation_usd
from talkmesh.export.video import write_animation_video
from talkmesh.export.weights import Deviation
from talkmesh.media import read_audio
from talkmesh.rig import Rig

HEARD_RATE = 48_000  # Hz, of the sound in videos; models hear 16 kHz


@dataclass(frozen=True)
class Written:
    """A file or folder that was written. error_mm : how far its mesh is from the motion, None where it is the motion
    itself; shapes, corrections : how many blendshapes it has, and how many of them are no shapes of the rig."""

    path: str
    kind: str
    bytes: int
    error_mm: Deviation | None = None
    shapes: int | None = None
    corrections: int | None = None


@dataclass(frozen=True)
class Spoken:
    """What became of one sound: `frames` at `fps` a second on the rig `character`, in `files`."""

    sound: str
    character: str
    frames: int
    fps: float
    seconds: float
    files: tuple[Written, ...]

    def json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def check_outputs(outputs: Sequence[str | Path]) -> None:
    """Raise a `TalkmeshError` if one of `outputs` can be seen to be impossible before anything is computed."""
    for path in outputs:
        kind = kind_of(path)
        if kind == "usd":
            check_usd(path)
        if kind == "obj":
            check_folder(path)
    if len({str(Path(path)) for path in outputs}) < len(outputs):
        raise TalkmeshError(f"{outputs[-1]}: an output is named twice")


def animate_file(
    bundle: str | Path | Bundle,
    sound: str | Path,
    outputs: Sequence[str | Path],
    how: Controls | None = None,
    character: Onto | None = None,
) -> Spoken:
    """Animate from a sound or video file into files of the kinds that their suffixes name (`export.kinds`).

    Parameters
    ----------
    bundle : an open model or its folder
    how : what is changed about the motion
    character : who speaks, if not the model's own character (`character.onto`)

    Raises
    ------
    TalkmeshError
        If the sound cannot be read, the bundle is incomplete, a suffix is unknown, or an output cannot hold the motion.
    """
    check_outputs(outputs)
    opened = bundle if isinstance(bundle, Bundle) else load(bundle)
    with tqdm(total=1 + len(outputs), desc=Path(sound).name, unit="file", leave=False, disable=None) as bar:
        vertices, fps, rig = performed(
            animate(opened, read_audio(sound)), opened.rig, how or Controls(), character
        )
        bar.update()
        files = []
        for file in write_outputs(outputs, vertices, fps, rig, sound):
            files.append(file)
            bar.update()
    return Spoken(str(sound), rig.name, len(vertices), fps, len(vertices) / fps, tuple(files))


def performed(
    animation: Animation, rig: Rig, how: Controls, character: Onto | None
) -> tuple[np.ndarray, float, Rig]:
    """Return the motion (T, V, 3) of a model with `rig` as the user wants it, its frames a second, and whose it is."""
    vertices = animation.vertices
    if character is not None:
        vertices, rig = carried(vertices, rig, character), character.rig
    return *controlled(vertices, animation.fps, rig, how), rig


def write_outputs(
    outputs: Sequence[str | Path], vertices: np.ndarray, fps: float, rig: Rig, sound: str | Path
) -> Iterator[Written]:
    """Write one output after the other and yield what it is; shapes are found once for all.

    Parameters
    ----------
    outputs : of the kinds that their suffixes name
    vertices : (T, V, 3) in mm of `rig`
    sound : file whose sound goes into a video
    """
    shapes: Shapes | None = None
    for path in map(Path, outputs):
        kind, error, count, more = kind_of(path), None, None, None
        if kind in ("glb", "usd", "csv"):
            shapes = shapes or shapes_of(rig, vertices)
            count, more, error = len(shapes.names), len(shapes.names) - shapes.named, shapes.deviation
        if kind == "glb":
            write_animation_glb(path, vertices, fps, rig, shapes)
        elif kind == "usd":
            write_animation_usd(path, vertices, fps, rig, shapes)
        elif kind == "csv":
            error = write_animation_csv(path, vertices, fps, rig, shapes)
            count, more = shapes.named if shapes else None, 0
        elif kind == "npz":
            write_animation_npz(path, vertices, fps, rig)
        elif kind == "obj":
            write_animation_obj(path, vertices, fps, rig)
        else:
            heard = read_audio(sound, HEARD_RATE)
            write_animation_video(path, vertices, fps, rig, heard, rate=HEARD_RATE)
        yield Written(str(path), kind, _size(path), error, count, more)


def _size(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
