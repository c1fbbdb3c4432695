"""The character's performance: poses from which it is rendered, to teach a network what faces and meshes go together.

Two kinds (Yang et al., sec. 4.1): FACS, single action units ramped from rest to their full extent, and ROM, range of
motion: mixtures near speech, since poses far from it waste the network and teach the wrong neighbours.

N poses, K blendshapes; weights in [0, 1], ARKit names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talkmesh.errors import TalkmeshError

# Units as said here; a name without a side stands for both sides if the rig has them. How far each goes in mixtures,
# and how often it is drawn.
LIMITS = {
    "mouthFunnel": (0.9, 3.0),
    "mouthPucker": (1.0, 3.0),
    "mouthStretch": (0.8, 2.5),
    "mouthSmile": (0.8, 2.5),
    "mouthDimple": (0.6, 1.0),
    "mouthFrown": (0.6, 1.0),
    "mouthUpperUp": (0.8, 2.5),
    "mouthLowerDown": (0.9, 3.0),
    "mouthRollLower": (0.7, 1.5),
    "mouthRollUpper": (0.7, 1.5),
    "mouthPress": (0.8, 2.0),
    "mouthShrugLower": (0.7, 1.2),
    "mouthShrugUpper": (0.6, 0.8),
    "cheekPuff": (0.4, 0.3),
    "noseSneer": (0.5, 0.4),
    "jawForward": (0.5, 0.4),
    "tongueOut": (0.4, 0.4),
}
SIDEWAYS = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
UPPER_FACE = ("eyeBlink", "eyeSquint", "eyeWide", "browDown", "browInnerUp", "browOuterUp", "cheekSquint")
ROUND, SPREAD = ("mouthFunnel", "mouthPucker"), ("mouthStretch", "mouthSmile", "mouthDimple")
CLOSED = ("mouthPress", "mouthRollLower", "mouthRollUpper")
TOTAL = 1.7  # sum of the weights of a mixture, jaw aside: beyond it faces break

# What lips do for the sounds of speech; jawOpen and mouthClose of equal weight keep the lips together.
VISEMES: dict[str, dict[str, float]] = {
    "rest": {},
    "p": {"mouthPress": 0.5, "mouthRollUpper": 0.2, "mouthRollLower": 0.25, "jawOpen": 0.1, "mouthClose": 0.1},
    "b": {"mouthPress": 0.25, "mouthPucker": 0.15, "jawOpen": 0.15, "mouthClose": 0.15},
    "f": {"mouthRollLower": 0.5, "mouthUpperUp": 0.35, "jawOpen": 0.08},
    "th": {"jawOpen": 0.16, "tongueOut": 0.2, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "t": {"jawOpen": 0.14, "mouthLowerDown": 0.25, "mouthStretch": 0.15, "mouthUpperUp": 0.1},
    "k": {"jawOpen": 0.22, "mouthLowerDown": 0.15, "mouthStretch": 0.15},
    "s": {"jawOpen": 0.06, "mouthStretch": 0.35, "mouthSmile": 0.15, "mouthLowerDown": 0.35, "mouthUpperUp": 0.25},
    "sh": {"jawOpen": 0.1, "mouthFunnel": 0.6, "mouthPucker": 0.15, "mouthUpperUp": 0.15, "mouthLowerDown": 0.15},
    "r": {"jawOpen": 0.15, "mouthFunnel": 0.4, "mouthPucker": 0.25},
    "a": {"jawOpen": 0.65, "mouthLowerDown": 0.2, "mouthUpperUp": 0.15},
    "ae": {"jawOpen": 0.5, "mouthStretch": 0.25, "mouthLowerDown": 0.3, "mouthUpperUp": 0.25},
    "e": {"jawOpen": 0.3, "mouthStretch": 0.25, "mouthSmile": 0.2, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},
    "i": {"jawOpen": 0.12, "mouthSmile": 0.45, "mouthStretch": 0.3, "mouthLowerDown": 0.3, "mouthUpperUp": 0.25},
    "o": {"jawOpen": 0.4, "mouthFunnel": 0.55, "mouthPucker": 0.2},
    "u": {"jawOpen": 0.15, "mouthPucker": 0.7, "mouthFunnel": 0.35},
    "w": {"jawOpen": 0.05, "mouthPucker": 0.85, "mouthFunnel": 0.15},
    "wide": {"jawOpen": 1.0},
}  # fmt: skip


@dataclass(frozen=True)
class Performance:
    """Section `perform`.

    frames : poses; ramp : frames of a single unit's ramp; facs, speech : shares of single-unit ramps and of mixtures
    of speech sounds, the rest being free mixtures; upper : share of poses with brows and eyes at work; asymmetry :
    standard deviation of the difference between the sides; seed.
    """

    frames: int
    ramp: int
    facs: float
    speech: float
    upper: float
    asymmetry: float
    seed: int

    def __post_init__(self) -> None:
        if self.frames < 1 or self.ramp < 1:
            raise TalkmeshError(
                f"perform: frames and ramp must be 1 or more; got {self.frames} and {self.ramp}"
            )
        if min(self.facs, self.speech, self.upper) < 0 or self.facs + self.speech > 1 or self.upper > 1:
            raise TalkmeshError(
                "perform: facs, speech and upper are shares in [0, 1], facs and speech together at most 1"
            )


def perform(names: Sequence[str], how: Performance) -> np.ndarray:
    """Return the poses (frames, K) float32 of a rig with blendshapes `names`; the first is the neutral face.

    Raises
    ------
    TalkmeshError
        If the rig has none of the mouth's ARKit shapes.
    """
    sides = _sides(names)
    if not any(unit in sides for unit in LIMITS):
        raise TalkmeshError("perform: the rig has no ARKit mouth shapes (mouthFunnel, mouthSmileLeft, ...)")
    random = np.random.default_rng(how.seed)
    ramps = round(how.facs * how.frames)
    sounds = round(how.speech * how.frames)
    units = [
        *_facs(sides, ramps, how, random),
        *(_speech(i, random) for i in range(sounds)),
        *(_mixture(random) for _ in range(how.frames - ramps - sounds)),
    ]
    poses = np.zeros((how.frames, len(names)), np.float32)
    for i, weights in enumerate(units):
        both = dict(weights)
        if i >= ramps and random.random() < how.upper:
            both |= _upper(random)
        for unit, weight in both.items():
            ids = sides.get(unit, ())
            tilt = 1 + how.asymmetry * random.normal() * np.array([1, -1]) if len(ids) == 2 else 1.0
            poses[i, ids] = weight * tilt
    poses[0] = 0
    return np.clip(poses, 0, 1)


def _sides(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the columns of each unit: two where the rig tells left from right, one else."""
    index = {name: i for i, name in enumerate(names)}
    stems = [
        n.removesuffix("Left")
        for n in names
        if n.endswith("Left") and n.removesuffix("Left") + "Right" in index
    ]
    # jawLeft and mouthLeft are ways to move, not sides
    pairs = {s: [index[s + "Left"], index[s + "Right"]] for s in stems if s not in ("jaw", "mouth")}
    return {name: [i] for name, i in index.items()} | pairs


def _facs(
    sides: Mapping[str, list[int]], frames: int, how: Performance, random: np.random.Generator
) -> list[dict[str, float]]:
    """Return ramps of single units: the mouth's in turn, then one of the upper face, again and again."""
    mouth = [u for u in ("jawOpen", *LIMITS, *SIDEWAYS) if u in sides]
    one_sided = [s for u in mouth for s in (f"{u}Left", f"{u}Right") if s in sides]
    units: list[dict[str, float]] = []
    turn = 0
    while len(units) < frames:
        extra = [one_sided[turn % len(one_sided)]] if one_sided else []
        upper = [u for u in (UPPER_FACE[turn % len(UPPER_FACE)],) if u in sides]
        for unit in (*mouth, *extra, *upper):
            peak = 1.0 if turn == 0 else random.uniform(0.4, 1.0)
            units += [{unit: peak * (step + 1) / how.ramp} for step in range(how.ramp)]
        turn += 1
    return units[:frames]


def _speech(i: int, random: np.random.Generator) -> dict[str, float]:
    """Return a sound on its way to another, as neighbours in speech blend; every sound alone to begin with."""
    sounds = list(VISEMES)
    if i < len(sounds):
        return VISEMES[sounds[i]]
    one, other = (VISEMES[sounds[k]] for k in random.choice(len(sounds), 2, replace=False))
    share = random.beta(0.5, 0.5)
    strength = random.uniform(0.25, 1.1)  # in running speech sounds are seldom formed in full
    units = {
        unit: strength
        * random.uniform(0.75, 1.25)
        * (share * one.get(unit, 0) + (1 - share) * other.get(unit, 0))
        for unit in {**one, **other}
    }
    if "mouthClose" in units:  # shares the jaw's fate: it only undoes what the jaw opens
        units["mouthClose"] = units["jawOpen"] * min(1.0, units["mouthClose"] / max(units["jawOpen"], 1e-6))
    return units


def _mixture(random: np.random.Generator) -> dict[str, float]:
    """Return one to five units with mostly low and middle weights, over a jaw that is open more or less."""
    names, limits = list(LIMITS), np.array(list(LIMITS.values()))
    chosen = random.choice(
        len(names), random.integers(1, 5), replace=False, p=limits[:, 1] / limits[:, 1].sum()
    )
    weights = {names[k]: float(random.beta(1.5, 2.2) * limits[k, 0]) for k in chosen}
    jaw = 0.0 if random.random() < 0.15 else 0.9 * float(random.beta(1.2, 2.4))
    rounded, spread = (sum(weights.get(u, 0) for u in units) for units in (ROUND, SPREAD))
    for unit in SPREAD if rounded > spread else ROUND:  # lips cannot be round and wide at once
        if unit in weights:
            weights[unit] *= 0.3
    close = jaw * float(random.beta(2, 1)) if random.random() < 0.3 else 0.0
    if held := max(
        (weights.get(u, 0) for u in CLOSED), default=0.0
    ):  # lips that press or roll in are together
        close = max(close, jaw * min(1.0, 1.5 * held))
    total = sum(weights.values())
    scale = min(1.0, TOTAL / total) if total else 1.0
    if random.random() < 0.03:  # rare in speech; more, and a turned head is taken for it
        weights[SIDEWAYS[random.integers(len(SIDEWAYS))]] = float(random.beta(1.5, 3) * 0.6)
    return {**{u: w * scale for u, w in weights.items()}, "jawOpen": jaw, "mouthClose": close}


def _upper(random: np.random.Generator) -> dict[str, float]:
    unit = UPPER_FACE[random.integers(len(UPPER_FACE))]
    return {unit: float(random.beta(2, 2)), "eyeBlink": float(random.random() < 0.3) * random.uniform(0.2, 1)}
