"""The crops of one clip: the skull held still, the window cut out, what lies outside it hidden.

T frames, P points of `landmarks.STABLE`, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

from talkmesh import media, sync
from talkmesh.alignment import apply, compose, filled, fit_similarity, mean_shape, smooth
from talkmesh.contracts import Crops
from talkmesh.face import Track
from talkmesh.framing import Framing, apply_mask, hide, outline_masks
from talkmesh.landmarks import EYE_CORNERS, OVAL, STABLE
from talkmesh.people import Follow


@dataclass(frozen=True)
class Cropping:
    """Section `crop`. pixels, mouth_widths, mouth_y, mask : see `framing.Framing`; face_mask : hide
    what lies outside the outline of the face, too; follow : which of several people; max_yaw_deg : frames in which the
    head is turned further are not learned from; sync : "correct", "report" or "off"; stabilised : one fixed window a
    clip, for head-mounted cameras; smooth_frames : Gaussian sigma of the alignment over time; min_face_frames : share
    of frames that must show a face; neutral : "auto" or <clip>:<frame>; workers : processes."""

    pixels: int
    mouth_widths: float
    mouth_y: float
    mask: bool
    face_mask: bool
    follow: Follow
    max_yaw_deg: float
    sync: sync.Sync
    stabilised: bool
    smooth_frames: float
    min_face_frames: float
    neutral: str
    workers: int

    @property
    def framing(self) -> Framing:
        """The window that speaker and character share."""
        return Framing(self.pixels, self.mouth_widths, self.mouth_y, self.mask)


@dataclass(frozen=True)
class Reference:
    """What all clips of a speaker are aligned to. shape : (P, 2) mean shape; window : (2, 3) from its plane to crop
    pixels."""

    shape: np.ndarray
    window: np.ndarray


def mean_shape_of(stable: np.ndarray) -> np.ndarray:
    """Return the upright mean shape (P, 2) of the points `landmarks.STABLE`, (N, P, 2)."""
    return mean_shape(stable, (STABLE.index(EYE_CORNERS[0]), STABLE.index(EYE_CORNERS[3])))


def align(landmarks: np.ndarray, shape: np.ndarray, params: Cropping) -> np.ndarray:
    """Return the transforms (T, 2, 3) from a clip's source pixels to the plane of the speaker's mean shape.

    Parameters
    ----------
    landmarks : (T, 478, 2), NaN where there is no face; at least one frame must have one. A turned face counts: the
        window goes with it
    shape : (P, 2), mean shape of the points `landmarks.STABLE`
    """
    good = np.isfinite(landmarks[:, 0, 0])
    stable = landmarks[:, STABLE]
    if params.stabilised:
        one = fit_similarity(stable[good].mean(0), shape)
        return np.repeat(one[None], len(landmarks), axis=0)
    fitted = np.zeros((len(landmarks), 2, 3))
    fitted[good] = fit_similarity(stable[good], shape)
    return smooth(fitted, good, params.smooth_frames)


def warp(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Return the crop (size, size, 3) of an image (H, W, 3) uint8 under a map (2, 3) from its pixels to the crop's.

    The crop is drawn at least twice as fine and averaged down: shrinking does not alias, and fine detail does not
    flicker as the sampling grid moves over the source from frame to frame.
    """
    scale = float(np.hypot(*transform[:, 0]))
    factor = max(2, int(np.ceil(1 / scale)))
    matrix = factor * transform
    matrix[:, 2] += 0.5 * matrix[:, :2].sum(1) - 0.5  # OpenCV counts from the centre of the first pixel
    fine = cv2.warpAffine(
        image, matrix, (factor * size, factor * size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)


def cut(
    video: Path, fps: float, track: Track, good: np.ndarray, reference: Reference, params: Cropping
) -> Crops:
    """Return the crops of a clip that shows a face in at least one frame; `good` (T,): frames to learn from."""
    transforms = compose(reference.window, align(track.landmarks, reference.shape, params))
    frames = media.read_video(video, fps)
    images = np.stack([warp(f, t, params.pixels) for f, t in zip(frames, transforms, strict=True)])
    images = apply_mask(images, params.framing)
    landmarks = apply(transforms, track.landmarks)
    if params.face_mask:
        outlines = filled(landmarks[:, OVAL], track.found)
        if params.smooth_frames > 0:
            outlines = gaussian_filter1d(outlines, params.smooth_frames, axis=0, mode="nearest")
        images = hide(images, outline_masks(outlines, params.pixels))
    return Crops(images, landmarks.astype(np.float32), transforms.astype(np.float32), good)
