"""Which frame shows a speaker's neutral face: lips closed, features at rest, nothing moving, sharp."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from talkmesh.landmarks import LIPS, STABLE, opening

BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
LIDS = (159, 145, 386, 374)  # upper and lower, left and right
CLOSED = 0.2  # share of frames, those with the least lip opening, among which the neutral frame is sought
WINDOW = 5  # frames over which motion is averaged


def motion(points: np.ndarray) -> np.ndarray:
    """Return the mean speed (T,) of points (T, P, 2), pixels a frame, averaged over `WINDOW` frames; NaN stays NaN."""
    step = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(1) if len(points) > 1 else np.zeros(0)
    speed = np.fmax(np.append(step, np.nan), np.append(np.nan, step))
    filled = np.where(np.isfinite(speed), speed, np.nanmax(speed) if np.isfinite(speed).any() else 0.0)
    return np.where(np.isfinite(points[:, 0, 0]), uniform_filter1d(filled, WINDOW, mode="nearest"), np.nan)


def pick(clips: list[np.ndarray], sharpness: list[np.ndarray], shape: np.ndarray) -> tuple[int, int]:
    """Return (clip, frame) of the neutral face among the aligned clips of one speaker.

    Among the frames with the least lip opening, the one that ranks best in the sum of squared ranks of: lip opening,
    distance of the lips from their median over those frames, distance of brows and lids from their median, distance
    of the skull's points from the mean shape (the head is turned), motion, lack of sharpness. Ranks need no weights
    or units.

    Parameters
    ----------
    clips : (T, 478, 2) each, aligned to `shape`; NaN in frames without a face
    sharpness : (T,) each
    shape : (P, 2), the speaker's mean shape of `landmarks.STABLE`
    """
    index = np.array([(c, t) for c, points in enumerate(clips) for t in range(len(points))])
    points = np.concatenate(clips)
    gap = np.concatenate([opening(c) for c in clips])
    moving = np.concatenate([motion(c[:, [*LIPS, *BROWS, *LIDS]]) for c in clips])
    keep = np.flatnonzero(np.isfinite(gap))
    still = keep[np.argsort(gap[keep], kind="stable")[: max(1, round(CLOSED * len(keep)))]]

    def distance(ids: tuple[int, ...], among: np.ndarray) -> np.ndarray:
        middle = np.median(points[among][:, ids], axis=0)
        return np.linalg.norm(points[still][:, ids] - middle, axis=2).mean(1)

    measures = [
        gap[still],
        distance(LIPS, still),
        distance(BROWS + LIDS, keep),
        np.linalg.norm(points[still][:, STABLE] - shape, axis=2).mean(1),
        moving[still],
        -np.concatenate(sharpness)[still],
    ]
    ranks = np.stack([np.argsort(np.argsort(m, kind="stable"), kind="stable") for m in measures]).astype(
        float
    )
    c, t = index[still[int(np.argmin((ranks**2).sum(0)))]]
    return int(c), int(t)
