"""The command ``talkmesh animate``: its words, and what becomes of them. Nothing heavy is imported before it runs."""

from __future__ import annotations

import argparse
import json
import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from talkmesh.errors import TalkmeshError
from talkmesh.export.kinds import SUFFIXES, kind_of

if TYPE_CHECKING:
    from talkmesh.bundle import Bundle
    from talkmesh.export.character import Onto
    from talkmesh.export.motion import Controls
    from talkmesh.export.sounds import Written

log = logging.getLogger(__name__)

TEXT = """\
Animate the character from a sound file, or from every sound in a folder, and write what the suffixes say:

  .mp4          a video with its sound
  .glb          a mesh with morph targets: Blender, Unreal, Unity, three.js; ARKit's shapes where the rig has them
  .usdc, .usda  the same as UsdSkel blend shapes: Houdini, Maya, Omniverse (needs the package usd-core)
  .csv          weights of ARKit's 52 shapes as the app Live Link Face writes them: Unreal, MetaHuman
  .npz          vertices (T, V, 3) in mm, faces, fps: NumPy
  folder/       a sequence of OBJ files, vertices in the rig's order

Where a mesh is turned into shapes, the error in mm is printed (--json: in full). Nothing is half written: a file
appears when it is complete. docs/exports.md says what each format holds, and how it gets into Blender and Unreal.

examples:
  talkmesh animate line.wav -o line.mp4
  talkmesh animate line.mp3 -o line.glb -o line.csv -o line_obj/    several at once
  talkmesh animate sounds/ -o out/ --to glb,mp4                     a folder of sounds: out/NAME.glb, out/NAME.mp4
  talkmesh animate line.wav -o line.glb --fps 60 --amplitude 1.2 --smoothing 60 --blinks
  talkmesh animate line.wav -o line.glb --character models/rigs/second.npz
"""
SOUNDS = (
    ".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".aif", ".aiff", ".wma", ".mp4", ".mov", ".mkv", ".webm",
    ".avi",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command understands."""
    parser.add_argument(
        "sound", metavar="SOUND", type=Path, help="speech in any format and at any rate, or a folder of it"
    )
    parser.add_argument(
        "-o", "--out", action="append", required=True, metavar="OUT",
        help="what to write, by its suffix; may be given several times. With --to: a folder",
    )  # fmt: skip
    parser.add_argument(
        "--to",
        metavar="KINDS",
        help=f"write these into the folder OUT, named like the sounds: {', '.join(SUFFIXES)}",
    )
    parser.add_argument(
        "--bundle", type=Path, default=Path("models/bundles/ours"), metavar="FOLDER",
        help="the trained model (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--character", type=Path, metavar="RIG",
        help="rig.npz of another character; expressions are carried over to it (default: the model's own)",
    )  # fmt: skip
    change = parser.add_argument_group("changes to the motion")
    change.add_argument("--fps", type=float, help="frames a second: 24, 25, 30, 60 (default: the model's)")
    change.add_argument(
        "--amplitude", type=float, default=1.0, metavar="X", help="size of the motion (default: 1)"
    )
    change.add_argument(
        "--smoothing",
        type=float,
        default=0.0,
        metavar="MS",
        help="smooth over so many milliseconds (default: 0)",
    )
    change.add_argument(
        "--blinks", action="store_true", help="add blinks and gaze, where the rig has the shapes"
    )
    change.add_argument("--seed", type=int, default=0, help="of blinks and gaze (default: 0)")
    parser.add_argument(
        "--json", action="store_true", help="print what was written, and errors in mm, as JSON"
    )


def run(arguments: argparse.Namespace) -> int:
    """Animate; return 1 if some sounds of a folder could not be."""
    jobs = planned(arguments.sound, arguments.out, arguments.to)
    from talkmesh.log import setup

    setup()
    from talkmesh.bundle import load
    from talkmesh.export.motion import Controls
    from talkmesh.export.sounds import check_outputs

    how = Controls(arguments.fps, arguments.amplitude, arguments.smoothing, arguments.blinks, arguments.seed)
    for _, outputs in jobs:
        check_outputs(outputs)
    bundle = load(arguments.bundle)
    character = None if arguments.character is None else _reached(bundle, arguments.character)
    with stopping_cleanly():
        results = _animated(bundle, jobs, how, character, arguments.json)
    if arguments.json:
        print(json.dumps(results, indent=2))
    return 1 if any("error" in result for result in results) else 0


def planned(sound: Path, outs: Sequence[str], to: str | None) -> list[tuple[Path, list[str]]]:
    """Return each sound with what is to be written of it.

    Raises
    ------
    TalkmeshError
        If the sound is missing, a kind is unknown, a folder comes without --to, or two sounds would be written to one
        file.
    """
    if not sound.exists():
        raise TalkmeshError(f"{sound}: no such sound file or folder")
    if to is None:
        if sound.is_dir():
            raise TalkmeshError(
                f"{sound} is a folder: say what to write with --to, such as `-o out/ --to glb,mp4`"
            )
        for out in outs:
            kind_of(out)
        return [(sound, list(outs))]
    kinds = [kind.strip().removeprefix(".") for kind in to.split(",") if kind.strip()]
    unknown = [kind for kind in kinds if kind not in SUFFIXES]
    if unknown or not kinds:
        raise TalkmeshError(
            f"--to {to}: unknown kind '{unknown[0] if unknown else ''}'; known are {', '.join(SUFFIXES)}"
        )
    if len(outs) != 1:
        raise TalkmeshError("with --to, -o names one folder")
    sounds = [sound] if sound.is_file() else sorted(p for p in sound.iterdir() if p.suffix.lower() in SOUNDS)
    if not sounds:
        raise TalkmeshError(f"{sound} holds no sounds ({', '.join(SOUNDS)})")
    stems = [path.stem for path in sounds]
    if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
        raise TalkmeshError(
            f"{sound} holds two sounds named {twice}, which would be written to one file: rename one"
        )
    return [
        (path, [str(Path(outs[0]) / f"{path.stem}{SUFFIXES[kind]}") for kind in kinds]) for path in sounds
    ]


def _animated(
    bundle: Bundle, jobs: list[tuple[Path, list[str]]], how: Controls, character: Onto | None, quiet: bool
) -> list[dict[str, Any]]:
    """Work through the sounds and return what became of each; of several, one that fails does not stop the others."""
    from tqdm import tqdm

    from talkmesh.export.sounds import animate_file

    results: list[dict[str, Any]] = []
    for sound, outputs in tqdm(jobs, "sounds", disable=None if len(jobs) > 1 else True, leave=False):
        try:
            spoken = animate_file(bundle, sound, outputs, how, character)
        except TalkmeshError as error:
            if len(jobs) == 1:
                raise
            log.error("left out: %s", error)
            results.append({"sound": str(sound), "error": str(error)})
            continue
        results.append(spoken.json())
        if not quiet:
            for file in spoken.files:
                tqdm.write(_said(file))
    return results


def _said(file: Written) -> str:
    if file.error_mm is None:
        return file.path
    return f"{file.path}  (lips within {file.error_mm.lips_max_mm:.2f} mm, all within {file.error_mm.max_mm:.2f} mm)"


def _reached(bundle: Bundle, path: Path) -> Onto | None:
    from talkmesh.export.character import onto
    from talkmesh.rig import read_rig

    return onto(bundle.rig, read_rig(path))


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Let a polite request to end (SIGTERM) unwind as an interrupt does, so that temporary files are removed."""

    def stop(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
