"""A drawn face that MediaPipe takes for one, so that tests need no photograph of anybody."""

from __future__ import annotations

import cv2
import numpy as np

SKIN, SHADE, LIP, DARK, WHITE = (224, 172, 140), (190, 130, 100), (178, 70, 80), (45, 30, 25), (245, 245, 245)


def face(
    size: int = 320,
    opening: float = 0.0,
    shift: tuple[float, float] = (0, 0),
    angle: float = 0.0,
    scale: float = 1.0,
) -> np.ndarray:
    """Draw a face (size, size, 3) uint8 RGB; `opening` from 0 (closed) to 1, `shift` in pixels, `angle` in degrees.

    It is drawn large and reduced, so that movements of a fraction of a pixel are seen.
    """
    big = 960
    image = np.full((big, big, 3), (120, 150, 170), np.uint8)

    def ellipse(
        x: float,
        y: float,
        a: float,
        b: float,
        colour: tuple,
        start: float = 0,
        end: float = 360,
        width: int = -1,
    ) -> None:
        centre, axes = (round((480 + x) * 16), round((480 + y) * 16)), (round(a * 16), round(b * 16))
        cv2.ellipse(image, centre, axes, 0, start, end, colour, width, cv2.LINE_AA, 4)

    ellipse(0, -60, 270, 330, DARK)  # hair
    cv2.rectangle(image, (400, 730), (560, 960), SHADE, -1)  # neck
    ellipse(0, 0, 240, 310, SKIN)
    for side in (-1, 1):
        ellipse(side * 95, -60, 48, 22, WHITE)
        ellipse(side * 95, -60, 20, 20, (90, 60, 40))
        ellipse(side * 95, -60, 9, 9, (10, 10, 10))
        ellipse(side * 95, -62, 50, 25, DARK, 190, 350, 5)
        ellipse(side * 95, -95, 62, 25, DARK, 200, 340, 14)
        ellipse(side * 22, 85, 10, 6, SHADE)
    ellipse(0, 75, 42, 28, SHADE, 20, 160, 6)
    cv2.line(image, (480 - 16, 420), (480 - 26, 540), SHADE, 4, cv2.LINE_AA)
    gap = 70 * opening
    ellipse(0, 160 + gap / 2, 88, 24 + gap / 2, LIP)
    if gap > 0:
        ellipse(0, 160 + gap / 2, 70, gap / 2, (60, 15, 20))
    else:
        cv2.line(image, (480 - 80, 640), (480 + 80, 640), (110, 35, 45), 5, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((480, 480), angle, scale)
    turn[:, 2] += np.array(shift) * big / size
    image = cv2.warpAffine(image, turn, (big, big), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
