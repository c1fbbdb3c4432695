"""A corpus that no model has learned from, as sound alone: the test set of a second topology (the paper's Table 2).

data/raw/<corpus>/<speaker>/<sentence>.{flac,wav,...}, one clip each; video files give their sound. No faces are looked
for: such clips are judged against exact meshes only.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import soundfile

from talkmesh import synthetic
from talkmesh.contracts import (
    CLIP_COLUMNS,
    SAMPLE_RATE,
    clip_audio,
    read_ground_truth,
    write_clips,
    write_ground_truth,
)
from talkmesh.cutting import slice_truth
from talkmesh.errors import TalkmeshError
from talkmesh.media import read_audio
from talkmesh.recordings import slug
from talkmesh.splits import listed

log = logging.getLogger(__name__)

SOUNDS = (".flac", ".wav", ".mp3", ".ogg", ".m4a", ".mp4", ".mov", ".mkv", ".webm", ".mpg", ".avi")


@dataclass(frozen=True)
class Unseen:
    """The section `unseen`. corpora : folders in data/raw; speakers : only these, all if empty; test : a file in the
    corpus' folder that lists the recordings to be judged; all are, where there is no such file."""

    corpora: tuple[str, ...]
    speakers: tuple[str, ...]
    test: str


def read_unseen(corpus: str, how: Unseen, fps: float, raw: Path, truth: Path, out: Path) -> pd.DataFrame:
    """Write the clips of `corpus` to `out` with their sound and truth, and return their table; all are tests.

    The truth of a recording is `truth`/<corpus>/<speaker>/<recording>.npz or `truth`/<corpus>/<recording>.npz. What
    cannot be read is a row that says why.

    Raises
    ------
    TalkmeshError
        If no recording is left.
    """
    files = [
        f
        for f in sorted((raw / corpus).glob("*/*"))
        if f.suffix.lower() in SOUNDS and (not how.speakers or f.parent.name in how.speakers)
    ]
    if (raw / corpus / how.test).is_file():
        wanted = listed(raw / corpus / how.test, {f.stem for f in files})
        files = [f for f in files if f.stem in wanted]
    rows = []
    for file in files:
        row = dict.fromkeys(CLIP_COLUMNS, "") | {
            "clip": slug(f"{file.parent.name}-{file.stem}"),
            "corpus": corpus,
            "speaker": file.parent.name,
            "source": file.relative_to(raw).as_posix(),
            "start_s": 0.0,
            "fps": fps,
        }
        try:
            frames = _clip(file, truth / corpus, fps, out / str(row["clip"]))
            row |= {"end_s": frames / fps, "frames": frames, "split": "test"}
        except TalkmeshError as error:
            log.warning("dropped %s: %s", row["clip"], error)
            row |= {"end_s": 0.0, "frames": 0, "dropped_why": str(error)}
        rows.append(row)
    if not any(row["frames"] for row in rows):
        why = f"; the first: {rows[0]['dropped_why']}" if rows else ""
        raise TalkmeshError(
            f"{raw / corpus} holds no sound that can be used, in a folder for each speaker (unseen.corpora){why}"
        )
    table = pd.DataFrame(rows, columns=list(CLIP_COLUMNS))
    write_clips(table, out)
    synthetic.hand_on(raw / corpus, out)
    return table


def _clip(file: Path, truth: Path, fps: float, folder: Path) -> int:
    """Write sound and truth of one recording and return its length in frames."""
    samples = read_audio(file, SAMPLE_RATE)
    frames = int(len(samples) / SAMPLE_RATE * fps)
    if frames < 1:
        raise TalkmeshError(f"{file} is shorter than a frame")
    found = [
        p for p in (truth / file.parent.name / f"{file.stem}.npz", truth / f"{file.stem}.npz") if p.exists()
    ]
    exact = slice_truth(read_ground_truth(found[0]), 0.0, frames, fps) if found else None
    folder.mkdir(parents=True, exist_ok=True)
    path = clip_audio(folder.name, folder.parent)
    soundfile.write(path, samples[: round(frames / fps * SAMPLE_RATE)], SAMPLE_RATE, subtype="PCM_16")
    if exact is not None:
        write_ground_truth(folder / "ground_truth.npz", exact)
    return frames
