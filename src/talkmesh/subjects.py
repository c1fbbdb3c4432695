"""The speaker in each clip: who of several people it is, which frames to learn from, and the sound in step.

Landmarks stay on the disk and sound is read clip by clip: memory does not grow with the film. T frames, S samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from talkmesh import face, quality, sync
from talkmesh.contracts import clip_video
from talkmesh.cropping import Cropping
from talkmesh.landmarks import opening
from talkmesh.margins import MARGIN, read_around, shifted
from talkmesh.people import choose


@dataclass(frozen=True)
class Subject:
    """The speaker in one clip.

    kept : folder of `face.read_people`; person : who of them is followed; people : how many faces there are at once;
    good : (T,) frames to learn from; step : how the sound is brought into step.
    """

    kept: Path
    person: int
    people: int
    good: np.ndarray
    step: sync.Step

    def track(self) -> face.Track:
        """Read the speaker's face; landmarks stay on disk until they are indexed."""
        return face.read_people(self.kept)[0].of(self.person)

    def sound(self, clip: str, clips: Path) -> np.ndarray:
        """Read the clip's sound (S,) in step with its picture."""
        return shifted(read_around(clip, clips), self.step.shift_ms)


def find_subjects(table: pd.DataFrame, params: Cropping, clips: Path, work: Path) -> dict[str, Subject]:
    """Track the faces of all clips, follow the speaker, and judge the sound; by clip."""
    names, rates = [str(c) for c in table["clip"]], [float(fps) for fps in table["fps"]]
    folders = face.track_all([clip_video(c, clips) for c in names], rates, params.workers, work)
    found, said = {}, {}
    for clip, fps, folder in zip(names, rates, folders, strict=True):
        people, size = face.read_people(folder)
        sound = read_around(clip, clips)[MARGIN:-MARGIN]
        person = choose(people.landmarks, size, params.follow, sound, fps)
        track = people.of(person)
        good = track.good(params.max_yaw_deg)
        said[clip] = sync.evidence(np.where(good, opening(track.landmarks), np.nan), sound, fps)
        found[clip] = (folder, person, int(people.found.sum(0).max()), good)
    steps = sync.steps(table, said, params.sync)
    return {clip: Subject(*known, steps[clip]) for clip, known in found.items()}


def row(clip: str, subject: Subject, params: Cropping, clips: Path) -> dict[str, object]:
    """Return one clip's row of the crop table, without what its crops will say."""
    found = quality.measures(subject.track(), subject.good, subject.sound(clip, clips))
    share = found["faces"] / found["frames"]
    why = ""
    if share == 0:
        why = "no face found"
    elif share < params.min_face_frames:
        why = f"a face in {share:.0%} of the frames, less than crop.min_face_frames ({params.min_face_frames:.0%})"
    elif not found["good"]:
        why = f"the face is turned beyond crop.max_yaw_deg ({params.max_yaw_deg:g}) or leaves the picture throughout"
    return found | {
        "clip": clip,
        "people": subject.people,
        "offset_ms": subject.step.offset.ms,
        "sync_confidence": subject.step.offset.confidence,
        "shift_ms": subject.step.shift_ms,
        "dropped_why": why,
    }
