"""The square window that speaker and character share: mouth-centred, a fixed number of mouth widths wide, masked.

The transcoder translates between two domains; whatever differs in framing is coded as if it were expression. So the
crop of the speaker and the render of the character are framed by the same three numbers, here.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import cv2
import numpy as np

from talkmesh import params


@dataclass(frozen=True)
class Framing:
    """pixels : side of the window; mouth_widths : its width in neutral mouth widths; mouth_y : height of the mouth's
    centre in it, 0 at the top; mask : soft round mask that hides the background, or none."""

    pixels: int
    mouth_widths: float
    mouth_y: float
    mask: bool

    @classmethod
    def of_params(cls) -> Framing:
        """Read the framing from the section `crop` of params.yaml, where it stands among other keys."""
        section = params.read().get("crop", {})
        names = [field.name for field in dataclasses.fields(cls)]
        return params.build(cls, {k: v for k, v in section.items() if k in names}, "params.yaml: crop")


def window(left: np.ndarray, right: np.ndarray, framing: Framing, y_up: bool = False) -> np.ndarray:
    """Return the (2, 3) map to crop pixels from a plane in which the neutral mouth corners are `left` and `right`.

    Uniform scale and shift, no rotation. `y_up` flips y (millimetres of a rig; image pixels point down).
    """
    left, right = np.asarray(left, float), np.asarray(right, float)
    scale = framing.pixels / (framing.mouth_widths * float(np.hypot(*(right - left))))
    linear = np.diag([scale, -scale if y_up else scale])
    target = framing.pixels * np.array([0.5, framing.mouth_y])
    return np.column_stack([linear, target - linear @ ((left + right) / 2)])


def soft_mask(framing: Framing) -> np.ndarray:
    """Return the mask (size, size, 1) in [0, 1]: a disc that fades out over the last eighth of its radius."""
    if not framing.mask:
        return np.ones((framing.pixels, framing.pixels, 1), np.float32)
    axis = (np.arange(framing.pixels) + 0.5) / framing.pixels * 2 - 1
    radius = np.hypot(*np.meshgrid(axis, axis))
    return np.clip((1.0 - radius) / 0.125, 0, 1)[..., None].astype(np.float32)


_mask = functools.cache(soft_mask)  # the mask of every picture of a run


def apply_mask(images: np.ndarray, framing: Framing) -> np.ndarray:
    """Return images (..., size, size, 3) uint8 with mid-grey outside the mask."""
    if not framing.mask:
        return images
    return hide(images, _mask(framing))


def outline_masks(outlines: np.ndarray, size: int) -> np.ndarray:
    """Return masks (T, size, size, 1) in [0, 1] of the insides of closed outlines (T, P, 2) in crop pixels.

    Edges fade over about a sixteenth of the side, so that a jaw that opens moves no hard edge through the picture.
    """
    fine = 16  # parts of a pixel that OpenCV draws to, counted from the centre of the first pixel
    masks = np.zeros((len(outlines), size, size, 1), np.float32)
    for mask, outline in zip(masks, outlines, strict=True):
        drawn = np.zeros((size, size), np.float32)
        points = np.round((outline - 0.5) * fine).astype(np.int32)
        cv2.fillPoly(drawn, [points], 1.0, cv2.LINE_8, shift=4)
        mask[..., 0] = cv2.GaussianBlur(drawn, (0, 0), size / 64, borderType=cv2.BORDER_REPLICATE)
    return masks


def hide(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return images (T, H, W, 3) uint8 with mid-grey where masks (T or 1, H, W, 1) are 0."""
    return (images * masks + 127.5 * (1 - masks) + 0.5).astype(np.uint8)
