"""What a user may change about a motion before it is written: rate, size, smoothness, blinks and gaze.

T frames, V vertices; millimetres.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from talkmesh.errors import TalkmeshError
from talkmesh.export.weights import fit_weights
from talkmesh.rig import Rig
from talkmesh.rig.names import ARKIT
from talkmesh.sample import idle
from talkmesh.sample.performance import move_eyes

log = logging.getLogger(__name__)

CHUNK = 128  # frames interpolated at a time
MARGIN = 2  # frames on either side that a frame's interpolation depends on
FWHM = 2 * np.sqrt(2 * np.log(2))  # full width at half maximum of a Gaussian of standard deviation 1
BLINKS = 16.0  # a minute, of a person who speaks
EYES = tuple(name for name in ARKIT if name.startswith(("eyeBlink", "eyeLook")))
STEADY = idle.Head(np.zeros((1, 3)), np.zeros((1, 3)))


@dataclass(frozen=True)
class Controls:
    """What is changed.

    fps : frames a second of the result; None: the model's own
    amplitude : size of the motion away from the neutral face, 1 as the model has it
    smoothing_ms : full width at half maximum of a Gaussian over time, 0: none
    blinks : add blinks and small movements of the eyes, where the rig has the shapes
    seed : of those
    """

    fps: float | None = None
    amplitude: float = 1.0
    smoothing_ms: float = 0.0
    blinks: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fps is not None and not 1 <= self.fps <= 240:
            raise TalkmeshError(
                f"frames a second must be 1 to 240, usually 24, 25, 30 or 60; got {self.fps:g}"
            )
        if not 0 <= self.amplitude <= 4:
            raise TalkmeshError(
                f"the amplitude must be 0 (still) to 4, 1 as the model has it; got {self.amplitude:g}"
            )
        if not 0 <= self.smoothing_ms <= 2000:
            raise TalkmeshError(f"smoothing is a width in ms, 0 (none) to 2000; got {self.smoothing_ms:g}")


def controlled(vertices: np.ndarray, fps: float, rig: Rig, how: Controls) -> tuple[np.ndarray, float]:
    """Return the motion `vertices` (T, V, 3) of `rig` as `how` wants it (T', V, 3) float32, and its frames a second."""
    if how.smoothing_ms:
        sigma = how.smoothing_ms / 1000 * fps / FWHM
        vertices = gaussian_filter1d(vertices, sigma, axis=0, mode="nearest")
    if how.fps is not None:
        vertices, fps = retimed(vertices, fps, how.fps), how.fps
    if how.amplitude != 1:
        vertices = rig.neutral + np.float32(how.amplitude) * (vertices - rig.neutral)
    if how.blinks:
        vertices = with_living_eyes(vertices, fps, rig, how.seed)
    return vertices.astype(np.float32, copy=False), fps


def retimed(values: np.ndarray, fps: float, to: float) -> np.ndarray:
    """Return `values` (T, ...) at `fps` as they are at `to` frames a second; the first frame stays the first.

    Cubic between frames and monotone where the frames are (Fritsch and Carlson 1980): a closed mouth does not open
    between two frames in which it is closed. As long as before, to half a frame; the last frame is held.
    """
    count = len(values)
    if fps == to:
        return values
    frames = max(1, round(count / fps * to))
    places = np.minimum(np.arange(frames) * (fps / to), count - 1)
    if count < 2:
        return np.repeat(values[:1], frames, 0)
    parts = []
    for start in range(0, frames, CHUNK):
        at = places[start : start + CHUNK]
        low = max(0, int(at[0]) - MARGIN)
        high = min(count, int(at[-1]) + 2 + MARGIN)
        curve = PchipInterpolator(np.arange(low, high), values[low:high], axis=0)
        parts.append(curve(at).astype(values.dtype))
    return np.concatenate(parts)


def with_living_eyes(vertices: np.ndarray, fps: float, rig: Rig, seed: int) -> np.ndarray:
    """Return `vertices` (T, V, 3) of `rig` with blinks and small saccades; a rig without the shapes is left as it is.

    A lid is closed at least as far as the blink says; what the motion has of its own is kept.
    """
    rng = np.random.default_rng(seed)
    frames = len(vertices)
    blinking = idle.blinks(rng, frames, fps, BLINKS)
    gazing = idle.gaze(rng, frames, fps, STEADY)
    wanted = dict.fromkeys(EYES, np.zeros(frames))
    move_eyes(wanted, blinking, gazing)
    columns = [i for i, name in enumerate(rig.names) if name in EYES]
    if not columns:
        log.warning("rig %s has no shapes of lids and eyes: no blinks, no gaze", rig.name)
        return vertices
    own = fit_weights(rig, vertices)[:, columns]
    goal = np.column_stack([wanted[rig.names[i]] for i in columns])
    lid = np.array([rig.names[i].startswith("eyeBlink") for i in columns])
    new = np.where(lid, np.maximum(own, goal), np.minimum(own + goal, 1.0))
    return vertices + np.tensordot((new - own).astype(np.float32), rig.deltas[columns], 1)
