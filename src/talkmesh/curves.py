"""Files of named blendshape weights over time: Live Link Face CSV, any other CSV, npz.

| form | what it holds |
|---|---|
| Live Link Face CSV | `Timecode` HH:MM:SS:FF.mmm, `BlendShapeCount`, one column a shape, head and eye rotations |
| other CSV | `time` in seconds, one column a shape |
| npz | `names` (K,), `fps`, and `weights` (T, K), or `w_<take>` (T, K) for each of several takes |

T frames, K shapes. Times are in seconds from the first frame, weights in [0, 1].
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.files import read_npz
from talkmesh.timing import rate_of

log = logging.getLogger(__name__)

# Columns of Live Link Face that are no blendshapes.
ROTATIONS = tuple(
    f"{part}{axis}" for part in ("head", "lefteye", "righteye") for axis in ("yaw", "pitch", "roll")
)
TIMECODE_RATES = (24, 25, 30, 48, 50, 60, 100, 120)
TIMECODE = re.compile(r"(\d+):(\d+):(\d+)[:;](\d+(?:\.\d+)?)")
FAR = 1.5  # a weight beyond it is no weight of 0 to 1 that overshoots
UNUSED = 0.02  # weights below it are noise: a shape that never exceeds it is not missed


@dataclass(frozen=True)
class Curves:
    """One take. name : of the take; names : K shapes as the file spells them; times : (T,) seconds, ascending from 0;
    weights : (T, K) float32 in [0, 1]."""

    name: str
    names: tuple[str, ...]
    times: np.ndarray
    weights: np.ndarray

    @property
    def seconds(self) -> float:
        """How long the take lasts, its last frame included."""
        step = float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0
        return float(self.times[-1]) + step

    def at(self, times: np.ndarray) -> np.ndarray:
        """Return the weights (N, K) float32 at `times` (N,): interpolated linearly, held at the ends."""
        columns = [np.interp(times, self.times, column) for column in self.weights.T]
        return np.stack(columns, 1).astype(np.float32)


def read_curves(path: str | Path) -> tuple[Curves, ...]:
    """Read all takes of a file; weights are clipped to [0, 1].

    Raises
    ------
    TalkmeshError
        If the file is missing or of none of the known forms, names repeat, or weights are not of 0 to 1.
    """
    path = Path(path)
    if not path.is_file():
        raise TalkmeshError(f"{path}: no such file of curves")
    if path.suffix.lower() == ".npz":
        return _npz(path)
    if path.suffix.lower() == ".csv":
        return (_csv(path),)
    raise TalkmeshError(f"{path}: curves are read from .csv (Live Link Face and others) and .npz")


def on_shapes(curves: Curves, shapes: Sequence[str], what: str) -> np.ndarray:
    """Return the weights (T, len(shapes)) of a rig's `shapes`; what the file lacks is 0.

    Shapes that the file moves and the rig lacks are named in a warning.

    Raises
    ------
    TalkmeshError
        If the file and the rig (`what`, for the message) share no shape.
    """
    index = {plain(name): i for i, name in enumerate(shapes)}
    places = [index.get(plain(name)) for name in curves.names]
    if all(place is None for place in places):
        raise TalkmeshError(
            f"{curves.name}: none of its {len(places)} shapes ({', '.join(curves.names[:3])}, ...) is a shape of {what}"
        )
    poses = np.zeros((len(curves.weights), len(shapes)), np.float32)
    lost = []
    for name, place, weights in zip(curves.names, places, curves.weights.T, strict=True):
        if place is not None:
            poses[:, place] = weights
        elif weights.max() > UNUSED:
            lost.append(name)
    if lost:
        log.warning("%s: %s lacks %s; they are left out", curves.name, what, ", ".join(lost))
    return poses


def plain(name: str) -> str:
    """Return a shape's name as it is compared: small letters, `_L` and `_R` written out."""
    name = re.sub(r"[_.\- ]l(eft)?$", "left", re.sub(r"[_.\- ]r(ight)?$", "right", name.strip().lower()))
    return re.sub(r"[^a-z0-9]", "", name)


def _npz(path: Path) -> tuple[Curves, ...]:
    data = read_npz(path)
    takes = {key.removeprefix("w_"): key for key in sorted(data) if key.startswith("w_")}
    if "weights" in data:
        takes |= {path.stem: "weights"}
    if not takes or "names" not in data or "fps" not in data:
        raise TalkmeshError(f"{path}: curves in an npz need 'names', 'fps', and 'weights' or 'w_<take>'")
    fps = rate_of(data["fps"], path)
    names = [str(name) for name in data["names"].ravel()]
    return tuple(
        _checked(path, take, names, np.arange(data[key].shape[0] if data[key].ndim else 0) / fps, data[key])
        for take, key in takes.items()
    )


def _csv(path: Path) -> Curves:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TalkmeshError(f"{path} is not a CSV file: {error}") from None
    if not rows:
        raise TalkmeshError(f"{path} is empty")
    head = [name.strip() for name in rows[0]]
    lower = [name.lower() for name in head]
    if "timecode" not in lower and "time" not in lower:
        raise TalkmeshError(f"{path}: needs a column 'Timecode' (Live Link Face) or 'time' (seconds)")
    clock = lower.index("timecode" if "timecode" in lower else "time")
    shapes = [i for i, name in enumerate(lower) if i != clock and name not in ("blendshapecount", *ROTATIONS)]
    # Live Link Face writes rows without weights while it sees no face
    rows = [
        row for row in rows[1:] if len(row) > max(clock, *shapes, 0) and all(row[i].strip() for i in shapes)
    ]
    try:
        weights = np.array([[float(row[i]) for i in shapes] for row in rows])
        times = (
            _seconds(path, [row[clock] for row in rows])
            if lower[clock] == "timecode"
            else np.array([float(row[clock]) for row in rows])
        )
    except ValueError as error:
        raise TalkmeshError(f"{path}: not a number: {error}") from None
    return _checked(path, path.stem, [head[i] for i in shapes], times, weights)


def _seconds(path: Path, timecodes: Sequence[str]) -> np.ndarray:
    """Return the seconds (T,) of timecodes HH:MM:SS:FF.mmm, whose rate stands nowhere in the file.

    Frames count up to the rate, so where the seconds change, the rate is how far they fall back.
    """
    found = [TIMECODE.fullmatch(code.strip()) for code in timecodes]
    if None in found:
        raise TalkmeshError(f"{path}: '{timecodes[found.index(None)]}' is no timecode HH:MM:SS:FF.mmm")
    parts = np.array([[float(x) for x in match.groups()] for match in found if match]).reshape(-1, 4)
    whole, frames = parts[:, :3] @ (3600, 60, 1), parts[:, 3]
    step = np.diff(frames)
    forward = float(np.median(step[step > 0])) if (step > 0).any() else 1.0
    turns = (np.diff(whole) == 1) & (step < 0)
    guess = float(np.median(forward - step[turns])) if turns.any() else 0.0
    rate = min(
        TIMECODE_RATES, key=lambda r: (r <= frames.max(initial=0) - 1e-6, abs(r - guess) if guess else r)
    )
    seconds = whole + frames / rate
    return seconds + 86_400 * np.cumsum(np.r_[0, np.diff(seconds) < -43_200])[: len(seconds)]  # past midnight


def _checked(path: Path, take: str, names: Sequence[str], times: np.ndarray, weights: np.ndarray) -> Curves:
    if (
        weights.ndim != 2
        or weights.shape[1:] != (len(names),)
        or not weights.size
        or weights.dtype.kind not in "iuf"
    ):
        raise TalkmeshError(f"{path}: {take} must be (frames, {len(names)}) weights; got {weights.shape}")
    known = [plain(name) for name in names]
    if len(set(known)) < len(known):
        twice = next(name for name, k in zip(names, known, strict=True) if known.count(k) > 1)
        raise TalkmeshError(f"{path}: the shape '{twice}' appears twice")
    if not (np.isfinite(weights).all() and np.isfinite(times).all()):
        raise TalkmeshError(f"{path}: {take} holds NaN or infinite values")
    if np.abs(weights).max() > FAR:
        worst = int(np.abs(weights).max(0).argmax())
        raise TalkmeshError(
            f"{path}: {take}: weights must be 0 to 1; {names[worst]} reaches {np.abs(weights).max():g}"
        )
    advancing = np.r_[True, times[1:] > np.maximum.accumulate(times)[:-1]]
    if not advancing.all():
        log.warning("%s: %d frames whose time does not advance are left out", path, (~advancing).sum())
    times, weights = times[advancing], weights[advancing]
    return Curves(take, tuple(names), times - times[0], np.clip(weights, 0, 1).astype(np.float32))
