"""Names of blendshapes: ARKit's 52 and Oculus' 15 visemes, and the spellings of them that files have.

Tools write one shape as `jawOpen`, `JawOpen`, `jaw_open`, `Face.jawOpen`, `blendShape1.jawOpen`, `head|jaw-open`;
sides as `eyeBlinkLeft`, `eyeBlink_L`, `eyeBlink.l`. Everything after this module knows one spelling, ARKit's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

SIDED = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp",
    "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch",
    "mouthUpperUp", "noseSneer",
)  # fmt: skip
SINGLE = (
    "browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel",
    "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "tongueOut",
)  # fmt: skip
ARKIT = (*SINGLE, *(stem + side for stem in SIDED for side in ("Left", "Right")))
VISEMES = tuple(
    f"viseme_{v}"
    for v in ("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U")
)
SPLIT = ("browInnerUp", "cheekPuff")  # ARKit's single shapes that some rigs have in two halves
OCULUS = {"ih": "I", "oh": "O", "ou": "U"}  # the same visemes by the names of the Oculus headers

# What a rig of visemes only can do: its visemes stand in for the mouth shapes nearest to them. A rounded viseme opens
# the jaw as well, so mixtures are cruder than on a rig with ARKit's shapes; brows, lids, cheeks stay where they are.
STAND_INS = {
    "jawOpen": "viseme_aa",
    "mouthFunnel": "viseme_O",
    "mouthPucker": "viseme_U",
    "mouthStretch": "viseme_I",
    "mouthLowerDown": "viseme_SS",
    "mouthPress": "viseme_PP",
    "mouthRollLower": "viseme_FF",
}


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _spellings() -> dict[str, str]:
    table = {_letters(name): name for name in (*ARKIT, *SIDED, *VISEMES)}
    for stem in (*SIDED, *SPLIT, "jaw", "mouth"):
        for side in ("Left", "Right"):
            table[_letters(stem + side)] = table[_letters(stem) + side[0].lower()] = stem + side
    for viseme in VISEMES:
        table["v" + _letters(viseme.removeprefix("viseme_"))] = viseme
    for oculus, short in OCULUS.items():
        table["viseme" + oculus] = table["v" + oculus] = f"viseme_{short}"
    return table


SPELLINGS = _spellings()


def canonical(name: str) -> str:
    """Return ARKit's or Oculus' spelling of a blendshape's name, or `name` itself if it is neither.

    Letter case and everything but letters and digits count for nothing, and what stands before the name is left
    out, piece by piece.
    """
    pieces = [p for p in re.split(r"[^A-Za-z0-9]+", name) if p]
    for start in range(len(pieces)):
        if found := SPELLINGS.get(_letters("".join(pieces[start:]))):
            return found
    return name


def canonicals(names: Sequence[str]) -> tuple[str, ...]:
    """Return the canonical names, each once: of two that would become one, the second keeps its own spelling, and a
    name that is there twice gets a number."""
    taken: dict[str, int] = {}
    result = []
    for name in names:
        better = canonical(name)
        if better in taken and better != name and name not in taken:
            better = name
        taken[better] = taken.get(better, 0) + 1
        result.append(better if taken[better] == 1 else f"{better}.{taken[better]}")
    return tuple(result)


def with_stand_ins(names: Sequence[str], deltas: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names (K',) and deltas (K', V, 3) with stand-ins for the mouth's shapes, if there are only visemes.

    Unchanged if the rig has any of ARKit's mouth shapes, or no visemes.
    """
    index = {name: i for i, name in enumerate(names)}
    if any(name.startswith(("jaw", "mouth")) for name in names if name in ARKIT or name in SIDED):
        return tuple(names), deltas
    new = {shape: index[viseme] for shape, viseme in STAND_INS.items() if viseme in index}
    return (*names, *new), np.concatenate([deltas, deltas[list(new.values())]])
