"""What a face does besides speaking: head motion, gaze, blinks, brows, small twitches. Seeded, 2-core cheap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d


@dataclass(frozen=True)
class Head:
    """Rigid head motion of T frames about the top of the neck.

    rotation : (T, 3) degrees: yaw (to the viewer's right), pitch (down), roll (clockwise for the viewer)
    position : (T, 3) mm
    """

    rotation: np.ndarray
    position: np.ndarray


def smooth_noise(
    rng: np.random.Generator, frames: int, channels: int, seconds: float, fps: float
) -> np.ndarray:
    """Return stationary Gaussian noise (T, channels) of unit standard deviation, smooth over `seconds`."""
    sigma = seconds * fps
    pad = int(np.ceil(4 * sigma))
    noise = gaussian_filter1d(rng.standard_normal((frames + 2 * pad, channels)), sigma, axis=0)
    impulse = np.zeros(2 * pad + 1)
    impulse[pad] = 1
    return noise[pad : pad + frames] / np.linalg.norm(gaussian_filter1d(impulse, sigma))


def head_motion(
    rng: np.random.Generator,
    frames: int,
    fps: float,
    rotation_deg: tuple[float, float, float],
    position_mm: tuple[float, float, float],
    nods: np.ndarray,
) -> Head:
    """Return slow posture, quicker sway and nods on stressed syllables.

    Parameters
    ----------
    rotation_deg, position_mm : standard deviations over many sentences
    nods : (T,) 0 to 1, emphasis of the moment
    """
    slow, quick = (smooth_noise(rng, frames, 6, s, fps) for s in (0.9, 0.22))
    motion = (0.95 * slow + 0.3 * quick) / np.hypot(0.95, 0.3) * np.array([*rotation_deg, *position_mm])
    motion[:, 1] += 1.6 * gaussian_filter1d(nods, 0.08 * fps)
    return Head(motion[:, :3], motion[:, 3:])


def blinks(rng: np.random.Generator, frames: int, fps: float, per_minute: float) -> np.ndarray:
    """Return the lid closure (T,) of blinks: Poisson in time, 200 to 300 ms, closing faster than opening."""
    out = np.zeros(frames)
    times = np.arange(frames) / fps
    now = rng.exponential(60 / per_minute)
    while now < frames / fps:
        length = rng.uniform(0.2, 0.3)
        phase = (times - now) / length
        closing, opening = np.clip(phase / 0.3, 0, 1), np.clip((1 - phase) / 0.5, 0, 1)
        out = np.maximum(out, _ease(np.minimum(closing, opening)))
        now += max(0.6, rng.exponential(60 / per_minute))
    return out


def gaze(rng: np.random.Generator, frames: int, fps: float, head: Head) -> np.ndarray:
    """Return eye rotation (T, 2) in degrees (right, up) that keeps looking at the camera, with small saccades."""
    aim = np.zeros((frames, 2))
    start = 0
    while start < frames:
        end = start + max(3, int(rng.exponential(0.9) * fps))
        aim[start:end] = rng.normal(0, (2.2, 1.2))
        start = end
    return aim + np.column_stack([-head.rotation[:, 0], head.rotation[:, 1]])


def brow_raises(rng: np.random.Generator, frames: int, fps: float, stresses: np.ndarray) -> np.ndarray:
    """Return brow raising (T,) 0 to 1: on about a third of the stressed syllables (`stresses`, seconds), and slow."""
    out = 0.12 * np.abs(smooth_noise(rng, frames, 1, 0.7, fps)[:, 0])
    times = np.arange(frames) / fps
    for at in stresses.tolist():
        if rng.random() < 0.3:
            rise, fall = rng.uniform(0.12, 0.2), rng.uniform(0.25, 0.5)
            shape = np.where(times < at, (times - at + rise) / rise, (at + fall - times) / fall)
            out = np.maximum(out, rng.uniform(0.25, 0.7) * _ease(np.clip(shape, 0, 1)))
    return np.clip(out, 0, 1)


def _ease(x: np.ndarray) -> np.ndarray:
    return x * x * (3 - 2 * x)
