"""Phonemes to mouth movement: dominance functions over a table of articulation targets.

After Cohen and Massaro, "Modeling coarticulation in synthetic visual speech" (1993): every phone s wants a target
T_s on every axis, with a dominance that falls off around it,

    D_s(t) = alpha_s exp(-theta max(0, |t - c_s| - h_s)),      F(t) = sum_s D_s(t) T_s / sum_s D_s(t),

so that weak neighbours give way, rounding begins before the rounded vowel, and fast speech undershoots. As in JALI
(Edwards et al. 2016), jaw and lips are separate axes with strengths of their own.

N phones, T times, A axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talkmesh.sample.voice import Phone

# Axes and the ARKit shapes that they drive at weight 1; "*" stands for Left and Right.
AXES: dict[str, str] = {
    "jaw": "jawOpen",
    "close": "mouthClose",  # share of the jaw's opening that the lips bridge
    "pucker": "mouthPucker",
    "funnel": "mouthFunnel",
    "wide": "mouthStretch*",
    "smile": "mouthSmile*",
    "lower": "mouthLowerDown*",
    "upper": "mouthUpperUp*",
    "tuck": "mouthRollLower",
    "roll": "mouthRollUpper",
    "press": "mouthPress*",
    "tongue": "tongueOut",
}
ROUNDING = ("pucker", "funnel", "wide", "smile")

_BILABIAL = {"jaw": 0.07, "close": 1.0, "tuck": 0.14, "roll": 0.08, "press": 0.12}
_LABIODENTAL = {"jaw": 0.05, "close": 0.55, "tuck": 0.72, "upper": 0.22}
_SIBILANT = {"jaw": 0.05, "wide": 0.25, "lower": 0.32, "upper": 0.16}
_POSTALVEOLAR = {"jaw": 0.06, "funnel": 0.52, "pucker": 0.28, "lower": 0.22, "upper": 0.15}
_ALVEOLAR = {"jaw": 0.10, "lower": 0.18, "upper": 0.06}
_DENTAL = {"jaw": 0.12, "lower": 0.2, "upper": 0.1, "tongue": 0.45}
_VELAR = {"jaw": 0.15, "lower": 0.12}
_SCHWA = {"jaw": 0.16, "lower": 0.12, "upper": 0.04}
_AH = {"jaw": 0.42, "lower": 0.16, "upper": 0.08}
_EH = {"jaw": 0.28, "wide": 0.22, "lower": 0.2, "upper": 0.12}
_IH = {"jaw": 0.15, "wide": 0.3, "lower": 0.2, "upper": 0.1}
_EE = {"jaw": 0.09, "wide": 0.5, "smile": 0.14, "lower": 0.24, "upper": 0.12}
_OO = {"jaw": 0.08, "pucker": 0.8, "funnel": 0.22}
_AW = {"jaw": 0.34, "funnel": 0.4, "pucker": 0.15}

# Symbols of hibari's alphabet: capital letters are diphthongs.
CONSONANTS: dict[str, dict[str, float]] = {
    **dict.fromkeys("pbm", _BILABIAL),
    **dict.fromkeys("fv", _LABIODENTAL),
    **dict.fromkeys("sz", _SIBILANT),
    **dict.fromkeys("ʃʒʧʤ", _POSTALVEOLAR),
    **dict.fromkeys("tdnɾT", _ALVEOLAR),
    **dict.fromkeys("θð", _DENTAL),
    **dict.fromkeys("kɡŋ", _VELAR),
    "l": {"jaw": 0.15, "lower": 0.16, "upper": 0.06},
    "ɹ": {"jaw": 0.10, "funnel": 0.42, "pucker": 0.22, "lower": 0.1},
    "w": {"jaw": 0.05, "pucker": 0.88, "funnel": 0.12},
    "j": {"jaw": 0.08, "wide": 0.42, "lower": 0.2, "upper": 0.1},
    "h": {"jaw": 0.18, "lower": 0.1},
}
VOWELS: dict[str, tuple[dict[str, float], ...]] = {
    "ɑ": (_AH,),
    "a": (_AH,),
    "æ": ({"jaw": 0.38, "wide": 0.25, "lower": 0.22, "upper": 0.16},),
    "ʌ": ({"jaw": 0.28, "lower": 0.15, "upper": 0.06},),
    **dict.fromkeys("əɐᵊᵻ", (_SCHWA,)),
    "ɛ": (_EH,),
    "ɪ": (_IH,),
    "i": (_EE,),
    "ɔ": (_AW,),
    "ɜ": ({"jaw": 0.17, "funnel": 0.36, "pucker": 0.15, "lower": 0.1},),
    "ʊ": ({"jaw": 0.13, "pucker": 0.42, "funnel": 0.28},),
    "u": (_OO,),
    "A": (_EH, _EE),
    "I": (_AH, _IH),
    "O": ({"jaw": 0.24, "funnel": 0.42, "pucker": 0.32}, _OO),
    "W": ({"jaw": 0.38, "lower": 0.16, "upper": 0.1}, _OO),
    "Y": (_AW, _IH),
}
REST: dict[str, float] = {}

# alpha of (jaw, rounding, other axes): who gives way to whom. Lip consonants own their lips, tongue consonants leave
# the lips to the vowels around them.
_STRENGTH = {
    "pbm": (1.0, 0.25, 2.0),
    "fv": (2.5, 0.35, 4.0),
    "sz": (4.0, 0.45, 1.2),
    "ʃʒʧʤ": (2.5, 1.3, 1.0),
    "w": (1.0, 2.0, 1.0),
    "ɹ": (0.6, 0.8, 0.6),
    "θð": (0.8, 0.3, 1.2),
    "tdnɾTl": (0.7, 0.2, 0.6),
    "kɡŋh": (0.35, 0.12, 0.35),
    "əɐᵊᵻ": (0.5, 0.4, 0.5),
    "": (0.8, 0.7, 0.9),
}
_CLOSING = 4.0  # alpha of the closure of lip consonants
# theta before and after a phone, 1/s: rounding is anticipated, closure is quick, the jaw is heavy.
_RATES = {"close": (60.0, 60.0), "tuck": (30.0, 30.0), "press": (30.0, 30.0), "roll": (30.0, 30.0)}
_JAW_RATE, _ROUNDING_RATE, _RATE = (17.0, 17.0), (13.0, 18.0), (20.0, 20.0)
_SMOOTH_S = {"jaw": 0.022, "close": 0.004}  # Gaussian sigma, seconds; other axes 0.012


def strength(symbol: str, axis: str) -> float:
    """Return alpha of a phone on an axis."""
    if axis == "close":
        return _CLOSING if symbol and symbol in "pbmfv" else 1.0
    kind = 0 if axis == "jaw" else 1 if axis in ROUNDING else 2
    for symbols, alphas in _STRENGTH.items():
        if (symbol in symbols) if symbol else symbols == "":
            return alphas[kind]
    return 1.0


def targets(symbol: str) -> tuple[dict[str, float], ...]:
    """Return the articulation target of a phone; two of a diphthong, one after the other."""
    if symbol in VOWELS:
        return VOWELS[symbol]
    return (CONSONANTS.get(symbol, REST),)


def articulate(phones: Sequence[Phone], gains: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """Return the value of every axis at evenly spaced `times` (T,), seconds.

    Parameters
    ----------
    phones : the N phones of the sentence
    gains : (N,) size of each phone's movement, 1 = as in the table; closure is not scaled
    times : (T,) seconds, evenly spaced, at least 100 a second

    Returns
    -------
    axis name to (T,) in [0, 1]; bilabials reach ``close`` = 1
    """
    spots: list[
        tuple[str, dict[str, float], float, float, float]
    ] = []  # symbol, target, centre, half length, gain
    for phone, gain in zip(phones, gains.tolist(), strict=True):
        parts = targets(phone.symbol)
        length = (phone.end_s - phone.start_s) / len(parts)
        for i, target in enumerate(parts):
            spots.append((phone.symbol, target, phone.start_s + (i + 0.5) * length, length / 2, gain))
    centres = np.array([s[2] for s in spots])[:, None]
    halves = np.array([s[3] for s in spots])[:, None]
    symbols = [s[0] for s in spots]
    after = times[None] - centres  # (N', T) seconds
    step = float(times[1] - times[0])
    out: dict[str, np.ndarray] = {}
    for axis in AXES:
        left, right = _RATES.get(
            axis, _JAW_RATE if axis == "jaw" else _ROUNDING_RATE if axis in ROUNDING else _RATE
        )
        hold = np.where(np.array(symbols)[:, None] == "", halves, halves * 0.5 + 0.005)
        if axis == "close":
            hold = np.maximum(halves, 0.022)
        distance = np.maximum(np.abs(after) - hold, 0)
        dominance = np.array([strength(s, axis) for s in symbols])[:, None] * np.exp(
            -np.where(after < 0, left, right) * distance
        )
        wanted = np.array([t.get(axis, 0.0) * (1.0 if axis == "close" else g) for _, t, _, _, g in spots])
        value = wanted @ dominance / dominance.sum(0)
        if axis == "close":  # dominance never quite reaches 1, lips do
            value = np.clip((value - 0.3) / 0.4, 0, 1)
            value = value * value * (3 - 2 * value)
        out[axis] = gaussian_filter1d(value, _SMOOTH_S.get(axis, 0.012) / step, mode="nearest")
    return out
