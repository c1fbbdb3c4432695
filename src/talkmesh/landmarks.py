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
_CORNERS_OF_LIPS = [LIPS.index(i) for i in CORNERS]
_UPPER_OF_LIPS = [LIPS.index(i) for i in INNER_UPPER]
_LOWER_OF_LIPS = [LIPS.index(i) for i in INNER_LOWER]

EYE_CORNERS = (33, 133, 362, 263)  # left eye outer and inner, right eye inner and outer
NOSE_BRIDGE = (168, 6, 197, 195, 5)  # from between the eyes down to above the tip
NOSTRILS = (98, 327)
# Points that move with the skull and not with speech or brows; the alignment of crops rests on them.
STABLE = EYE_CORNERS + NOSE_BRIDGE + NOSTRILS


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
    gap = (points[:, _LOWER_OF_LIPS, 1] - points[:, _UPPER_OF_LIPS, 1]).mean(1)
    width = np.linalg.norm(points[:, _CORNERS_OF_LIPS[1]] - points[:, _CORNERS_OF_LIPS[0]], axis=1)
    seen = width[np.isfinite(width)]
    return gap / float(np.median(seen)) if len(seen) else np.full(len(points), np.nan)
