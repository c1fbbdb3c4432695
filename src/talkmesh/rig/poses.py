"""The character's performance: poses from which it is rendered, to teach a network what faces and meshes go together.

Two kinds (Yang et al., sec. 4.1): FACS, single action units from rest to their full extent and back, and ROM, range
of motion: mixtures, most of them near speech, since poses far from it waste the network and teach the wrong
neighbours. Poses that were recorded may join them, and `talkmesh.rig.anatomy` has the last word on all.

N poses, K blendshapes; weights in [0, 1], ARKit names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from talkmesh.curves import Curves, on_shapes
from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig, anatomy
from talkmesh.rig.coverage import shapes_of_poses, spread_out
from talkmesh.rig.units import (
    CLOSED,
    EXTREMES,
    LIMITS,
    OPPOSITES,
    ROUND,
    SIDEWAYS,
    SPREAD,
    TOTAL,
    UPPER_FACE,
    UPPER_OPPOSITES,
    VISEMES,
)

EXTRAS = 2  # one-sided and other units of a later turn of single units


@dataclass(frozen=True)
class Performance:
    """Section `perform`.

    frames : poses; ramp : frames of a single unit from rest to its full extent, half as many lead back; facs,
    speech, extreme : shares of single units, of mixtures of speech sounds and of extreme faces, the rest being free
    mixtures; upper : share of mixtures with brows and eyes at work; asymmetry : standard deviation of the difference
    between the sides; files : curves in data/curves, of whose poses a share `recorded` joins; seed.
    """

    frames: int
    ramp: int
    facs: float
    speech: float
    upper: float
    asymmetry: float
    seed: int
    extreme: float = 0.0
    files: tuple[str, ...] = ()
    recorded: float = 0.0

    def __post_init__(self) -> None:
        if self.frames < 1 or self.ramp < 1:
            raise TalkmeshError(
                f"perform: frames and ramp must be 1 or more; got {self.frames} and {self.ramp}"
            )
        mixed = (self.facs, self.speech, self.extreme)
        if min(*mixed, self.upper, self.recorded) < 0 or sum(mixed) > 1 or max(self.upper, self.recorded) > 1:
            raise TalkmeshError(
                "perform: facs, speech, extreme, upper and recorded are shares in [0, 1], the first three together "
                "at most 1"
            )


def perform_on(rig: Rig, how: Performance, takes: Sequence[Curves] = ()) -> tuple[np.ndarray, int]:
    """Return the poses (frames, K) float32 of a rig, the first neutral, and how many had to be eased.

    Of `takes` those poses join whose lip shapes are farthest from each other; all poses are anatomically possible.

    Raises
    ------
    TalkmeshError
        If the rig has none of the mouth's ARKit shapes, or none of a take's.
    """
    recorded = np.zeros((0, len(rig.names)), np.float32)
    if takes:
        recorded = np.concatenate([on_shapes(take, rig.names, f"rig {rig.name}") for take in takes])
        shapes = shapes_of_poses(rig, recorded).reshape(len(recorded), -1)
        recorded = recorded[np.sort(spread_out(shapes, round(how.recorded * how.frames)))]
    made = perform(rig.names, replace(how, frames=max(1, how.frames - len(recorded))))
    return anatomy.eased(rig, np.concatenate([made, recorded])[: how.frames])


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
    extremes = round(how.extreme * how.frames)
    units = [
        *_facs(sides, ramps, how, random),
        *(_speech(i, random) for i in range(sounds)),
        *(_mixture(random) for _ in range(how.frames - ramps - sounds - extremes)),
        *(_extreme(i, random) for i in range(extremes)),
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
    """Return single units, each with onset, apex and offset, opposites one after the other.

    In the first turn every unit goes as far as it can: both sides, then one, then the upper face. Later turns, of the
    mouth's units and a few others, go less far.
    """
    mouth = [u for pair in OPPOSITES for u in pair if u in sides]
    one_sided = [s for u in mouth for s in (f"{u}Left", f"{u}Right") if s in sides]
    upper = [u for pair in UPPER_OPPOSITES for u in pair if u in sides]
    seen = {*mouth, *one_sided, *upper, "mouthClose"}
    others = [u for u in sides if u not in seen and not set(sides[u]) <= {i for s in upper for i in sides[s]}]
    others += [s for u in upper for s in (f"{u}Left", f"{u}Right") if s in sides]
    extras = [*one_sided, *upper, *others]
    onset = np.arange(1, how.ramp + 1) / how.ramp
    offset = (how.ramp - 0.5 - 2 * np.arange(how.ramp // 2)) / how.ramp  # between the levels of the way there
    course = np.concatenate([onset, offset])
    poses: list[dict[str, float]] = []
    turn = 0
    while len(poses) < frames:
        later = [extras[(EXTRAS * turn + i) % len(extras)] for i in range(EXTRAS)] if extras else []
        for unit in (*mouth, *one_sided, *upper) if turn == 0 else (*mouth, *later):
            peak = 1.0 if turn == 0 else random.uniform(0.4, 1.0)
            poses += [{unit: peak * level} for level in course]
        if {"mouthClose", "jawOpen"} <= set(sides):  # lips can only be held together over an open jaw
            peak = random.uniform(0.4, 1.0)
            poses += [{"jawOpen": peak * level, "mouthClose": peak * level} for level in course]
        turn += 1
    return poses[:frames]


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


def _extreme(i: int, random: np.random.Generator) -> dict[str, float]:
    """Return an extreme face, less of it, or two thirds of it on the way to another or to a sound of speech."""
    faces = list(EXTREMES.values())
    if i < len(faces):
        return faces[i]
    face = faces[random.integers(len(faces))]
    others = [*faces, *VISEMES.values()]
    other, share = others[random.integers(len(others))], random.uniform(0.6, 1.0)
    size = random.uniform(0.6, 1.0)
    return {
        unit: size * (share * face.get(unit, 0) + (1 - share) * other.get(unit, 0))
        for unit in {**face, **other}
    }


def _upper(random: np.random.Generator) -> dict[str, float]:
    unit = UPPER_FACE[random.integers(len(UPPER_FACE))]
    return {unit: float(random.beta(2, 2)), "eyeBlink": float(random.random() < 0.3) * random.uniform(0.2, 1)}
