"""Which frame shows a speaker's neutral face: lips closed, features at rest, nothing moving, sharp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.stats import rankdata

from talkmesh.landmarks import LIPS, STABLE, opening_of_lips

BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
LIDS = (159, 145, 386, 374)  # upper and lower, left and right
POINTS = LIPS + BROWS + LIDS + STABLE  # all that is looked at, and where among them the parts are
LIP_PLACES, FACE_PLACES = slice(0, len(LIPS)), slice(0, -len(STABLE))
EYE_PLACES, SKULL_PLACES = slice(len(LIPS), -len(STABLE)), slice(-len(STABLE), None)
# Lip opening below which lips count as closed. How closed is noise, or pressing them together: less is not better.
CLOSED = 0.04
FEWEST = 0.05  # share of frames to choose from at least, those with the least opening
WINDOW = 5  # frames over which motion is averaged


def motion(points: np.ndarray) -> np.ndarray:
    """Return the mean speed (T,) of points (T, P, 2), pixels a frame, averaged over `WINDOW` frames; NaN stays NaN."""
    step = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(1) if len(points) > 1 else np.zeros(0)
    speed = np.fmax(np.append(step, np.nan), np.append(np.nan, step))
    filled = np.where(np.isfinite(speed), speed, np.nanmax(speed) if np.isfinite(speed).any() else 0.0)
    return np.where(np.isfinite(points[:, 0, 0]), uniform_filter1d(filled, WINDOW, mode="nearest"), np.nan)


@dataclass(frozen=True)
class Frames:
    """Frames of one clip of which one may show the neutral face.

    number : (N,) frame in the clip; points : (N, P, 2) float32, `POINTS`, aligned; gap : (N,) lip opening; motion,
    level, sharpness : (N,)
    """

    number: np.ndarray
    points: np.ndarray
    gap: np.ndarray
    motion: np.ndarray
    level: np.ndarray
    sharpness: np.ndarray


def frames_of(points: np.ndarray, sharpness: np.ndarray, level: np.ndarray, every: int = 1) -> Frames:
    """Return the frames of a clip that may be chosen, one in `every`.

    Parameters
    ----------
    points : (T, P, 2) `POINTS`, aligned; NaN in frames that are not to be chosen
    sharpness : (T,)
    level : (T,) of the sound about each frame, dB
    """
    kept = np.flatnonzero(np.isfinite(points[:, 0, 0]))[::every]
    gap = opening_of_lips(points[:, LIP_PLACES])
    moving = motion(points[:, FACE_PLACES])
    return Frames(
        kept, points[kept].astype(np.float32), gap[kept], moving[kept], level[kept], sharpness[kept]
    )


def rank(clips: Sequence[Frames], shape: np.ndarray, count: int = 1, apart: int = 0) -> list[tuple[int, int]]:
    """Return up to `count` pairs (clip, frame) that show the neutral face, best first, among one speaker's clips.

    Among the frames with closed lips, in the order of the sum of squared ranks of: distance of the lips from
    their median over those frames, distance of brows and lids from their median, distance of the skull's points from
    the mean shape (the head is turned), motion, loudness, lack of sharpness. Ranks need no weights or units.

    Parameters
    ----------
    clips : aligned to `shape`
    shape : (P, 2), the speaker's mean shape of `landmarks.STABLE`
    apart : frames between two of the same clip, at least: neighbours are alike
    """
    index = np.array([(c, t) for c, frames in enumerate(clips) for t in frames.number])
    points = np.concatenate([frames.points for frames in clips])
    gap = np.concatenate([frames.gap for frames in clips])
    number = max(1, round(FEWEST * len(gap)), int((gap < CLOSED).sum()))
    still = np.argsort(gap, kind="stable")[:number]

    def distance(places: slice, among: np.ndarray | slice) -> np.ndarray:
        middle = np.median(points[among, places], axis=0)
        return np.linalg.norm(points[still, places] - middle, axis=2).mean(1)

    measures = [
        distance(LIP_PLACES, still),
        distance(EYE_PLACES, slice(None)),
        np.linalg.norm(points[still, SKULL_PLACES] - shape, axis=2).mean(1),
        *(np.concatenate([getattr(f, name) for f in clips])[still] for name in ("motion", "level")),
        -np.concatenate([f.sharpness for f in clips])[still],
    ]
    ranks = np.stack([rankdata(m) for m in measures])  # equals share a rank
    found: list[tuple[int, int]] = []
    for c, t in index[still[np.argsort((ranks**2).sum(0), kind="stable")]].tolist():
        if all(c != other or abs(t - frame) >= apart for other, frame in found):
            found.append((c, t))
        if len(found) == count:
            break
    return found
