"""What the methods that ours is compared with are fed in training: speech, and meshes as offsets from a neutral one.

T frames, V vertices, F speech features, S speakers, B batch.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from talkmesh.contracts import CLIPS, RAW, Track, read_kept
from talkmesh.models.hearing import RATE
from talkmesh.models.speech import SpeechConfig, features
from talkmesh.rig import Rig
from talkmesh.spoken import NothingToLearnFrom, Spoken, carried_to, exact, predicted, recorded

HELD_OUT = 20  # one sequence of so many is for validation, where there are no clips for it


@dataclass(frozen=True)
class Stretches:
    """What a step draws: `sequences` stretches of `frames` frames (fewer where a clip is shorter)."""

    sequences: int
    frames: int


@dataclass(frozen=True)
class Sequence:
    """One clip to learn from. speech : (T, F), or samples (S,) for `wav2vec2`; offsets : (T, V, 3) mm from the
    neutral mesh (V, 3), on disk."""

    name: str
    speaker: str
    speech: np.ndarray
    offsets: np.ndarray
    neutral: np.ndarray


def read_sequences(spoken: Iterable[Spoken], speech: SpeechConfig, fps: float) -> list[Sequence]:
    """Make sequences. Meshes go to a file without a name, mapped into memory: no step copies more than it draws."""
    heads = []
    with tempfile.TemporaryFile() as file:
        for s in spoken:
            fed = features(s.samples, len(s.vertices), fps, speech)
            (s.vertices - s.neutral).astype(np.float32).tofile(file)
            heads.append((s.name, s.speaker, fed, s.vertices.shape, s.neutral))
        file.flush()
        made, start = [], 0
        for name, speaker, fed, shape, neutral in heads:
            offsets = np.memmap(file, np.float32, "r", start, shape)
            made.append(Sequence(name, speaker, fed, offsets, neutral))
            start += offsets.nbytes
    return made


def gather(
    targets: Path, more: Path, test: str, track: Track, rig: Rig, speech: SpeechConfig, fps: float
) -> tuple[list[Sequence], list[Sequence]]:
    """Return the sequences to learn from and those for validation.

    Parameters
    ----------
    targets : data/clips for exact meshes, or the folder of a method's predictions for the clips
    more : a corpus of speech and meshes in data/raw that is learned from as well; data/clips: none
    test : the file that lists what of it is kept for testing

    Raises
    ------
    NothingToLearnFrom
        If there are no meshes.
    """
    carried = carried_to(track)

    def of(split: str) -> Iterable[Spoken]:
        table = read_kept(split)
        return exact(table, rig, carried) if targets == CLIPS else predicted(table, targets, rig)

    others: Iterable[Spoken] = ()
    if more.is_relative_to(RAW):
        others = recorded(more, rig, carried, fps, test)
    sequences = read_sequences(itertools.chain(of("train"), others), speech, fps)
    held_out = read_sequences(of("val"), speech, fps)
    if not sequences:
        raise NothingToLearnFrom(f"no clip has exact meshes for the rig {rig.name}")
    if not held_out:
        held_out = sequences[::HELD_OUT]
        sequences = [s for i, s in enumerate(sequences) if i % HELD_OUT] or held_out
    return sequences, held_out


def speakers_of(sequences: list[Sequence]) -> tuple[str, ...]:
    """Return the speakers, in the order of their one-hot vectors."""
    return tuple(sorted({s.speaker for s in sequences}))


def one_hot(speaker: str, speakers: tuple[str, ...]) -> Tensor:
    """Return who speaks, (S,). Somebody not learned from is given the style of the first speaker."""
    index = speakers.index(speaker) if speaker in speakers else 0
    return torch.eye(len(speakers))[index]


def cut_speech(speech: np.ndarray, start: int, frames: int, margin: int, fps: float) -> np.ndarray:
    """Return the speech of `frames` frames from `start`, with a margin on both sides; zeros beyond the clip."""
    if speech.ndim == 1:
        begin, size = round((start - margin) * RATE / fps), round((frames + 2 * margin) * RATE / fps)
    else:
        begin, size = start - margin, frames + 2 * margin
    cut = speech[max(begin, 0) : begin + size]
    before = max(-begin, 0)
    return np.pad(cut, ((before, size - before - len(cut)), *([(0, 0)] * (speech.ndim - 1))))


class Sampler:
    """Draws stretches: clips by their length, places evenly."""

    def __init__(
        self, sequences: list[Sequence], speakers: tuple[str, ...], batch: Stretches, margin: int, fps: float
    ) -> None:
        self.sequences, self.speakers, self.batch = sequences, speakers, batch
        self.margin, self.fps = margin, fps
        self.lengths = np.array([len(s.offsets) for s in sequences], float)

    def draw(self, rng: np.random.Generator, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return speech, speakers, neutral meshes and offsets of one batch, all of one length."""
        chosen = rng.choice(len(self.lengths), self.batch.sequences, p=self.lengths / self.lengths.sum())
        picked = [self.sequences[i] for i in chosen]
        frames = int(min(self.batch.frames, *self.lengths[chosen]))
        speech, offsets = [], []
        for s in picked:
            start = int(rng.integers(0, len(s.offsets) - frames + 1))
            speech.append(cut_speech(s.speech, start, frames, self.margin, self.fps))
            offsets.append(s.offsets[start : start + frames])
        return (
            torch.from_numpy(np.stack(speech)).to(device),
            torch.stack([one_hot(s.speaker, self.speakers) for s in picked]).to(device),
            torch.from_numpy(np.stack([s.neutral for s in picked])).to(device),
            torch.from_numpy(np.stack(offsets)).to(device),
        )
