"""MediaPipe's 478 face points by name, and lip opening. Nothing heavy is imported here.

"Left" and "right" in names are the picture's: 61 is the mouth corner at the picture's left (the person's right).
"""

from __future__ import annotations

import numpy as np

COUNT = 478  # points a face

CORNERS = (61, 291)  # outer mouth corners, picture left and right
INNER_CENTRES = (13, 14)  # middle of the inner edge of the upper and of the lower lip

# The 40 points of MediaPipe's FACEMESH_LIPS, two closed rings. Each ring starts at the left corner, runs over the
# upper lip to the right corner and back along the lower lip.
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIPS = OUTER_LIPS + INNER_LIPS

# Three pairs in the middle of the inner edge: upper and lower lip, and their places in LIPS.
INNER_UPPER, INNER_LOWER = (82, 13, 312), (87, 14, 317)
CORNERS_OF_LIPS = [LIPS.index(i) for i in CORNERS]
UPPER_OF_LIPS = [LIPS.index(i) for i in INNER_UPPER]
LOWER_OF_LIPS = [LIPS.index(i) for i in INNER_LOWER]

EYE_CORNERS = (33, 133, 362, 263)  # left eye outer and inner, right eye inner and outer
NOSE_BRIDGE = (168, 6, 197, 195, 5)  # from between the eyes down to above the tip
NOSTRILS = (98, 327)
# Points that move with the skull and not with speech or brows; the alignment of crops rests on them.
STABLE = EYE_CORNERS + NOSE_BRIDGE + NOSTRILS

# MediaPipe's FACEMESH_FACE_OVAL: the outline of the face from the middle of the forehead, clockwise in the picture.
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# Pairs of points that mirror each other: eye corners, mouth corners, sides of the head. Left of the picture first.
LEFT_OF_PAIRS, RIGHT_OF_PAIRS = (33, 133, 61, 234), (263, 362, 291, 454)


def yaw_deg(points: np.ndarray) -> np.ndarray:
    """Return how far heads are turned, in degrees; above zero, the nose points to the right of the picture.

    Parameters
    ----------
    points : (..., 478, 3), MediaPipe's x, y and depth z in pixels

    Returns
    -------
    (...,) : the angle, seen from above, of the mean line between points that mirror each other

    MediaPipe's own pose (its "facial transformation matrix") is off by more: on renders of two rigs turned by known
    angles it says 24 to 29 degrees for 30 and 31 to 39 for 40, this 28 to 32 and 37 to 41.
    """
    across = (points[..., RIGHT_OF_PAIRS, :] - points[..., LEFT_OF_PAIRS, :]).sum(-2)
    return np.degrees(np.arctan2(across[..., 2], across[..., 0]))


def opening(landmarks: np.ndarray) -> np.ndarray:
    """Return the lip opening (T,) of a clip: vertical gap of the inner lips over the clip's median mouth width.

    Parameters
    ----------
    landmarks : (T, 478, 2), y pointing down, upright face (crop pixels); NaN where no face was found

    Returns
    -------
    (T,) float64, a plain ratio; NaN in frames without a face; slightly negative where detected lips cross
    """
    return opening_of_lips(np.asarray(landmarks)[:, list(LIPS)])


def opening_of_lips(points: np.ndarray) -> np.ndarray:
    """Return the lip opening (T,) of points (T, 40, 2) in the order of `LIPS`; see `opening`."""
    points = np.asarray(points, float)
    gap = (points[:, LOWER_OF_LIPS, 1] - points[:, UPPER_OF_LIPS, 1]).mean(1)
    width = np.linalg.norm(points[:, CORNERS_OF_LIPS[1]] - points[:, CORNERS_OF_LIPS[0]], axis=1)
    seen = width[np.isfinite(width)]
    return gap / float(np.median(seen)) if len(seen) else np.full(len(points), np.nan)
