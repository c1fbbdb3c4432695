"""From recordings to clips: find recordings, cut at silences, split into train, validation and test."""

from __future__ import annotations

import itertools
import logging
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import av.error
import cv2
import numpy as np
import pandas as pd
import soundfile
from tqdm import tqdm

from talkmesh import media
from talkmesh.contracts import (
    CLIP_COLUMNS,
    SAMPLE_RATE,
    GroundTruth,
    clip_video,
    read_ground_truth,
    write_ground_truth,
)
from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, link_folder, read_json, replacing, write_json
from talkmesh.recordings import Recording, find_recordings
from talkmesh.silence import HOP_S, loudness, pauses
from talkmesh.splits import Want, split

log = logging.getLogger(__name__)

SILENT = 1e-4  # peak below which sound counts as digital silence (-80 dB of full scale)
# Sound and picture of one recording may end this far apart; the sound is then filled with silence. Beyond it the
# recording ends where the first of the two does.
TAIL_S = 0.2


@dataclass(frozen=True)
class Segmenting:
    """Section `segment`. fps : constant rate of all clips; whole_below_s : a shorter recording is one clip;
    min_clip_s, max_clip_s : lengths of cut clips; silence_s : shortest pause at which a cut is made; silence_db :
    level against the loud parts below which it is silent; test, val : clips as a count, as a fraction below 1, or as
    the name of a file in data/raw/<corpus>/ that lists recordings; seed : of the split."""

    fps: float
    whole_below_s: float
    min_clip_s: float
    max_clip_s: float
    silence_s: float
    silence_db: float
    test: Want
    val: Want
    seed: int

    def __post_init__(self) -> None:
        if not self.fps > 0:
            raise TalkmeshError(f"segment.fps must be above 0; got {self.fps}")
        if not 0 < 2 * self.min_clip_s <= self.max_clip_s:
            raise TalkmeshError(
                f"segment.max_clip_s ({self.max_clip_s}) must be at least twice min_clip_s ({self.min_clip_s}), "
                "so that every long clip can be cut"
            )
        if self.silence_db >= 0:
            raise TalkmeshError(f"segment.silence_db must be below 0; got {self.silence_db}")


@dataclass(frozen=True)
class Piece:
    """One clip of a recording: times in seconds from the first frame; `frames` is 0 if it is dropped."""

    number: int
    start_s: float
    end_s: float
    frames: int
    dropped_why: str


# ------------------------------------------------------------------------------------------------ where to cut


def cut_points(audio: np.ndarray, params: Segmenting) -> list[float]:
    """Return the borders of a recording's clips in seconds, first 0, last its length; neighbours share a border.

    A recording shorter than `whole_below_s` is one clip. Others are cut in the middle of pauses; a piece shorter
    than `min_clip_s` is joined to the neighbour across the shorter pause; a piece longer than `max_clip_s` is cut at
    its quietest moment.
    """
    end = len(audio) / SAMPLE_RATE
    if end < params.whole_below_s:
        return [0.0, end]
    level = loudness(audio)
    level -= np.percentile(level, 95)  # against the loud parts, whatever the gain of the microphone
    found = {(a + b) / 2: b - a for a, b in pauses(level, params.silence_s, params.silence_db)}
    cuts = [0.0, *found, end]
    while len(cuts) > 2 and min(short := np.diff(cuts)) < params.min_clip_s:
        i = int(np.argmin(short))
        inner = [k for k in (i, i + 1) if 0 < k < len(cuts) - 1]
        del cuts[min(inner, key=lambda k: found[cuts[k]])]
    smooth = np.convolve(level, np.ones(15) / 15, mode="same")  # a syllable's dip, not a single glottal pulse
    while max(long := np.diff(cuts)) > params.max_clip_s:
        i = int(np.argmax(long))
        low = math.ceil((cuts[i] + params.min_clip_s) / HOP_S)
        high = max(low + 1, math.floor((cuts[i + 1] - params.min_clip_s) / HOP_S))
        cuts.insert(i + 1, (low + int(np.argmin(smooth[low:high])) + 0.5) * HOP_S)
    return cuts


# ------------------------------------------------------------------------------------------------- the cutting


def slice_truth(truth: GroundTruth, start_s: float, frames: int, fps: float) -> GroundTruth:
    """Return the truth of a clip: linearly interpolated at its frame times, start_s + k / fps.

    Raises
    ------
    TalkmeshError
        If the truth ends before the clip does.
    """
    position = (start_s + np.arange(frames) / fps) * truth.fps
    if position[-1] > len(truth) - 1 + max(1.0, TAIL_S * truth.fps):
        end = start_s + frames / fps
        raise TalkmeshError(
            f"its ground truth ends at {len(truth) / truth.fps:.2f} s, but a clip at {end:.2f} s"
        )
    position = np.clip(
        np.where(np.abs(position - position.round()) < 1e-6, position.round(), position), 0, None
    )
    low = np.minimum(position.astype(int), len(truth) - 1)
    high = np.minimum(low + 1, len(truth) - 1)

    def at(values: np.ndarray | None) -> np.ndarray | None:
        if values is None:
            return None
        weight = (position - low).clip(0, 1).reshape(-1, *[1] * (values.ndim - 1))
        return (values[low] * (1 - weight) + values[high] * weight).astype(np.float32)

    return GroundTruth(fps, at(truth.weights), truth.names, at(truth.vertices), truth.rig_hash)


def segment_recording(path: Path, truth: GroundTruth | None, params: Segmenting, folder: Path) -> list[Piece]:
    """Cut one recording into `folder`/<number>/{frames.mkv, audio.flac, ground_truth.npz}.

    Pieces tile the recording up to the end of its sound or picture, whichever comes first, on frame borders; a
    piece's sound has exactly the length of its frames.

    Raises
    ------
    TalkmeshError
        If the recording is damaged, has no picture, no sound or only silence, or its ground truth is too short.
    """
    audio = media.read_audio(path, SAMPLE_RATE)
    if np.abs(audio).max(initial=0) < SILENT:
        raise TalkmeshError(f"{path}: the sound is silent")
    fps, length = params.fps, len(audio) / SAMPLE_RATE
    frames = media.video_frames(path, fps)
    borders = [round(t * fps) for t in cut_points(audio, params)]
    borders[-1] = math.floor((length + TAIL_S) * fps)
    pieces = []
    for number, (start, stop) in enumerate(itertools.pairwise(borders)):
        where = folder / f"{number:02d}"
        count = media.write_lossless(where / "frames.mkv", itertools.islice(frames, stop - start), fps)
        if count == 0:
            break
        first, last = (round(k / fps * SAMPLE_RATE) for k in (start, start + count))
        sound = audio[first:last]
        sound = np.pad(sound, (0, last - first - len(sound)))
        why = ""
        if count / fps < params.min_clip_s:
            why = f"lasts {count / fps:.2f} s, less than segment.min_clip_s ({params.min_clip_s} s)"
        elif np.abs(sound).max() < SILENT:
            why = "the sound is silent"
        pieces.append(Piece(number, start / fps, (start + count) / fps, 0 if why else count, why))
        if why:
            shutil.rmtree(where)
            continue
        soundfile.write(where / "audio.flac", sound, SAMPLE_RATE, subtype="PCM_16")
        if truth is not None:
            write_ground_truth(where / "ground_truth.npz", slice_truth(truth, start / fps, count, fps))
    _tell_mismatch(path, pieces[-1].end_s, length, more_picture=next(frames, None) is not None)
    return pieces


def _tell_mismatch(path: Path, end: float, sound: float, more_picture: bool) -> None:
    """Log what is missing at the end of a recording, and why."""
    claimed = media.nominal_duration(path)
    if more_picture:
        log.warning("%s: the sound ends at %.2f s, before the picture; the rest is left out", path, sound)
    elif sound > end + TAIL_S:
        log.warning("%s: the picture ends at %.2f s, before the sound; the rest is left out", path, end)
    elif claimed is not None and end < claimed - 2 * TAIL_S:
        log.warning("%s ends at %.2f s though its header says %.2f s: it looks truncated", path, end, claimed)


def segment_cached(
    recording: Recording, truth: Path, params: Segmenting, work: Path
) -> tuple[Path, list[Piece]]:
    """Cut one recording, or find it already cut by the same parameters in `work`; return where, and its pieces."""
    cutting = {k: v for k, v in asdict(params).items() if k not in ("test", "val", "seed")}
    folder = work / content_hash(recording.path, truth if truth.exists() else None, cutting)
    if not (folder / "pieces.json").exists():
        known = read_ground_truth(truth) if truth.exists() else None
        with replacing(folder) as temporary:
            temporary.mkdir()
            try:
                pieces = segment_recording(recording.path, known, params, temporary)
            except (av.error.FFmpegError, ValueError) as error:
                raise TalkmeshError(f"{recording.path}: FFmpeg cannot convert it ({error})") from None
            write_json(temporary / "pieces.json", [asdict(p) for p in pieces])
    return folder, [Piece(**p) for p in read_json(folder / "pieces.json")]


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
    for recording in tqdm(recordings, "segment", unit="recording", mininterval=1):
        row = {
            "corpus": corpus,
            "speaker": recording.speaker,
            "source": recording.path.relative_to(raw).as_posix(),
            "fps": params.fps,
            "stem": recording.stem,
        }
        try:
            folder, pieces = segment_cached(recording, truth / corpus / f"{recording.stem}.npz", params, work)
        except TalkmeshError as error:
            if isinstance(error.__cause__, OSError):  # the disk is full: no fault of the recording
                raise
            pieces, folder = [Piece(-1, 0.0, 0.0, 0, str(error))], work
        for piece in pieces:
            clip = recording.name if piece.number < 0 else f"{recording.name}-{piece.number:02d}"
            rows.append(row | asdict(piece) | {"clip": clip})
            if not piece.dropped_why:
                link_folder(folder / f"{piece.number:02d}", out / clip)
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
