"""How well offsets between sound and picture are found: real clips whose sound is shifted by known amounts.

``python -m benchmarks.sync [FOLDER] [--clips N] [--json]``: FOLDER holds short recordings of one speaker, by default
those of GRID's speaker 1 in ``../shared``. Landmarks are kept in ``work/crop``: only the first run takes long.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkmesh import media, sync
from talkmesh.contracts import SAMPLE_RATE
from talkmesh.face import read_people, track_all
from talkmesh.landmarks import opening
from talkmesh.margins import MARGIN, shifted

FPS = 25.0
SHIFTS_MS = (-240, -160, -80, -40, 0, 40, 80, 160, 240)
POOLS = (4, 6, 10, 20)  # clips that make up a recording
SHARED = Path(os.environ.get("TALKMESH_SHARED", "../shared")) / "data/grid_s1/video"


@dataclass(frozen=True)
class Clip:
    """Lip opening (T,) and sound (S,) of one clip."""

    lips: np.ndarray
    audio: np.ndarray

    def evidence(self, late_ms: float) -> np.ndarray:
        """Return what the clip says if its sound is made to come `late_ms` later."""
        return sync.evidence(self.lips, shifted(np.pad(self.audio, MARGIN), -late_ms), FPS)


def grid_clips(folder: Path, count: int, work: Path, workers: int) -> list[Clip]:
    """Read up to `count` clips of a folder, evenly spaced, that show a face in nine frames of ten."""
    paths = sorted(p for p in folder.iterdir() if p.is_file())
    paths = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, count).astype(int))]
    clips = []
    for path, kept in zip(paths, track_all(paths, [FPS] * len(paths), workers, work), strict=True):
        track = read_people(kept)[0].of(0)
        if track.found.mean() >= 0.9:
            audio = media.read_audio(path)[: round(len(track.found) / FPS * SAMPLE_RATE)]
            clips.append(Clip(opening(track.landmarks), audio))
    return clips


def pooled_errors(
    clips: list[Clip], pool: int, shifts_ms: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors in ms and the confidences, (shifts, recordings), of recordings made of `pool` clips each."""
    found = []
    for shift in shifts_ms:
        said = [clip.evidence(shift) for clip in clips]
        groups = [said[i : i + pool] for i in range(0, len(said) - pool + 1, pool)]
        found.append([sync.offset(np.concatenate(group)) for group in groups])
    errors = np.array([[o.ms - shift for o in row] for row, shift in zip(found, shifts_ms, strict=True)])
    return errors, np.array([[o.confidence for o in row] for row in found])


def figures(clips: list[Clip]) -> dict[str, float]:
    """Return everything that is measured."""
    result: dict[str, float] = {"clips": len(clips)}
    for pool in (1, *POOLS):
        if len(clips) < pool:
            continue
        errors, confidence = pooled_errors(clips, pool, SHIFTS_MS)
        size, sure = np.abs(errors), confidence >= sync.CONFIDENT
        own = np.abs(errors - errors[SHIFTS_MS.index(0)])  # against what the same clips say unshifted
        name = f"clips_{pool}"
        result |= {
            f"{name}_median_ms": float(np.median(size)),
            f"{name}_max_ms": float(size.max()),
            f"{name}_within_20ms": float((size <= 20).mean()),
            f"{name}_within_frame": float((size <= 1000 / FPS).mean()),
            f"{name}_shift_within_20ms": float((own <= 20).mean()),
            f"{name}_sure": float(sure.mean()),
            f"{name}_sure_within_20ms": float((size[sure] <= 20).mean()) if sure.any() else float("nan"),
            f"{name}_sure_max_ms": float(size[sure].max()) if sure.any() else float("nan"),
        }
    everything = sync.offset(np.concatenate([clip.evidence(0) for clip in clips]))
    foreign = [sync.evidence(a.lips, b.audio, FPS) for a, b in zip(clips, clips[7:] + clips[:7], strict=True)]
    wrong = [sync.offset(np.concatenate(foreign[i : i + 10])) for i in range(0, len(foreign) - 9, 10)]
    return result | {
        "all_unshifted_ms": everything.ms,
        "all_confidence": everything.confidence,
        "foreign_sound_sure": float(np.mean([o.confidence >= sync.CONFIDENT for o in wrong])),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED)
    parser.add_argument("--clips", type=int, default=148)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not given.folder.is_dir():
        parser.error(f"{given.folder} not found: give a folder of short recordings, or set TALKMESH_SHARED")
    found = figures(grid_clips(given.folder, given.clips, Path("work/crop/people"), given.workers))
    if given.json:
        print(json.dumps(found))
        return
    print(f"{found['clips']} clips, sound shifted by {', '.join(map(str, SHIFTS_MS))} ms")
    print(
        f"{'clips a recording':>18} {'median':>7} {'max':>6} {'<=20 ms':>8} {'sure':>6} {'sure <=20':>9} {'max':>6}"
    )
    for pool in (1, *POOLS):
        row = [
            found.get(f"clips_{pool}_{key}", float("nan"))
            for key in ("median_ms", "max_ms", "within_20ms", "sure", "sure_within_20ms", "sure_max_ms")
        ]
        print("{:>18} {:7.1f} {:6.0f} {:8.2f} {:6.2f} {:9.2f} {:6.0f}".format(pool, *row))
    print(f"all clips, unshifted: {found['all_unshifted_ms']:.1f} ms, sure {found['all_confidence']:.2f}")
    print(f"somebody else's sound taken for sure (10 clips): {found['foreign_sound_sure']:.2f}")


if __name__ == "__main__":
    main()
