"""A spoken sentence to the weights of ARKit face shapes and the motion of the head, frame by frame.

T frames, K = 52 shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkmesh.sample import idle
from talkmesh.sample.coarticulation import AXES, VOWELS, articulate
from talkmesh.sample.voice import Phone, Speech

PAIRED = (
    *(
        "browDown",
        "browOuterUp",
        "cheekSquint",
        "eyeBlink",
        "eyeLookDown",
        "eyeLookIn",
        "eyeLookOut",
        "eyeLookUp",
    ),
    *("eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile"),
    *("mouthStretch", "mouthUpperUp", "noseSneer"),
)
UNPAIRED = (
    *(
        "browInnerUp",
        "cheekPuff",
        "jawForward",
        "jawLeft",
        "jawOpen",
        "jawRight",
        "mouthClose",
        "mouthFunnel",
    ),
    *("mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower"),
    *("mouthShrugUpper", "tongueOut"),
)
ARKIT = tuple(sorted([*UNPAIRED, *(name + side for name in PAIRED for side in ("Left", "Right"))]))
GAZE_DEG = 30.0  # rotation of an eye at weight 1 of an eyeLook shape
FINE = 8  # instants computed per frame


@dataclass(frozen=True)
class Style:
    """How the speaker moves.

    amplitude : size of articulation, 1 = as in the table; rotation_deg : standard deviations of yaw, pitch, roll;
    position_mm : of x, y, z; blinks_per_minute : mean rate; variation : spread of movement size from phone to phone;
    asymmetry : how much larger movements are on one side.
    """

    amplitude: float
    rotation_deg: tuple[float, float, float]
    position_mm: tuple[float, float, float]
    blinks_per_minute: float
    variation: float
    asymmetry: float


@dataclass(frozen=True)
class Performance:
    """weights : (T, 52) float32 in [0, 1], in the order of `ARKIT`; head : its rigid motion."""

    weights: np.ndarray
    head: idle.Head


def perform(speech: Speech, style: Style, fps: float, rng: np.random.Generator) -> Performance:
    """Return the face and head of every frame; frame i shows the instant i / `fps`."""
    frames = int(np.ceil(len(speech.sound) / speech.rate * fps - 1e-6))
    gains = movement_sizes(speech, style, rng)
    fine = np.arange(frames * FINE) / (fps * FINE)
    axes = {name: value[::FINE] for name, value in articulate(speech.phones, gains, fine).items()}
    stresses = np.array([(p.start_s + p.end_s) / 2 for p in speech.phones if p.stress == 2])
    emphasis = np.zeros(frames)
    emphasis[np.minimum((stresses * fps).astype(int), frames - 1)] = rng.random(len(stresses)) ** 2 * 3
    head = idle.head_motion(rng, frames, fps, style.rotation_deg, style.position_mm, emphasis)

    weights = dict.fromkeys(ARKIT, np.zeros(frames))
    _mouth(weights, axes, style, idle.smooth_noise(rng, frames, 8, 0.35, fps))
    move_eyes(
        weights, idle.blinks(rng, frames, fps, style.blinks_per_minute), idle.gaze(rng, frames, fps, head)
    )
    move_brows(
        weights, idle.brow_raises(rng, frames, fps, stresses), idle.smooth_noise(rng, frames, 4, 0.5, fps)
    )
    return Performance(np.clip(np.column_stack([weights[n] for n in ARKIT]), 0, 1).astype(np.float32), head)


def movement_sizes(speech: Speech, style: Style, rng: np.random.Generator) -> np.ndarray:
    """Return the size (N,) of each phone's movement: stressed and loud vowels are larger, each one a little random."""
    loud = np.array([_rms(speech, p) for p in speech.phones])
    voiced = [p.symbol in VOWELS for p in speech.phones]
    reference = float(np.percentile(loud[voiced], 80)) if any(voiced) else 1.0
    sizes = np.full(len(loud), style.amplitude)
    for i, phone in enumerate(speech.phones):
        if phone.symbol in VOWELS:
            sizes[i] *= (0.7 + 0.3 * min(loud[i] / reference, 1.5)) * (0.9, 1.0, 1.12)[phone.stress]
    return sizes * np.exp(style.variation * rng.standard_normal(len(sizes)))


def _rms(speech: Speech, phone: Phone) -> float:
    part = speech.sound[int(phone.start_s * speech.rate) : int(phone.end_s * speech.rate)]
    return float(np.sqrt(np.mean(part**2))) if len(part) else 0.0


def _pair(
    weights: dict[str, np.ndarray], name: str, value: np.ndarray, skew: float | np.ndarray = 0.0
) -> None:
    weights[f"{name}Left"] = weights[f"{name}Left"] + value * (1 + skew)
    weights[f"{name}Right"] = weights[f"{name}Right"] + value * (1 - skew)


def _mouth(
    weights: dict[str, np.ndarray], axes: dict[str, np.ndarray], style: Style, noise: np.ndarray
) -> None:
    close, jaw = axes["close"], axes["jaw"]
    skew = style.asymmetry * (1 + 0.5 * noise[:, 0])
    for axis, shape in AXES.items():
        value = axes[axis]
        if axis == "close":
            value = close * jaw
        elif axis in ("funnel", "lower", "upper", "smile", "tongue"):  # cannot act while the lips touch
            value = value * (1 - close)
        if shape.endswith("*"):
            _pair(weights, shape[:-1], value, skew)
        else:
            weights[shape] = value
    _pair(weights, "cheekSquint", 0.25 * axes["wide"] + 0.02 * np.abs(noise[:, 1]))
    _pair(weights, "noseSneer", 0.3 * weights["mouthUpperUpLeft"])
    _pair(weights, "mouthSmile", 0.012 * np.maximum(noise[:, 2], 0), 0.4)
    _pair(weights, "mouthDimple", 0.015 * np.maximum(noise[:, 3], 0), -0.4)
    weights["jawLeft"] = 0.03 * np.maximum(noise[:, 4], 0) * np.minimum(jaw * 8, 1)
    weights["jawRight"] = 0.03 * np.maximum(-noise[:, 4], 0) * np.minimum(jaw * 8, 1)


def move_eyes(weights: dict[str, np.ndarray], blink: np.ndarray, gaze: np.ndarray) -> None:
    right, up = np.clip(gaze / GAZE_DEG, -0.8, 0.8).T
    _pair(weights, "eyeBlink", blink)
    _pair(weights, "eyeLookUp", np.maximum(up, 0))
    _pair(weights, "eyeLookDown", np.maximum(-up, 0))
    # the person's left eye is at the viewer's right: looking to the viewer's right turns it outwards
    for outwards, side in ((right, "Left"), (-right, "Right")):
        weights[f"eyeLookOut{side}"] = np.maximum(outwards, 0)
        weights[f"eyeLookIn{side}"] = np.maximum(-outwards, 0)


def move_brows(weights: dict[str, np.ndarray], raised: np.ndarray, noise: np.ndarray) -> None:
    """Add brows and lids that go with them to `weights`: raising (T,) in [0, 1], smooth noise (T, 3 or more)."""
    weights["browInnerUp"] = raised * 0.8
    _pair(weights, "browOuterUp", raised * 0.6, 0.25 * noise[:, 0])
    _pair(weights, "browDown", 0.06 * np.maximum(noise[:, 1], 0))
    _pair(weights, "eyeSquint", 0.06 * np.abs(noise[:, 2]))
    _pair(weights, "eyeWide", 0.2 * raised)
