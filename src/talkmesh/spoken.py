"""Speech with the mesh of every frame: what the supervised and the three-stage methods learn from.

Exact meshes lie beside clips (contract: ground truth) or beside the recordings of a corpus of speech and meshes;
pseudo ground truth is what another method predicted for the clips.
S samples, T frames, V vertices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from talkmesh.contracts import (
    CLIPS,
    CROPS,
    GROUND_TRUTH,
    RAW,
    SAMPLE_RATE,
    Track,
    clip_audio,
    read_ground_truth,
    read_prediction,
)
from talkmesh.cutting import slice_truth
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json
from talkmesh.media import read_audio
from talkmesh.rig import Rig, read_rig
from talkmesh.rig.transfer import Transfer, read_transfer
from talkmesh.splits import listed

SOUNDS = (".flac", ".wav")


class NothingToLearnFrom(TalkmeshError):
    """The data do not allow a method."""


@dataclass(frozen=True)
class Spoken:
    """One clip. samples : (S,) 16 kHz; vertices : (T, V, 3) mm; neutral : (V, 3) mm, the same face at rest."""

    name: str
    speaker: str
    samples: np.ndarray
    vertices: np.ndarray
    neutral: np.ndarray


def carried_to(track: Track) -> Transfer | None:
    """Return how truth that is given as weights reaches the track's rig; None where it applies as it is."""
    path = track.rig_file.with_suffix(".transfer.npz")
    return read_transfer(path) if path.exists() else None


def exact(table: pd.DataFrame, rig: Rig, carried: Transfer | None) -> Iterator[Spoken]:
    """Yield the clips of `table` that have exact meshes on `rig`."""
    for row in table.itertuples():
        path = CLIPS / str(row.clip) / "ground_truth.npz"
        if not path.exists():
            continue
        truth = read_ground_truth(path)
        vertices = (truth if carried is None else carried.truth(truth)).on(rig)
        if vertices is not None:
            sound = read_audio(clip_audio(str(row.clip), CROPS))
            yield Spoken(str(row.clip), str(row.speaker), sound, vertices, rig.neutral)


def predicted(table: pd.DataFrame, folder: Path, rig: Rig) -> Iterator[Spoken]:
    """Yield the clips of `table` with what a method predicted for them.

    Raises
    ------
    NothingToLearnFrom
        If that method was skipped.
    TalkmeshError
        If a clip was not predicted.
    """
    if (folder / "skipped.json").exists():
        reason = read_json(folder / "skipped.json")["reason"]
        raise NothingToLearnFrom(f"its targets would be those of {folder.name}, which was skipped: {reason}")
    for row in table.itertuples():
        path = folder / f"{row.clip}.npz"
        if not path.exists():
            raise TalkmeshError(f"{path} not found: set pseudo.splits to [train, val, test] in params.yaml")
        sound = read_audio(clip_audio(str(row.clip), CROPS))
        yield Spoken(str(row.clip), str(row.speaker), sound, read_prediction(path, rig), rig.neutral)


def recorded(folder: Path, rig: Rig, carried: Transfer | None, fps: float, test: str) -> Iterator[Spoken]:
    """Yield the recordings of a corpus of speech and meshes, such as `talkmesh sample --meshes` makes.

    Those that the file `test` in the corpus' folder lists are left out. A speaker whose own rig has the topology of
    `rig` keeps his or her face; others move the face of `rig`.

    Raises
    ------
    TalkmeshError
        If the folder holds no recording with meshes.
    """
    files = [f for f in sorted(folder.glob("*/*")) if f.suffix.lower() in SOUNDS]
    if (folder / test).is_file():
        kept_back = listed(folder / test, {f.stem for f in files})
        files = [f for f in files if f.stem not in kept_back]
    found = 0
    for file in files:
        truth_file = GROUND_TRUTH / folder.relative_to(RAW) / file.parent.name / f"{file.stem}.npz"
        if not truth_file.exists():
            continue
        samples = read_audio(file)
        truth = slice_truth(read_ground_truth(truth_file), 0.0, int(len(samples) / SAMPLE_RATE * fps), fps)
        face = own_face(file.parent / "rig.npz", rig)
        if face is rig and carried is not None:
            truth = carried.truth(truth)
        vertices = truth.on(face)
        if vertices is not None:
            found += 1
            yield Spoken(f"{file.parent.name}-{file.stem}", file.parent.name, samples, vertices, face.neutral)
    if not found:
        raise TalkmeshError(f"{folder} holds no recording with meshes that fit the rig {rig.name}")


def own_face(path: Path, rig: Rig) -> Rig:
    """Return the rig in `path` if it is of the topology of `rig`, else `rig` itself."""
    if not path.exists():
        return rig
    own = read_rig(path)
    return own if np.array_equal(own.faces, rig.faces) else rig
