"""The sound on either side of a clip, so that a clip's sound can be moved without a hole at its borders.

`segment` keeps it beside each clip. Beyond the ends of the recording it is silence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from talkmesh.contracts import CLIPS, SAMPLE_RATE, clip_audio
from talkmesh.errors import TalkmeshError

MARGIN = SAMPLE_RATE // 2  # samples on either side: more than the longest offset that `sync` looks for


def clip_margins(clip: str, folder: Path = CLIPS) -> Path:
    """Return the path of the two margins of a clip, one after the other: 16 kHz mono FLAC."""
    return folder / clip / "margins.flac"


def write_around(around: np.ndarray, clip: str, folder: Path) -> None:
    """Write the sound of a clip and its margins, given as one (MARGIN + S + MARGIN,)."""
    soundfile.write(clip_audio(clip, folder), around[MARGIN:-MARGIN], SAMPLE_RATE, subtype="PCM_16")
    margins = np.concatenate([around[:MARGIN], around[-MARGIN:]])
    soundfile.write(clip_margins(clip, folder), margins, SAMPLE_RATE, subtype="PCM_16")


def read_around(clip: str, folder: Path = CLIPS) -> np.ndarray:
    """Return the sound of a clip with its margins, (MARGIN + S + MARGIN,) float32.

    Raises
    ------
    TalkmeshError
        If `segment` did not write the two.
    """
    path = clip_margins(clip, folder)
    if not path.exists():
        raise TalkmeshError(f"{path} not found: run `dvc repro segment`")
    margins, sound = (soundfile.read(p, dtype="float32")[0] for p in (path, clip_audio(clip, folder)))
    return np.concatenate([margins[:MARGIN], sound, margins[MARGIN:]])


def shifted(around: np.ndarray, ms: float) -> np.ndarray:
    """Return a clip's sound (S,) with an offset of `ms` undone, cut from what lies `around` it, (MARGIN + S + MARGIN,).

    Above zero the sound came late: what follows the clip moves in, and its beginning moves out.

    Raises
    ------
    ValueError
        If the offset is longer than the margin.
    """
    start = MARGIN + round(ms / 1000 * SAMPLE_RATE)
    if not 0 <= start <= 2 * MARGIN:
        raise ValueError(f"an offset of {ms} ms is longer than the margin of a clip's sound")
    return around[start : len(around) - 2 * MARGIN + start]
