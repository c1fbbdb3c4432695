"""The clips that methods are judged on: the track's test clips with their truth and their filmed lips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkmesh.contracts import (
    CLIPS,
    CROPS,
    Crops,
    GroundTruth,
    Speaker,
    Track,
    read_crops,
    read_ground_truth,
    read_speakers,
)
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import LIPS
from talkmesh.rig import Rig
from talkmesh.rig.transfer import Transfer, read_transfer


@dataclass(frozen=True)
class Clip:
    """A test clip; frames is its length in the clip table, folder that of its sound and truth."""

    name: str
    speaker: str
    fps: float
    frames: int
    folder: Path

    @property
    def crops(self) -> Crops | None:
        """Its crops; None if there is no film of it."""
        return read_crops(self.name) if self.folder.parent == CLIPS else None


@dataclass(frozen=True)
class Film:
    """The filmed lips of a clip.

    lips : (T, 40, 2), crop pixels, NaN where unknown; good : (T,) bool; mouth_px : mouth width of the speaker's neutral
    crop; camera : (2, 3), mm of the mesh to crop pixels.
    """

    lips: np.ndarray
    good: np.ndarray
    mouth_px: float
    camera: np.ndarray


def judged_clips(track: Track) -> list[Clip]:
    """Return the clips that are judged: those of the test split, and of filmed ones those whose faces were found.

    Raises
    ------
    TalkmeshError
        If there is none.
    """
    table = track.tests()
    columns = (table[name] for name in ("clip", "speaker", "fps", "frames"))
    clips = [
        Clip(str(c), str(s), float(f), int(n), Path(track.clips) / str(c))
        for c, s, f, n in zip(*columns, strict=True)
    ]
    if not clips:
        raise TalkmeshError(
            f"{track.clips}/clips.csv has no test clip with crops in {CROPS}: set segment.test above 0"
        )
    return clips


def read_camera(folder: Path) -> np.ndarray:
    """Return the camera (2, 3) of the renders in `folder`, mm to crop pixels."""
    if not (folder / "camera.npy").exists():
        raise TalkmeshError(f"{folder}/camera.npy not found: run `dvc repro render`")
    camera: np.ndarray = np.load(folder / "camera.npy")
    return camera


def read_carried(track: Track) -> Transfer | None:
    """Return how expressions of the character reach the track's rig; None for the character itself."""
    path = track.rig_file.with_suffix(".transfer.npz")
    return read_transfer(path) if path.exists() else None


def good_frames(crops: Crops) -> np.ndarray:
    """Return the mask (T,) of the frames whose lips are known."""
    return crops.good & np.isfinite(crops.landmarks[:, list(LIPS)]).all((1, 2))


def clip_film(clip: Clip, camera: np.ndarray, speakers: dict[str, Speaker]) -> Film | None:
    """Return the filmed lips of a clip, or None if there is no film of it."""
    crops = clip.crops
    if crops is None:
        return None
    if clip.speaker not in speakers:
        raise TalkmeshError(f"{CROPS}/speakers.json lacks the speaker {clip.speaker}: run `dvc repro crop`")
    mouth = speakers[clip.speaker].mouth_px
    return Film(crops.landmarks[:, list(LIPS)], good_frames(crops), mouth, camera)


def speakers_of(clips: list[Clip]) -> dict[str, Speaker]:
    """Return what is known of the speakers of filmed clips; nothing if there is no film."""
    return read_speakers() if clips[0].folder.parent == CLIPS else {}


def read_truth(clip: Clip, carried: Transfer | None = None) -> GroundTruth | None:
    """Return the ground truth of a clip, or None if it has none.

    `carried` brings truth that is given as weights to another topology's rig, as it brought the poses of its renders.
    """
    path = clip.folder / "ground_truth.npz"
    if not path.exists():
        return None
    truth = read_ground_truth(path)
    return truth if carried is None else carried.truth(truth)


def clip_truth(clip: Clip, rig: Rig, carried: Transfer | None = None) -> np.ndarray | None:
    """Return the exact vertices (T, V, 3) in mm of a clip, or None if there are none for this rig; see `read_truth`."""
    truth = read_truth(clip, carried)
    return None if truth is None else truth.on(rig)


def without_truth(clip: Clip, rig: Rig) -> str:
    """Return in words why there is no exact mesh of a clip on `rig`."""
    if (clip.folder / "ground_truth.npz").exists():
        return f"the corpus' ground truth does not apply to the rig {rig.name}"
    return "the corpus has no ground truth"
