"""What the clips of one speaker have in common: the mean shape, the neutral frame, the window about its mouth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from talkmesh import neutral
from talkmesh.alignment import apply
from talkmesh.contracts import Speaker
from talkmesh.cropping import Cropping, Reference, align, mean_shape_of
from talkmesh.errors import TalkmeshError
from talkmesh.framing import window
from talkmesh.landmarks import CORNERS, STABLE
from talkmesh.silence import frame_levels
from talkmesh.subjects import Subject

CANDIDATES, APART_S = 12, 0.4  # neutral frames to choose from, and time between two of the same clip
# Frames, about, among which mean shape and neutral frame are looked for: of a longer film evenly spaced ones. More tell
# nothing new, and memory must not grow with them.
MOST = 6000


def find_reference(
    table: pd.DataFrame, subjects: dict[str, Subject], params: Cropping, clips: Path
) -> tuple[Reference, Speaker]:
    """Find what the clips of one speaker are aligned to and framed by.

    Parameters
    ----------
    table : the speaker's clips (columns clip, split, fps), each with a face in enough frames
    subjects : by clip

    The mean shape and the neutral frame come from training clips, where there are any.
    """
    names, fps = [str(c) for c in table["clip"]], float(table["fps"].iloc[0])
    teaching = [str(c) for c in table.loc[table["split"] == "train", "clip"]] or names
    every = -(-sum(int(subjects[c].good.sum()) for c in teaching) // MOST)
    some = [np.flatnonzero(subjects[c].good)[::every] for c in teaching]
    shape = mean_shape_of(
        np.concatenate(
            [subjects[c].track().landmarks[t][:, STABLE] for c, t in zip(teaching, some, strict=True)]
        )
    )
    frames = [_frames(c, subjects[c], shape, every, fps, params, clips) for c in teaching]
    ranked = neutral.rank(frames, shape, CANDIDATES, round(APART_S * fps))
    candidates = [(teaching[c], t) for c, t in ranked]
    clip, _, frame = params.neutral.rpartition(":")
    chosen = (clip, int(frame)) if clip in names else candidates[0]
    landmarks = subjects[chosen[0]].track().landmarks
    corners = apply(align(landmarks, shape, params)[chosen[1]], landmarks[chosen[1], CORNERS])
    framed = window(corners[0], corners[1], params.framing)
    mouth = float(np.linalg.norm(corners[1] - corners[0]) * framed[0, 0])
    return Reference(shape, framed), Speaker(*chosen, mouth, tuple(f"{c}:{t}" for c, t in candidates))


def _frames(
    clip: str,
    subject: Subject,
    shape: np.ndarray,
    every: int,
    fps: float,
    params: Cropping,
    clips: Path,
) -> neutral.Frames:
    """Return frames of one clip of which one may be the neutral one."""
    track = subject.track()
    points = apply(align(track.landmarks, shape, params), track.landmarks[:, neutral.POINTS])
    points[~subject.good] = np.nan
    level = frame_levels(subject.sound(clip, clips), len(points), fps)  # a resting face is silent
    return neutral.frames_of(points, track.sharpness, level, every)


def check_neutral(neutral_frame: str, subjects: dict[str, Subject]) -> None:
    """Raise a TalkmeshError unless the parameter is auto or names a frame of these clips that shows a face."""
    clip, _, frame = neutral_frame.rpartition(":")
    if neutral_frame == "auto":
        return
    found = subjects[clip].track().found if clip in subjects else np.zeros(0, bool)
    if not frame.isdigit() or int(frame) >= len(found):
        raise TalkmeshError(
            f"crop.neutral must be auto or <clip>:<frame> of a clip that is kept; got '{neutral_frame}'"
        )
    if not found[int(frame)]:
        raise TalkmeshError(f"crop.neutral is {neutral_frame}, a frame in which no face was found")
