"""One recording to clips: its shots, its sentences, frames and sound whole."""

from __future__ import annotations

import functools
import itertools
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from talkmesh import media, shots, voice_activity
from talkmesh.contracts import SAMPLE_RATE, GroundTruth, write_ground_truth
from talkmesh.errors import TalkmeshError
from talkmesh.margins import MARGIN, write_around
from talkmesh.sentences import Lengths, Span, borders, text_between
from talkmesh.sound import sound_chunks
from talkmesh.splits import Want
from talkmesh.transcripts import read_transcript

log = logging.getLogger(__name__)

SILENT = 1e-4  # peak below which sound counts as digital silence (-80 dB of full scale)
# Sound and picture of one recording may end this far apart; the sound is then filled with silence. Beyond it the
# recording ends where the first of the two does.
TAIL_S = 0.2


@dataclass(frozen=True)
class Segmenting:
    """Section `segment`.

    fps : constant rate of all clips
    whole_below_s, min_clip_s, max_clip_s, pause_s : as in `sentences.Lengths`
    sentences : `auto`: from the transcript beside a recording if there is one, else by the voice detector; `voice`:
        always by that; `transcript`: a recording without one is dropped
    voice : probability above which the detector hears speech
    cuts : look for cuts, which no clip crosses
    test, val : clips as a count, as a fraction below 1, or as the name of a file in data/raw/<corpus>/ that lists
        recordings; seed : of the split
    workers : processes
    """

    fps: float
    whole_below_s: float
    min_clip_s: float
    max_clip_s: float
    pause_s: float
    sentences: Literal["auto", "voice", "transcript"]
    voice: float
    cuts: bool
    test: Want
    val: Want
    seed: int
    workers: int

    def __post_init__(self) -> None:
        if not self.fps > 0:
            raise TalkmeshError(f"segment.fps must be above 0; got {self.fps}")
        if not 0 < 2 * self.min_clip_s <= self.max_clip_s:
            raise TalkmeshError(
                f"segment.max_clip_s ({self.max_clip_s}) must be at least twice min_clip_s ({self.min_clip_s}), "
                "so that every long clip can be cut"
            )
        if not 0 < self.voice < 1:
            raise TalkmeshError(f"segment.voice must be between 0 and 1; got {self.voice}")

    @property
    def lengths(self) -> Lengths:
        """The part that says how long clips are."""
        return Lengths(self.whole_below_s, self.min_clip_s, self.max_clip_s, self.pause_s)


@dataclass(frozen=True)
class Piece:
    """One clip of a recording: times in seconds from the first frame; `frames` is 0 if it is dropped."""

    number: int
    start_s: float
    end_s: float
    frames: int
    text: str
    dropped_why: str


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


@dataclass(frozen=True)
class Sound:
    """The sound of a recording on disk, so that memory does not hold it: `length` samples in `file`, float32."""

    file: Path
    length: int

    def between(self, first: int, last: int) -> np.ndarray:
        """Return samples first to last; silence before the beginning and beyond the end."""
        start = max(first, 0)
        samples = np.fromfile(self.file, np.float32, max(0, min(last, self.length) - start), offset=4 * start)
        return np.pad(samples, (start - first, last - start - len(samples)))

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """Yield all samples in blocks of `size`; the last one may be shorter."""
        for first in range(0, self.length, size):
            yield self.between(first, min(first + size, self.length))


def _extract(path: Path, file: Path) -> Sound:
    """Write the sound of a recording to `file`.

    Raises
    ------
    TalkmeshError
        If there is none, or only silence.
    """
    length, peak = 0, 0.0
    with open(file, "wb") as out:
        for samples in sound_chunks(path, SAMPLE_RATE):
            samples.tofile(out)
            length, peak = length + len(samples), max(peak, float(np.abs(samples).max()))
    if peak < SILENT:
        raise TalkmeshError(f"{path}: the sound is silent")
    return Sound(file, length)


def _borders(path: Path, sound: Sound, spans: Callable[[], list[Span]], params: Segmenting) -> list[int]:
    """Return the borders of the clips of a recording in frames, 0 first, and last where its sound ends."""
    end = math.floor((sound.length / SAMPLE_RATE + TAIL_S) * params.fps)
    found = shots.cuts(media.video_frames(path, params.fps)) if params.cuts else iter(())
    edges = [0, *itertools.takewhile(lambda frame: frame < end, found), end]
    frames = []
    for start, stop in itertools.pairwise(edges):
        times = (
            start / params.fps,
            min(stop / params.fps, max(start / params.fps, sound.length / SAMPLE_RATE)),
        )
        if times[1] - times[0] >= params.whole_below_s:
            between = borders(
                *times,
                spans(),
                lambda a, b: sound.between(round(a * SAMPLE_RATE), round(b * SAMPLE_RATE)),
                params.lengths,
            )
        else:
            between = [*times]
        frames += [start, *(round(t * params.fps) for t in between[1:-1])]
    return [*frames, end]


def segment_recording(
    path: Path, transcript: Path | None, truth: GroundTruth | None, params: Segmenting, folder: Path
) -> list[Piece]:
    """Cut one recording into `folder`/<number>/{frames.mkv, audio.flac, margins.flac, ground_truth.npz}.

    Pieces tile the recording up to the end of its sound or picture, whichever comes first, on frame borders; a
    piece's sound has exactly the length of its frames. No piece crosses a cut of the picture. Memory does not grow
    with the length of the recording.

    Raises
    ------
    TalkmeshError
        If the recording is damaged, has no picture, no sound or only silence, its transcript cannot be read or its
        ground truth is too short.
    """
    said = None if transcript is None else read_transcript(transcript)
    sound = _extract(path, folder / "sound.f32")

    @functools.cache
    def spans() -> list[Span]:
        if said is not None:
            return said
        return voice_activity.speech(sound.blocks(voice_activity.BLOCK), params.voice)

    fps = params.fps
    edges = _borders(path, sound, spans, params)
    frames = media.video_frames(path, fps)
    pieces: list[Piece] = []
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        where = folder / f"{number:02d}"
        count = media.write_lossless(where / "frames.mkv", itertools.islice(frames, stop - start), fps)
        if count == 0:
            break
        first, last = (round(k / fps * SAMPLE_RATE) for k in (start, start + count))
        around = sound.between(first - MARGIN, last + MARGIN)
        why = ""
        if count / fps < params.min_clip_s:
            why = f"lasts {count / fps:.2f} s, less than segment.min_clip_s ({params.min_clip_s} s)"
        elif np.abs(around[MARGIN:-MARGIN]).max() < SILENT:
            why = "the sound is silent"
        text = text_between(said or [], start / fps, (start + count) / fps)
        pieces.append(Piece(number, start / fps, (start + count) / fps, 0 if why else count, text, why))
        if why:
            shutil.rmtree(where)
            continue
        write_around(around, where.name, folder)
        if truth is not None:
            write_ground_truth(where / "ground_truth.npz", slice_truth(truth, start / fps, count, fps))
    sound.file.unlink()
    _tell_mismatch(path, pieces[-1].end_s, sound.length / SAMPLE_RATE, next(frames, None) is not None)
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
