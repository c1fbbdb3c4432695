"""How well voice detectors find the pauses between sentences of a real speaker: ``python -m benchmarks.vad [FOLDER]``.

FOLDER holds ``video/`` with short recordings of one sentence each and ``align/`` with their words, as GRID's speaker 1
in ``../shared``. Recordings are joined to long ones, as they are, 40 dB quieter, and with white noise that is so many
dB below the speech. For each detector: ``found``, the share of the pauses between sentences in which it pauses for at
least ``segment.pause_s``; ``edges_ms``, how far the ends of those pauses are off (median; absent if none is found);
``words_cut``, in how many words a clip would end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkmesh import media, params, voice_activity
from talkmesh.contracts import SAMPLE_RATE
from talkmesh.cutting import Segmenting
from talkmesh.errors import TalkmeshError
from talkmesh.sentences import Span, pauses
from talkmesh.silence import HOP_S, loudness
from talkmesh.transcripts import read_transcript

SHARED = Path(os.environ.get("TALKMESH_SHARED", "../shared")) / "data/grid_s1"
JOINED = 40  # recordings make a long one: two minutes of GRID
QUIETER_DB, NOISES_DB = 40.0, (20.0, 10.0, 5.0)
BELOW_DB = 35.0  # the energy rule: what is so far below the loud parts is silence
FRAME_S = 0.03  # of WebRTC's detector, which takes 10, 20 or 30 ms
STRICTEST = 3  # its mode that hears least


@dataclass(frozen=True)
class Long:
    """Sentences joined. audio : (S,) float32; words : with their times; sentences : first and last moment of each."""

    audio: np.ndarray
    words: list[Span]
    sentences: list[tuple[float, float]]


def join(clips: list[tuple[np.ndarray, list[Span]]]) -> Long:
    """Put recordings, each its sound (S,) and its words, one after the other."""
    start, words, sentences = 0.0, [], []
    for audio, spoken in clips:
        words += [Span(start + w.start_s, start + w.end_s, w.text) for w in spoken]
        sentences.append((start + spoken[0].start_s, start + spoken[-1].end_s))
        start += len(audio) / SAMPLE_RATE
    return Long(np.concatenate([audio for audio, _ in clips]), words, sentences)


def read_corpus(folder: Path, count: int) -> list[Long]:
    """Read up to `count` recordings of a folder, evenly spaced, and join them by `JOINED`.

    Raises
    ------
    TalkmeshError
        If the folder has not both pictures and words, or fewer than two recordings.
    """
    pairs = [
        (video, folder / "align" / f"{video.stem}.align")
        for video in sorted((folder / "video").glob("*"))
        if (folder / "align" / f"{video.stem}.align").is_file()
    ]
    if len(pairs) < 2:
        raise TalkmeshError(
            f"{folder} needs video/ and align/ with recordings and their words (GRID's layout); give another folder"
        )
    chosen = np.unique(np.linspace(0, len(pairs) - 1, count).astype(int))
    clips = [(media.read_audio(pairs[i][0]), read_transcript(pairs[i][1])) for i in chosen]
    return [join(clips[i : i + JOINED]) for i in range(0, len(clips), JOINED)]


def with_noise(long: Long, below_db: float, seed: int = 0) -> np.ndarray:
    """Return its sound with white noise `below_db` below the power of its words."""
    spoken = np.concatenate(
        [long.audio[round(w.start_s * SAMPLE_RATE) : round(w.end_s * SAMPLE_RATE)] for w in long.words]
    )
    power = float(np.mean(spoken.astype(float) ** 2)) * 10 ** (-below_db / 10)
    noise = np.random.default_rng(seed).normal(0, np.sqrt(power), len(long.audio))
    return (long.audio + noise).astype(np.float32)


# ------------------------------------------------------------------------------------------------ detectors


def silero(audio: np.ndarray, threshold: float) -> list[Span]:
    """Return the speech that `segment` hears."""
    block = voice_activity.BLOCK
    return voice_activity.speech((audio[i : i + block] for i in range(0, len(audio), block)), threshold)


def webrtc(audio: np.ndarray) -> list[Span]:
    """Return the speech that WebRTC's detector hears in its strictest mode.

    Raises
    ------
    TalkmeshError
        If its package is not installed.
    """
    try:
        from webrtcvad import Vad
    except ImportError:
        raise TalkmeshError(
            "WebRTC's detector is not installed: pip install webrtcvad-wheels, or leave it out with --without webrtc"
        ) from None
    vad, size = Vad(STRICTEST), round(FRAME_S * SAMPLE_RATE)
    samples = (np.clip(audio, -1, 1) * 32767).astype("<i2")
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    return runs(np.array([vad.is_speech(frame.tobytes(), SAMPLE_RATE) for frame in frames], bool), FRAME_S)


def energy(audio: np.ndarray) -> list[Span]:
    """Return what is louder than `BELOW_DB` below the loud parts."""
    level = loudness(audio)
    return runs(level > np.percentile(level, 95) - BELOW_DB, HOP_S)


def runs(heard: np.ndarray, step_s: float) -> list[Span]:
    """Return the stretches of steps (N,) bool in which speech is heard; short ones are passed over and short gaps
    closed, as for Silero's."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], heard, [False]]).astype(int))) * step_s
    spans: list[Span] = []
    for start, end in edges.reshape(-1, 2).tolist():
        if spans and start - spans[-1].end_s < voice_activity.SHORTEST_S:
            spans[-1] = Span(spans[-1].start_s, end)
        else:
            spans.append(Span(start, end))
    return [s for s in spans if s.end_s - s.start_s >= voice_activity.SHORTEST_S]


# -------------------------------------------------------------------------------------------------- figures


def judge(long: Long, spans: list[Span], pause_s: float) -> tuple[list[float], int, int]:
    """Return how far the edges of found pauses are off (seconds), how many pauses there are, and words that are cut."""
    gaps = [
        (middle - length / 2, middle, middle + length / 2)
        for middle, length, _ in pauses(spans, 0.0, len(long.audio) / SAMPLE_RATE)
        if length >= pause_s
    ]
    off: list[float] = []
    between = [(a[1], b[0]) for a, b in itertools.pairwise(long.sentences)]
    for start, end in between:
        inside = [gap for gap in gaps if start < gap[1] < end]
        if inside:
            low, _, high = max(inside, key=lambda gap: gap[2] - gap[0])
            off += [abs(low - start), abs(high - end)]
    cut = sum(any(w.start_s < gap[1] < w.end_s for gap in gaps) for w in long.words)
    return off, len(between), cut


def figures(
    longs: list[Long], detectors: dict[str, Callable[[np.ndarray], list[Span]]], pause_s: float
) -> dict[str, float]:
    """Return everything that is measured."""
    sounds: dict[str, list[np.ndarray]] = {
        "as_is": [long.audio for long in longs],
        f"quieter_{QUIETER_DB:.0f}db": [
            (long.audio * 10 ** (-QUIETER_DB / 20)).astype(np.float32) for long in longs
        ],
        **{f"noise_{db:.0f}db": [with_noise(long, db) for long in longs] for db in NOISES_DB},
    }
    result: dict[str, float] = {"words": sum(len(long.words) for long in longs)}
    for name, detector in detectors.items():
        for condition, audios in sounds.items():
            judged = [judge(long, detector(a), pause_s) for long, a in zip(longs, audios, strict=True)]
            off = [seconds for offs, _, _ in judged for seconds in offs]
            result["pauses"] = sum(count for _, count, _ in judged)
            result |= {
                f"{name}_{condition}_found": len(off) / 2 / result["pauses"],
                f"{name}_{condition}_words_cut": sum(cut for _, _, cut in judged),
            }
            if off:
                result[f"{name}_{condition}_edges_ms"] = 1000 * float(np.median(off))
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED)
    parser.add_argument("--clips", type=int, default=120, help="recordings (default: %(default)s)")
    parser.add_argument("--without", action="append", default=[], choices=("silero", "webrtc", "energy"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    how = params.section(Segmenting, "segment")
    detectors: dict[str, Callable[[np.ndarray], list[Span]]] = {
        "silero": lambda audio: silero(audio, how.voice),
        "webrtc": webrtc,
        "energy": energy,
    }
    wanted = {name: detector for name, detector in detectors.items() if name not in given.without}
    try:
        found = figures(read_corpus(given.folder, given.clips), wanted, how.pause_s)
    except TalkmeshError as error:
        parser.error(str(error))
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<36}{value:10.3f}")


if __name__ == "__main__":
    main()
