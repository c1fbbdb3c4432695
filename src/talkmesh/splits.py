"""Which clips are for training, validation and test."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pandas as pd

from talkmesh.errors import TalkmeshError

log = logging.getLogger(__name__)

Want = int | float | str  # clips as a count, as a fraction below 1, or a file that lists recordings


def split(clips: pd.DataFrame, test: Want, val: Want, seed: int, folder: Path) -> pd.Series:
    """Return the split of each clip: "test", "val" or "train".

    Parameters
    ----------
    clips : columns `clip`, `stem` (of its recording) and `number` (in its recording)
    folder : data/raw/<corpus>, where list files lie

    What is split are sentences, (stem, number): one that several speakers say is in the same split for all. Their
    order is a hash of the seed and the name, so adding a recording moves few others.

    Raises
    ------
    TalkmeshError
        If nothing is left for training, or a list file is missing or names a recording that is not there.
    """
    sentence = clips["stem"] + "\0" + clips["number"].astype(str)
    order = sorted(set(sentence), key=lambda s: hashlib.sha256(f"{seed}\0{s}".encode()).digest())
    chosen = pd.Series("train", index=clips.index)
    for name, want in (("test", test), ("val", val)):
        free = chosen == "train"
        if isinstance(want, str):
            chosen[free & clips["stem"].isin(listed(folder / want, set(clips["stem"])))] = name
            continue
        if want < 0 or (isinstance(want, float) and want >= 1):
            raise TalkmeshError(
                f"segment.{name} must be a count, a fraction below 1 or a file name; got {want}"
            )
        number = round(want * len(clips)) if isinstance(want, float) else want
        for s in order:
            if (chosen == name).sum() >= number:
                break
            chosen[free & (sentence == s)] = name
    if not (chosen == "train").any():
        raise TalkmeshError(
            f"of {len(clips)} clips none is left for training: lower segment.test ({test}) "
            f"or segment.val ({val}) in params.yaml, or add recordings"
        )
    return chosen


def listed(path: Path, stems: set[str]) -> set[str]:
    """Return the recording stems listed in a file, one a line, with or without speaker folder and suffix."""
    if not path.is_file():
        raise TalkmeshError(
            f"{path} not found: list recordings in it, one a line, or set segment.test (segment.val) to a number "
            "of clips"
        )
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise TalkmeshError(f"{path} is no text in UTF-8: {error}") from None
    names = {Path(line).name if Path(line).name in stems else Path(line).stem for line in lines if line}
    if not names & stems:
        raise TalkmeshError(f"{path} lists no recording of this corpus that could be read")
    for name in sorted(names - stems):
        log.warning("%s lists %s, which is not among the recordings that could be read", path, name)
    return names
