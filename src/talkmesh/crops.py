"""From clips to crops: every speaker's clips cut in parallel, each kept under the name of what it is made of."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from tqdm import tqdm

from talkmesh import parallel, quality
from talkmesh.contracts import (
    CROP_COLUMNS,
    SAMPLE_RATE,
    Speaker,
    clip_audio,
    clip_video,
    neutral_crop,
    read_crops,
    write_crops,
)
from talkmesh.cropping import Cropping, Reference, cut
from talkmesh.errors import TalkmeshError
from talkmesh.files import clear_leftovers, content_hash, link_file, link_folder, replacing
from talkmesh.speakers import check_neutral, find_reference
from talkmesh.subjects import Subject, find_subjects, row

log = logging.getLogger(__name__)
CODE = ("alignment.py", "cropping.py", "framing.py", "landmarks.py")  # what decides how a crop looks


def crop_corpus(
    table: pd.DataFrame, params: Cropping, clips: Path, work: Path, out: Path
) -> tuple[pd.DataFrame, dict[str, Speaker]]:
    """Track, align and cut all clips of the clip table; return the crop table and the speakers.

    Faces and crops are kept in `work`, outside what is handed on.

    Raises
    ------
    TalkmeshError
        If no clip shows a face in enough frames, or `crop.neutral` names no such frame.
    """
    subjects = find_subjects(table, params, clips, work / "people")
    report = pd.DataFrame([row(clip, subject, params, clips) for clip, subject in subjects.items()])
    for clip, why in zip(report["clip"], report["dropped_why"], strict=True):
        if why:
            log.warning("dropped %s: %s", clip, why)
    kept = table[(report["dropped_why"] == "").to_numpy()]
    if kept.empty:
        raise TalkmeshError(
            f"no clip can be used; the first, {report['clip'][0]}: {report['dropped_why'][0]}"
        )
    check_neutral(params.neutral, {c: subjects[c] for c in kept["clip"]})
    references: dict[str, Reference] = {}
    speakers: dict[str, Speaker] = {}
    for name, own in kept.groupby("speaker"):
        references[str(name)], speaker = find_reference(own, subjects, params, clips)
        speakers[str(name)] = speaker
        log.info("%s: the neutral face is %s:%d", name, speaker.neutral_clip, speaker.neutral_frame)
    folders = cut_all(kept, subjects, references, params, clips, work / "crops")
    for clip, folder in folders.items():
        link_folder(folder, out / clip)
        _write_sound(clip, subjects[clip], clips, out)
    for column, still in (("residual_px_before", True), ("residual_px_after", False)):
        report[column] = [_skull_motion(subjects[c], folders.get(c), still) for c in report["clip"]]
    _tell(report, len(table))
    return report[list(CROP_COLUMNS)], speakers


def cut_all(
    table: pd.DataFrame,
    subjects: dict[str, Subject],
    references: dict[str, Reference],
    params: Cropping,
    clips: Path,
    work: Path,
) -> dict[str, Path]:
    """Cut the clips of the table, in parallel, and return the folder of each one's crops in `work`.

    Its name is that of the film, the speaker's reference, the parameters and the code: while these are the same,
    nothing is cut again, and a kill loses no more than the clips in progress. Folders in `work` of other crops are
    removed in the end.
    """
    clear_leftovers(work)
    code = content_hash(*(Path(__file__).parent / name for name in CODE))
    folders, jobs = {}, []
    for clip, fps, speaker in zip(table["clip"], table["fps"], table["speaker"], strict=True):
        subject, reference = subjects[clip], references[speaker]
        made_of = (
            *(subject.kept.name, subject.person, subject.good, reference.shape, reference.window, code),
            *(params.pixels, params.mask, params.face_mask, params.stabilised, params.smooth_frames),
        )
        folders[str(clip)] = work / content_hash(*made_of)
        jobs.append((clip_video(clip, clips), float(fps), subject, reference, params, folders[clip]))
    done = parallel.once_each(_cut_kept, list(folders.values()), jobs, params.workers)
    for _ in tqdm(done, "crop", len(jobs), unit="clip", mininterval=1):
        pass
    for other in set(work.iterdir()) - set(folders.values()):
        shutil.rmtree(other)
    return folders


def _cut_kept(
    video: Path, fps: float, subject: Subject, reference: Reference, params: Cropping, folder: Path
) -> None:
    """Cut the crops of one clip into `folder`, unless an earlier run did."""
    if not folder.exists():
        with replacing(folder) as temporary:
            crops = cut(video, fps, subject.track(), subject.good, reference, params)
            write_crops(temporary.name, crops, temporary.parent)


def _write_sound(clip: str, subject: Subject, clips: Path, out: Path) -> None:
    """Put the clip's sound beside its crops, in step with them."""
    if subject.step.shift_ms:
        with replacing(clip_audio(clip, out)) as temporary:
            soundfile.write(temporary, subject.sound(clip, clips), SAMPLE_RATE, subtype="PCM_16")
    else:
        link_file(clip_audio(clip, clips), clip_audio(clip, out))


def _skull_motion(subject: Subject, folder: Path | None, still: bool) -> float:
    """Return how much the skull moves in the crops of `folder`; `still`: if they had been cut by one window."""
    if folder is None:
        return float("nan")
    return quality.skull_motion(subject.track(), np.load(folder / "transforms.npy"), still)


def _tell(report: pd.DataFrame, clips: int) -> None:
    kept, frames = report[report["dropped_why"] == ""], int(report["frames"].sum())
    log.info(
        "%d of %d clips kept; a face in %.2f %% of %d frames, %d of them turned away or cut off by the picture's edge",
        len(kept),
        clips,
        100 * report["faces"].sum() / frames,
        frames,
        (report["faces"] - report["good"]).sum(),
    )
    log.info(
        "the skull moves %.2f crop pixels before alignment and %.2f after it (medians over clips)",
        report["residual_px_before"].median(),
        report["residual_px_after"].median(),
    )
    late = report[report["shift_ms"] != 0]
    if len(late):
        log.warning(
            "the sound of %d clips was out of step by %.0f to %.0f ms and was shifted (crop.sync)",
            len(late),
            late["shift_ms"].min(),
            late["shift_ms"].max(),
        )


def samples(
    speakers: dict[str, Speaker], table: pd.DataFrame, folder: Path, columns: int
) -> tuple[np.ndarray, list[str]]:
    """Return crops (N, size, size, 3) uint8 to look at, and labels: a row of neutral faces, then a row for each of up
    to five clips, `columns` frames evenly spaced."""
    names = sorted(speakers)[:columns]
    images = [neutral_crop(speakers[name], folder)[0] for name in names]
    blank = columns - len(names)
    images += [np.full_like(images[0], 255)] * blank
    labels = [f"{name} neutral" for name in names] + [""] * blank
    kept = list(table.loc[table["dropped_why"] == "", "clip"])
    for i in np.unique(np.linspace(0, len(kept) - 1, 5).astype(int)):
        crops = read_crops(kept[i], folder)
        frames = np.linspace(0, len(crops.images) - 1, columns).astype(int)
        images += [np.array(crops.images[frame]) for frame in frames]
        labels += [f"{kept[i][-8:]}:{frame}" for frame in frames]
    return np.stack(images), labels
