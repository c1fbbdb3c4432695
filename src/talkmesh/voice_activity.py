"""When somebody speaks: Silero's voice detector, whose network lies in its package (MIT)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from talkmesh.contracts import SAMPLE_RATE
from talkmesh.sentences import Span

STEP = 512  # samples a probability
LEAD = 64 * STEP  # of the sound before a block, so that the network has heard what comes before
BLOCK = 4096 * STEP  # about two minutes; a multiple of STEP
SHORTEST_S = 0.06  # of a stretch of speech and of a gap in it


@cache
def _network() -> Any:
    from silero_vad import load_silero_vad

    return load_silero_vad(sequence=True)


def probabilities(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Return the probability (ceil(N / STEP),) of speech in each step of sound that comes in blocks.

    blocks : (BLOCK,) float32 at `SAMPLE_RATE`, the last one may be shorter
    """
    heard = [np.zeros(0, np.float32)]
    lead = np.zeros(0, np.float32)
    for block in blocks:
        heard.append(_network().audio_forward(np.concatenate([lead, block]))[len(lead) // STEP :])
        lead = block[-LEAD:]
    return np.concatenate(heard)


def speech(blocks: Iterable[np.ndarray], threshold: float) -> list[Span]:
    """Return the stretches of speech in sound that comes in blocks, without text; see `probabilities`."""
    from silero_vad import get_speech_timestamps_from_probs

    found = get_speech_timestamps_from_probs(
        probabilities(blocks).tolist(),
        sampling_rate=SAMPLE_RATE,
        threshold=threshold,
        min_speech_duration_ms=round(1000 * SHORTEST_S),
        min_silence_duration_ms=round(1000 * SHORTEST_S),
        speech_pad_ms=0,
    )
    return [Span(s["start"] / SAMPLE_RATE, s["end"] / SAMPLE_RATE) for s in found]
