"""Who is who in a picture with several faces, and which of them is the speaker.

T frames, P people. Pixels of the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from talkmesh import sync
from talkmesh.landmarks import opening

FACES = 4  # people looked for
OFTEN = 0.5  # a person seen in less than this share of the frames of who is seen most is a passer-by
Follow = Literal["largest", "central", "talking"]


def link(faces: Sequence[np.ndarray]) -> np.ndarray:
    """Follow everybody through a clip.

    A face belongs to the person whose face was last seen nearest to it, if no further than that face is wide;
    otherwise somebody new has come. Nobody is two faces at once.

    Parameters
    ----------
    faces : one (N_t, 478, 2) a frame, pixels, in any order

    Returns
    -------
    (P, T) indices into the faces of each frame, -1 where a person is not seen; at most `FACES` people, those with
    the largest faces over the whole clip. P is at least 1.
    """
    boxes = [np.stack([f.min(1), f.max(1)], 1) if len(f) else np.zeros((0, 2, 2)) for f in faces]
    places: list[list[int]] = []
    last = np.zeros((0, 2, 2))
    for t, frame in enumerate(boxes):
        distance = np.linalg.norm(frame.mean(1)[:, None] - last.mean(1)[None], axis=2)  # (N_t, P)
        width = last[:, 1, 0] - last[:, 0, 0]
        pairs = linear_sum_assignment(np.minimum(distance, 10 * width) / np.maximum(width, 1e-9))
        known = {i: p for i, p in zip(*pairs, strict=True) if distance[i, p] <= width[p]}
        for i, box in enumerate(frame):
            if i not in known:
                known[i] = len(places)
                places.append([-1] * len(faces))
                last = np.concatenate([last, box[None]])
            places[known[i]][t] = i
            last[known[i]] = box
    if not places:
        return np.full((1, len(faces)), -1)
    area = [
        [float(np.prod(boxes[t][i, 1] - boxes[t][i, 0])) for t, i in enumerate(p) if i >= 0] for p in places
    ]
    largest = np.argsort([-sum(a) for a in area], kind="stable")[:FACES]
    return np.array(places)[largest]


def choose(
    landmarks: np.ndarray, size: tuple[int, int], follow: Follow, audio: np.ndarray, fps: float
) -> int:
    """Return which of P people is the speaker: the one with the largest face, the one nearest the middle of the
    picture, or the one whose lips move most in step with the sound.

    Parameters
    ----------
    landmarks : (P, T, 478, 2), NaN where a person is not seen
    size : width, height of the picture
    audio : (S,) the clip's sound
    """
    seen = np.isfinite(landmarks[..., 0, 0])
    often = np.flatnonzero(seen.sum(1) >= OFTEN * seen.sum(1).max())
    if len(often) < 2:
        return int(often[0])
    scores = []
    for points, there in zip(landmarks[often], seen[often], strict=True):
        low, high = points[there].min(1), points[there].max(1)
        if follow == "largest":
            scores.append(float(np.median(np.prod(high - low, axis=1))))
        elif follow == "central":
            scores.append(-float(np.median(np.abs((low + high) / 2 / size - 0.5).max(1))))
        else:
            blocks = sync.evidence(opening(points), audio, fps)
            scores.append(float(blocks.mean(0).max()) if len(blocks) else 0.0)
    return int(often[int(np.argmax(scores))])
