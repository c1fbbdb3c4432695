"""How still the skull stands in crops, before alignment and after it: ``python -m benchmarks.skull [CROPS] [--json]``.

CROPS is a folder as `crop` writes it (default ``data/crops``); the clips are looked for in ``clips`` beside it. Before:
one window for the whole clip, that of its first frame; after: a window for each frame, as cropped. All in crop pixels,
medians over clips. ``spread`` is the root of the variance over time, ``step`` that of the movement from frame to frame.

``nose``, ``eyes`` : patches of the film about the tip of the nose and the inner eye corners, each registered to its own
mean over time: no landmark is asked how they move. ``lost`` is the share of frames in which that fails. ``landmarks`` :
eye corners and nose bridge as MediaPipe finds them, which drive the alignment; ``other_landmarks`` : points of the nose
that do not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from talkmesh import contracts, media
from talkmesh.alignment import apply, compose
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import EYE_CORNERS, NOSE_BRIDGE

DRIVING = (*EYE_CORNERS, *NOSE_BRIDGE)
OTHERS = (1, 129, 358, 122, 351)  # tip of the nose, its wings, the sides of its bridge
PARTS = {"nose": (1,), "eyes": (133, 362)}  # middles of the patches
PATCH = 0.35  # side of a patch, in mouth widths
FINE = 4  # patches are drawn at least this much finer than crops
ROUNDS = 3  # of registering to the mean, and averaging anew
ALIKE = 0.5  # correlation below which a patch is not the mean's
CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-4)


def spread(places: np.ndarray) -> float:
    """Return the root of the mean over points of their variance over time; places (T, P, 2)."""
    return float(np.sqrt(places.var(0).sum(-1).mean()))


def step(places: np.ndarray) -> float:
    """Return the root of the mean squared movement from frame to frame; places (T, P, 2)."""
    return float(np.sqrt((np.diff(places, axis=0) ** 2).sum(-1).mean()))


def displacements(patches: np.ndarray) -> np.ndarray:
    """Return where each patch's content lies against that of their mean, (T, 2) pixels, NaN where it is not found.

    Parameters
    ----------
    patches : (T, H, W) float32

    Registration is that of Evangelidis and Psarakis 2008 (OpenCV's `findTransformECC`): brightness and contrast may
    change. The mean is made anew of the registered patches, so that it is sharp.
    """
    found = np.zeros((len(patches), 2))
    mean = patches.mean(0)
    for _ in range(ROUNDS):
        moved = []
        last = np.zeros(2, np.float32)
        for k, patch in enumerate(patches):
            shift = np.array([[1, 0, last[0]], [0, 1, last[1]]], np.float32)
            try:
                alike, shift = cv2.findTransformECC(
                    mean, patch, shift, cv2.MOTION_TRANSLATION, CRITERIA, None, 1
                )
            except cv2.error:  # it does not converge
                alike = 0.0
            if not alike >= ALIKE:  # the patch shows something else: a hand, a blink
                found[k] = np.nan
                continue
            last = shift[:, 2]
            found[k] = last
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            size = patch.shape[::-1]
            moved.append(cv2.warpAffine(patch, shift, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))
        if not moved:
            break
        mean = np.mean(moved, axis=0, dtype=np.float32)
    return found


def patches_of(
    frames: list[np.ndarray], transforms: np.ndarray, middle: np.ndarray, side: float, fine: int
) -> np.ndarray:
    """Return grey patches (T, n, n) float32 of frames (H, W, 3) about one place of the crop.

    Parameters
    ----------
    transforms : (T, 2, 3), source pixels to crop pixels
    middle, side : of the patch, crop pixels
    fine : pixels of the patch to one of the crop
    """
    size = round(fine * side)
    zoom = np.array([[fine, 0, size / 2 - fine * middle[0]], [0, fine, size / 2 - fine * middle[1]]])
    matrices = compose(zoom, transforms)
    matrices[:, :, 2] += 0.5 * matrices[:, :, :2].sum(-1) - 0.5  # OpenCV counts from the first pixel's centre
    greys = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames)
    how = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
    return np.stack([cv2.warpAffine(g, m, (size, size), **how) for g, m in zip(greys, matrices, strict=True)])


def measure(frames: list[np.ndarray], crops: contracts.Crops, mouth_px: float) -> dict[str, float]:
    """Return the figures of one clip."""
    good = np.flatnonzero(crops.good)
    after = crops.transforms[good].astype(float)
    linear = np.linalg.inv(after[:, :, :2])
    back = np.concatenate([linear, -linear @ after[:, :, 2:]], -1)
    source = apply(back, crops.landmarks[good].astype(float))
    seen = [frames[k] for k in good]
    fine = max(FINE, round(1 / float(np.hypot(*after[0, :, 0]))))  # no coarser than the film
    result: dict[str, float] = {}
    for when, transforms in (("before", np.repeat(after[:1], len(after), 0)), ("after", after)):
        points = apply(transforms, source)
        for name, ids in (("landmarks", DRIVING), ("other_landmarks", OTHERS)):
            result |= {
                f"{name}_{when}_spread_px": spread(points[:, ids]),
                f"{name}_{when}_step_px": step(points[:, ids]),
            }
        for name, part in PARTS.items():
            middles = np.median(points[:, part], axis=0)
            patches = [patches_of(seen, transforms, m, PATCH * mouth_px, fine) for m in middles]
            places = np.stack([displacements(p) for p in patches], 1) / fine
            whole = places[np.isfinite(places).all((1, 2))]
            result |= {
                f"{name}_{when}_spread_px": spread(whole) if len(whole) > 1 else np.nan,
                f"{name}_{when}_step_px": step(whole) if len(whole) > 1 else np.nan,
                f"{name}_{when}_lost": 1 - len(whole) / len(places),
            }
    return result


def figures(crops: Path, clips: Path, count: int) -> dict[str, float]:
    """Return the medians over up to `count` kept clips, evenly spaced."""
    table = contracts.read_kept(clips=clips, crops=crops)
    speakers = contracts.read_speakers(crops)
    chosen = table.iloc[np.unique(np.linspace(0, len(table) - 1, count).astype(int))]
    measured = []
    for clip, speaker, fps in zip(chosen["clip"], chosen["speaker"], chosen["fps"], strict=True):
        frames = list(media.read_video(contracts.clip_video(str(clip), clips), float(fps)))
        measured.append(
            measure(frames, contracts.read_crops(str(clip), crops), speakers[str(speaker)].mouth_px)
        )
    medians = {name: float(np.nanmedian([one[name] for one in measured])) for name in measured[0]}
    own = [speakers[str(name)].mouth_px for name in chosen["speaker"]]
    return {"clips": len(measured), "mouth_px": float(np.median(own)), **medians}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("crops", type=Path, nargs="?", default=contracts.CROPS)
    parser.add_argument("--clips", type=int, default=24, help="how many are measured (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    try:
        found = figures(given.crops, given.crops.parent / "clips", given.clips)
    except TalkmeshError as error:
        parser.error(str(error))
    if given.json:
        print(json.dumps(found))
        return
    print(f"{found.pop('clips'):.0f} clips, mouth {found.pop('mouth_px'):.1f} px wide")
    for name, value in found.items():
        print(f"{name:<32}{value:8.3f}")


if __name__ == "__main__":
    main()
