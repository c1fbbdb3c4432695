"""The clips of a corpus: its recordings cut one by one, and split into train, validation and test."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import av.error
import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from talkmesh import media, parallel
from talkmesh.contracts import CLIP_COLUMNS, clip_video, read_ground_truth
from talkmesh.cutting import Piece, Segmenting, segment_recording
from talkmesh.errors import TalkmeshError
from talkmesh.files import clear_leftovers, content_hash, link_folder, read_json, replacing, write_json
from talkmesh.margins import MARGIN
from talkmesh.recordings import Recording, find_recordings
from talkmesh.splits import split
from talkmesh.transcripts import find_transcript

log = logging.getLogger(__name__)

NOT_CUTTING = ("test", "val", "seed", "workers")  # parameters that do not change what a recording is cut into


@dataclass(frozen=True)
class Job:
    """A recording to cut, with what lies beside it, and the folder for its pieces, or `refused`: why it is not cut."""

    path: Path
    truth: Path | None
    transcript: Path | None
    folder: Path
    refused: str = ""


def job_of(recording: Recording, truth: Path, params: Segmenting, work: Path) -> Job:
    """Read a recording and what lies beside it, whole, for the name of its folder in `work`: that of its content."""
    known = truth if truth.exists() else None
    said = None if params.sentences == "voice" else find_transcript(recording.path)
    if said is None and params.sentences == "transcript":
        why = f"{recording.path}: no transcript lies beside it; segment.sentences: auto does without"
        return Job(recording.path, known, said, work / recording.name, why)
    cutting = {k: v for k, v in asdict(params).items() if k not in NOT_CUTTING}
    key = content_hash(recording.path, known, said, cutting, MARGIN)
    return Job(recording.path, known, said, work / key)


def segment_cached(job: Job, params: Segmenting) -> list[Piece]:
    """Cut one recording into its folder, or find it cut already; return its pieces."""
    if not (job.folder / "pieces.json").exists():
        known = None if job.truth is None else read_ground_truth(job.truth)
        with replacing(job.folder) as temporary:
            temporary.mkdir()
            try:
                pieces = segment_recording(job.path, job.transcript, known, params, temporary)
            except (av.error.FFmpegError, ValueError) as error:
                raise TalkmeshError(f"{job.path}: FFmpeg cannot convert it ({error})") from None
            write_json(temporary / "pieces.json", [asdict(p) for p in pieces])
    return [Piece(**p) for p in read_json(job.folder / "pieces.json")]


def _tried(job: Job, params: Segmenting) -> list[Piece]:
    """Cut a recording; one that fails is one dropped piece that says why."""
    try:
        if job.refused:
            raise TalkmeshError(job.refused)
        return segment_cached(job, params)
    except TalkmeshError as error:
        if isinstance(error.__cause__, OSError):  # the disk is full: no fault of the recording
            raise
        return [Piece(-1, 0.0, 0.0, 0, "", str(error))]


def cut_all(
    recordings: Sequence[Recording], truths: Path, params: Segmenting, work: Path
) -> Iterator[tuple[Job, list[Piece]]]:
    """Yield each recording's job and pieces, in order. Equal recordings are cut once, and said to be equal."""
    clear_leftovers(work)
    workers = min(params.workers, len(recordings))
    given = [(r, truths / f"{r.stem}.npz", params, work) for r in recordings]
    jobs = list(parallel.ordered(job_of, given, workers))
    results = parallel.once_each(_tried, [j.folder for j in jobs], [(j, params) for j in jobs], workers)
    first: dict[Path, Path] = {}
    for job, pieces in zip(jobs, results, strict=True):
        if first.setdefault(job.folder, job.path) != job.path:
            log.warning("%s and %s are the same: one of them is too many", job.path, first[job.folder])
        yield job, pieces


def segment_corpus(
    corpus: str, params: Segmenting, raw: Path, truth: Path, work: Path, out: Path
) -> pd.DataFrame:
    """Cut all recordings of a corpus into `out`/<clip>/ and return the clip table (contracts.CLIP_COLUMNS).

    A recording that fails is a row that says why; the others go on.

    Raises
    ------
    TalkmeshError
        If there is no recording, or none that could be used.
    """
    rows = []
    recordings = find_recordings(raw / corpus)
    progress = tqdm(recordings, "segment", unit="recording", mininterval=1)
    results = cut_all(recordings, truth / corpus, params, work)
    for recording, (job, pieces) in zip(progress, results, strict=True):
        row = {
            "corpus": corpus,
            "speaker": recording.speaker,
            "source": recording.path.relative_to(raw).as_posix(),
            "fps": params.fps,
            "stem": recording.stem,
        }
        for piece in pieces:
            clip = recording.name if piece.number < 0 else f"{recording.name}-{piece.number:02d}"
            rows.append(row | asdict(piece) | {"clip": clip})
            if not piece.dropped_why:
                link_folder(job.folder / f"{piece.number:02d}", out / clip)
    table = pd.DataFrame(rows)
    kept = table["dropped_why"] == ""
    for clip, why in zip(table["clip"][~kept], table["dropped_why"][~kept], strict=True):
        log.warning("dropped %s: %s", clip, why)
    if not kept.any():
        raise TalkmeshError(
            f"none of the {len(table)} recordings in {raw / corpus} can be used; the first: {rows[0]['dropped_why']}"
        )
    table["split"] = ""
    table.loc[kept, "split"] = split(table[kept], params.test, params.val, params.seed, raw / corpus)
    log.info(
        "%d clips, %.1f minutes: %s; %d dropped",
        kept.sum(),
        (table["end_s"] - table["start_s"])[kept].sum() / 60,
        ", ".join(f"{n} {name}" for name, n in table.loc[kept, "split"].value_counts().items()),
        (~kept).sum(),
    )
    return table[list(CLIP_COLUMNS)]


def thumbnails(table: pd.DataFrame, folder: Path, count: int, size: int) -> tuple[np.ndarray, list[str]]:
    """Return the middle frames (N, size, size, 3) uint8 of up to `count` kept clips, on grey, and their names."""
    kept = table[table["dropped_why"] == ""]
    some = kept.iloc[np.unique(np.linspace(0, len(kept) - 1, count).astype(int))]
    pictures = np.full((len(some), size, size, 3), 127, np.uint8)
    for picture, clip, frames in zip(pictures, some["clip"], some["frames"], strict=True):
        video = media.read_video(clip_video(clip, folder), float(some["fps"].iloc[0]))
        image = next(itertools.islice(video, frames // 2, None))
        scale = size / max(image.shape[:2])
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = (size - image.shape[0]) // 2, (size - image.shape[1]) // 2
        picture[top : top + image.shape[0], left : left + image.shape[1]] = image
    return pictures, list(some["clip"])
