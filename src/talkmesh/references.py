"""Rows that need no training: the exact meshes themselves, the neutral face, and the truth of a wrong sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.judged import Clip, read_truth, without_truth
from talkmesh.rig import Rig
from talkmesh.rig.transfer import Transfer

STILL, TRUTH, CHANCE = "still", "ground_truth", "chance"
REFERENCES = (TRUTH, STILL, CHANCE)


def wrong_sentences(clips: Sequence[str]) -> dict[str, str]:
    """Return another clip for every clip, none of them twice: about half way on in the sorted list, around its end.

    Neighbours may be cut from one recording; half way is as far from a clip as another can be. Where several speakers
    say the same (`anna-03`, `ben-03`), it is as near to that as no clip gets its own sentence from another mouth.
    """
    names = sorted(clips)
    count, said = len(names), [name.partition("-")[2] or name for name in names]
    half = count // 2
    steps = sorted(range(1, count), key=lambda step: abs(step - half))
    other = (s for s in steps if all(said[i] != said[(i + s) % count] for i in range(count)))
    step = next(other, half)
    return {name: names[(i + step) % count] for i, name in enumerate(names)}


def lengthened(frames: np.ndarray, length: int) -> np.ndarray:
    """Return the first `length` of `frames` (T, ...); where there are too few they are played back and forth again."""
    there_and_back = np.concatenate([np.arange(len(frames)), np.arange(len(frames) - 2, 0, -1)])
    return frames[np.resize(there_and_back, length)]


def motions(
    method: str, clips: list[Clip], rig: Rig, carried: Transfer | None = None
) -> dict[str, np.ndarray] | str:
    """Return what the reference `method` does in every clip, or in words why it cannot be made.

    Returns
    -------
    clip to poses (T, K) of `rig`, or where the truth is given as meshes these, (T, V, 3) in mm

    Raises
    ------
    TalkmeshError
        If there is no reference of that name.
    """
    if method not in REFERENCES:
        raise TalkmeshError(
            f"there is no reference '{method}'; params.yaml: reference.methods may list {', '.join(REFERENCES)}"
        )
    if method == STILL:
        return {clip.name: np.zeros((clip.frames, len(rig.names)), np.float32) for clip in clips}
    if method == CHANCE and len(clips) < 2:
        return "there is only one test clip, and no wrong sentence"
    true: dict[str, np.ndarray] = {}
    for clip in clips:
        truth = read_truth(clip, carried)
        motion = None if truth is None else truth.motion(rig)
        if motion is None:
            return f"clip {clip.name}: {without_truth(clip, rig)}"
        true[clip.name] = motion
    source = wrong_sentences([clip.name for clip in clips]) if method == CHANCE else {}
    return {clip.name: lengthened(true[source.get(clip.name, clip.name)], clip.frames) for clip in clips}
