"""The units of which performances are made: how far they go, what opposes them, sounds of speech, extremes.

ARKit names; a name without a side stands for both sides if the rig has them.
"""

from __future__ import annotations

# How far each goes in mixtures, and how often it is drawn.
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

# A unit, and the one that does the reverse: performed one after the other.
OPPOSITES = (
    ("jawOpen", "mouthShrugLower"),
    ("mouthPucker", "mouthStretch"),
    ("mouthFunnel", "mouthRollLower"),
    ("mouthUpperUp", "mouthRollUpper"),
    ("mouthLowerDown", "mouthPress"),
    ("mouthSmile", "mouthFrown"),
    ("mouthDimple", "cheekPuff"),
    ("mouthShrugUpper", "noseSneer"),
    ("jawLeft", "jawRight"),
    ("mouthLeft", "mouthRight"),
    ("jawForward", "tongueOut"),
)
UPPER_OPPOSITES = (
    ("eyeBlink", "eyeWide"),
    ("browDown", "browInnerUp"),
    ("browOuterUp", "eyeSquint"),
    ("cheekSquint",),
)

# What a face goes through before a camera to show how far it can: as far as the rig allows, far from speech.
EXTREMES: dict[str, dict[str, float]] = {
    "yawn": {"jawOpen": 1.0, "mouthLowerDown": 0.3, "mouthUpperUp": 0.2, "mouthStretch": 0.2},
    "shout": {"jawOpen": 0.85, "mouthLowerDown": 0.7, "mouthUpperUp": 0.6, "mouthStretch": 0.5, "noseSneer": 0.4},
    "grin": {"mouthSmile": 1.0, "mouthStretch": 0.3, "mouthUpperUp": 0.5, "mouthLowerDown": 0.4, "cheekSquint": 0.6},
    "laugh": {"jawOpen": 0.55, "mouthSmile": 0.9, "mouthUpperUp": 0.5, "mouthLowerDown": 0.3, "cheekSquint": 0.7},
    "bare": {"mouthUpperUp": 0.9, "mouthLowerDown": 0.9, "mouthStretch": 0.6, "jawOpen": 0.04},
    "snarl": {"mouthUpperUp": 1.0, "noseSneer": 1.0, "jawOpen": 0.15, "browDown": 0.7},
    "kiss": {"mouthPucker": 1.0, "mouthFunnel": 0.2},
    "blow": {"mouthFunnel": 0.8, "mouthPucker": 0.6, "cheekPuff": 0.5, "jawOpen": 0.1},
    "howl": {"jawOpen": 0.75, "mouthFunnel": 0.8, "mouthPucker": 0.4},
    "swallow": {"mouthRollLower": 0.9, "mouthRollUpper": 0.9, "jawOpen": 0.12, "mouthClose": 0.12},
    "clench": {"mouthPress": 1.0, "mouthDimple": 0.6, "mouthStretch": 0.3, "browDown": 0.5},
    "pout": {"mouthShrugLower": 0.8, "mouthFrown": 0.7, "mouthShrugUpper": 0.3, "browInnerUp": 0.5},
    "weep": {"mouthFrown": 1.0, "mouthStretch": 0.7, "jawOpen": 0.25, "mouthLowerDown": 0.5, "browInnerUp": 0.8},
    "puff": {"cheekPuff": 0.9, "mouthPress": 0.4},
    "hum": {"jawOpen": 0.6, "mouthClose": 0.6, "mouthPucker": 0.2},
    "sway left": {"jawLeft": 0.9, "jawOpen": 0.3, "mouthLeft": 0.3},
    "sway right": {"jawRight": 0.9, "jawOpen": 0.3, "mouthRight": 0.3},
    "twist left": {"mouthLeft": 1.0, "mouthPucker": 0.3},
    "twist right": {"mouthRight": 1.0, "mouthPucker": 0.3},
    "bulldog": {"jawForward": 1.0, "mouthLowerDown": 0.5, "jawOpen": 0.05},
    "tongue": {"tongueOut": 1.0, "jawOpen": 0.45, "mouthLowerDown": 0.2},
}  # fmt: skip
