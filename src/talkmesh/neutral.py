"""Which frame shows a speaker's neutral face: lips closed, features at rest, nothing moving, sharp."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.stats import rankdata

from talkmesh.landmarks import LIPS, STABLE, opening

BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
LIDS = (159, 145, 386, 374)  # upper and lower, left and right
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


def rank(
    clips: list[np.ndarray],
    sharpness: list[np.ndarray],
    levels: list[np.ndarray],
    shape: np.ndarray,
    count: int = 1,
    apart: int = 0,
) -> list[tuple[int, int]]:
    """Return up to `count` pairs (clip, frame) that show the neutral face, best first, among one speaker's clips.

    Among the frames with closed lips, in the order of the sum of squared ranks of: distance of the lips from
    their median over those frames, distance of brows and lids from their median, distance of the skull's points from
    the mean shape (the head is turned), motion, loudness, lack of sharpness. Ranks need no weights or units.

    Parameters
    ----------
    clips : (T, 478, 2) each, aligned to `shape`; NaN in frames that are not to be chosen
    sharpness : (T,) each
    levels : (T,) each, of the sound about each frame, dB
    shape : (P, 2), the speaker's mean shape of `landmarks.STABLE`
    apart : frames between two of the same clip, at least: neighbours are alike
    """
    index = np.array([(c, t) for c, points in enumerate(clips) for t in range(len(points))])
    points = np.concatenate(clips)
    gap = np.concatenate([opening(c) for c in clips])
    moving = np.concatenate([motion(c[:, [*LIPS, *BROWS, *LIDS]]) for c in clips])
    keep = np.flatnonzero(np.isfinite(gap))
    number = max(1, round(FEWEST * len(keep)), int((gap[keep] < CLOSED).sum()))
    still = keep[np.argsort(gap[keep], kind="stable")[:number]]

    def distance(ids: tuple[int, ...], among: np.ndarray) -> np.ndarray:
        middle = np.median(points[among][:, ids], axis=0)
        return np.linalg.norm(points[still][:, ids] - middle, axis=2).mean(1)

    measures = [
        distance(LIPS, still),
        distance(BROWS + LIDS, keep),
        np.linalg.norm(points[still][:, STABLE] - shape, axis=2).mean(1),
        moving[still],
        np.concatenate(levels)[still],
        -np.concatenate(sharpness)[still],
    ]
    ranks = np.stack([rankdata(m) for m in measures])  # equals share a rank
    found: list[tuple[int, int]] = []
    for c, t in index[still[np.argsort((ranks**2).sum(0), kind="stable")]].tolist():
        if all(c != other or abs(t - frame) >= apart for other, frame in found):
            found.append((c, t))
        if len(found) == count:
            break
    return found
