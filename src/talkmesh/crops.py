"""From clips to crops: align a speaker's clips, find the neutral frame, cut the mouth-centred window, in parallel."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import soundfile
from joblib import Parallel, delayed
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from talkmesh import face, media, neutral, quality, sync
from talkmesh.alignment import apply, compose, filled, fit_similarity, mean_shape, smooth
from talkmesh.contracts import (
    CROP_COLUMNS,
    SAMPLE_RATE,
    Crops,
    Speaker,
    clip_audio,
    clip_video,
    neutral_crop,
    read_crops,
    write_crops,
)
from talkmesh.errors import TalkmeshError
from talkmesh.face_model import face_landmarker_path
from talkmesh.files import link_file, replacing
from talkmesh.framing import Framing, apply_mask, hide, outline_masks, window
from talkmesh.landmarks import CORNERS, EYE_CORNERS, OVAL, STABLE, opening
from talkmesh.people import Follow, choose
from talkmesh.silence import frame_levels

log = logging.getLogger(__name__)

CANDIDATES, APART_S = 12, 0.4  # neutral frames to choose from, and time between two of the same clip


@dataclass(frozen=True)
class Cropping:
    """Section `crop`. size, mouth_widths, mouth_y, mask : see `framing.Framing`; face_mask : hide what lies outside the
    outline of the face, too; follow : which of several people; max_yaw_deg : frames in which the head is turned further
    are not learned from; sync : "correct", "report" or "off"; stabilised : one fixed window a clip, for head-mounted
    cameras; smooth_frames : Gaussian sigma of the alignment over time; min_face_frames : share of frames that must show
    a face; neutral : "auto" or <clip>:<frame>; workers : processes."""

    size: int
    mouth_widths: float
    mouth_y: float
    mask: bool
    face_mask: bool
    follow: Follow
    max_yaw_deg: float
    sync: sync.Sync
    stabilised: bool
    smooth_frames: float
    min_face_frames: float
    neutral: str
    workers: int

    @property
    def framing(self) -> Framing:
        """The window that speaker and character share."""
        return Framing(self.size, self.mouth_widths, self.mouth_y, self.mask)


@dataclass(frozen=True)
class Subject:
    """The speaker in one clip.

    track : of the person who is followed; good : (T,) frames to learn from; people : how many faces there are; audio :
    (S,) the clip's sound, in step with the picture; step : how it was brought there.
    """

    track: face.Track
    good: np.ndarray
    people: int
    audio: np.ndarray
    step: sync.Step


def align(landmarks: np.ndarray, shape: np.ndarray, params: Cropping) -> np.ndarray:
    """Return the transforms (T, 2, 3) from a clip's source pixels to the plane of the speaker's mean shape.

    Parameters
    ----------
    landmarks : (T, 478, 2), NaN where there is no face; at least one frame must have one. A turned face counts: the
        window goes with it
    shape : (P, 2), mean shape of the points `landmarks.STABLE`
    """
    good = np.isfinite(landmarks[:, 0, 0])
    stable = landmarks[:, STABLE]
    if params.stabilised:
        one = fit_similarity(stable[good].mean(0), shape)
        return np.repeat(one[None], len(landmarks), axis=0)
    fitted = np.zeros((len(landmarks), 2, 3))
    fitted[good] = fit_similarity(stable[good], shape)
    return smooth(fitted, good, params.smooth_frames)


def mean_shape_of(stable: np.ndarray) -> np.ndarray:
    """Return the upright mean shape (P, 2) of the points `landmarks.STABLE`, (N, P, 2)."""
    return mean_shape(stable, (STABLE.index(EYE_CORNERS[0]), STABLE.index(EYE_CORNERS[3])))


def warp(image: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Return the crop (size, size, 3) of an image (H, W, 3) uint8 under a map (2, 3) from its pixels to the crop's.

    The crop is drawn at least twice as fine and averaged down: shrinking does not alias, and fine detail does not
    flicker as the sampling grid moves over the source from frame to frame.
    """
    scale = float(np.hypot(*transform[:, 0]))
    factor = max(2, int(np.ceil(1 / scale)))
    matrix = factor * transform
    matrix[:, 2] += 0.5 * matrix[:, :2].sum(1) - 0.5  # OpenCV counts from the centre of the first pixel
    fine = cv2.warpAffine(
        image, matrix, (factor * size, factor * size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)


def cut(
    clip: str,
    fps: float,
    subject: Subject,
    transforms: np.ndarray,
    params: Cropping,
    clips: Path,
    out: Path,
) -> None:
    """Cut and write the crops of one clip, and its sound; `transforms` (T, 2, 3) map source pixels to crop pixels."""
    images = np.stack(
        [
            warp(image, transform, params.size)
            for image, transform in zip(
                media.read_video(clip_video(clip, clips), fps), transforms, strict=True
            )
        ]
    )
    landmarks = apply(transforms, subject.track.landmarks)
    images = apply_mask(images, params.framing)
    if params.face_mask:
        outlines = filled(landmarks[:, OVAL], subject.track.found)
        if params.smooth_frames > 0:
            outlines = gaussian_filter1d(outlines, params.smooth_frames, axis=0, mode="nearest")
        images = hide(images, outline_masks(outlines, params.size))
    write_crops(
        clip,
        Crops(images, landmarks.astype(np.float32), transforms.astype(np.float32), subject.good),
        out,
    )
    if subject.step.shift_ms:
        with replacing(clip_audio(clip, out)) as temporary:
            soundfile.write(temporary, subject.audio, SAMPLE_RATE, subtype="PCM_16")
    else:
        link_file(clip_audio(clip, clips), clip_audio(clip, out))


def crop_speaker(
    table: pd.DataFrame, subjects: dict[str, Subject], params: Cropping
) -> tuple[dict[str, np.ndarray], Speaker]:
    """Align the clips of one speaker and frame them by the neutral frame.

    Parameters
    ----------
    table : the speaker's clips (columns clip, split, fps), each with a face in enough frames
    subjects : by clip

    Returns
    -------
    transforms : by clip, (T, 2, 3) from source pixels to crop pixels
    speaker : neutral frame and mouth width

    The mean shape and the neutral frame come from training clips, where there are any.
    """
    names = [str(c) for c in table["clip"]]
    own = {c: subjects[c] for c in names}
    fps = float(table["fps"].iloc[0])
    teaching = [str(c) for c in table.loc[table["split"] == "train", "clip"]] or names
    shape = mean_shape_of(np.concatenate([own[c].track.landmarks[own[c].good][:, STABLE] for c in teaching]))
    aligned = {c: align(own[c].track.landmarks, shape, params) for c in names}
    ranked = neutral.rank(
        [
            np.where(own[c].good[:, None, None], apply(aligned[c], own[c].track.landmarks), np.nan)
            for c in teaching
        ],
        [own[c].track.sharpness for c in teaching],
        [frame_levels(own[c].audio, len(own[c].good), fps) for c in teaching],  # a resting face is silent
        shape,
        CANDIDATES,
        round(APART_S * fps),
    )
    candidates = [(teaching[c], t) for c, t in ranked]
    clip, _, frame = params.neutral.rpartition(":")
    chosen = (clip, int(frame)) if clip in names else candidates[0]
    corners = apply(aligned[chosen[0]][chosen[1]], own[chosen[0]].track.landmarks[chosen[1], CORNERS])
    framed = window(corners[0], corners[1], params.framing)
    mouth = float(np.linalg.norm(corners[1] - corners[0]) * framed[0, 0])
    speaker = Speaker(*chosen, mouth, tuple(f"{c}:{t}" for c, t in candidates))
    return {c: compose(framed, a) for c, a in aligned.items()}, speaker


def check_neutral(neutral_frame: str, subjects: dict[str, Subject]) -> None:
    """Raise a TalkmeshError unless the parameter is auto or names a frame of these clips that shows a face."""
    clip, _, frame = neutral_frame.rpartition(":")
    if neutral_frame == "auto":
        return
    if clip not in subjects or not frame.isdigit() or int(frame) >= len(subjects[clip].track.found):
        raise TalkmeshError(
            f"crop.neutral must be auto or <clip>:<frame> of a clip that is kept; got '{neutral_frame}'"
        )
    if not subjects[clip].track.found[int(frame)]:
        raise TalkmeshError(f"crop.neutral is {neutral_frame}, a frame in which no face was found")


def parallel_tracks(
    videos: Sequence[Path], rates: Sequence[float], workers: int, work: Path
) -> Iterator[tuple[face.Track, tuple[int, int]]]:
    """Yield the people in each video, with its size, in order, keeping each result in `work` as soon as it is there.

    What is kept depends on the video's content and rate alone: another recording or another parameter redoes nothing,
    and a kill loses no more than the videos in progress.
    """
    face_landmarker_path()  # fetched once, before the processes start
    jobs = (delayed(face.track_cached)(v, r, work) for v, r in zip(videos, rates, strict=True))
    found = Parallel(n_jobs=workers, return_as="generator")(jobs)
    yield from tqdm(found, "landmarks", len(videos), unit="clip", mininterval=1)


def find_subjects(table: pd.DataFrame, params: Cropping, clips: Path, work: Path) -> dict[str, Subject]:
    """Track the faces of all clips, follow the speaker, and bring the sound into step."""
    names = [str(c) for c in table["clip"]]
    videos, rates = [clip_video(c, clips) for c in names], [float(fps) for fps in table["fps"]]
    people = dict(zip(names, parallel_tracks(videos, rates, params.workers, work), strict=True))
    sounds = {c: soundfile.read(clip_audio(c, clips), dtype="float32")[0] for c in people}
    tracks, said = {}, {}
    for clip, fps in zip(names, rates, strict=True):
        found, size = people[clip]
        tracks[clip] = found.of(choose(found.landmarks, size, params.follow, sounds[clip], fps))
        lips = np.where(tracks[clip].good(params.max_yaw_deg), opening(tracks[clip].landmarks), np.nan)
        said[clip] = sync.evidence(lips, sounds[clip], fps)
    steps = sync.steps(table, said, params.sync)
    return {
        clip: Subject(
            track,
            track.good(params.max_yaw_deg),
            int(people[clip][0].found.sum(0).max()),
            sync.shifted(sounds[clip], steps[clip].shift_ms),
            steps[clip],
        )
        for clip, track in tracks.items()
    }


def crop_corpus(
    table: pd.DataFrame, params: Cropping, clips: Path, work: Path, out: Path
) -> tuple[pd.DataFrame, dict[str, Speaker]]:
    """Track, align and cut all clips of the clip table; return the crop table and the speakers.

    Raises
    ------
    TalkmeshError
        If no clip shows a face in enough frames, or `crop.neutral` names no such frame.
    """
    subjects = find_subjects(table, params, clips, work)
    report = pd.DataFrame([_row(clip, subject, params) for clip, subject in subjects.items()])
    for clip, why in zip(report["clip"], report["dropped_why"], strict=True):
        if why:
            log.warning("dropped %s: %s", clip, why)
    kept = table[(report["dropped_why"] == "").to_numpy()]
    if kept.empty:
        raise TalkmeshError(
            f"no clip can be used; the first, {report['clip'][0]}: {report['dropped_why'][0]}"
        )
    check_neutral(params.neutral, {c: subjects[c] for c in kept["clip"]})
    transforms: dict[str, np.ndarray] = {}
    speakers: dict[str, Speaker] = {}
    for name, own in kept.groupby("speaker"):
        framed, speaker = crop_speaker(own, subjects, params)
        transforms |= framed
        speakers[str(name)] = speaker
        log.info("%s: the neutral face is %s:%d", name, speaker.neutral_clip, speaker.neutral_frame)
    jobs = (
        delayed(cut)(str(c), float(fps), subjects[c], transforms[c], params, clips, out)
        for c, fps in zip(kept["clip"], kept["fps"], strict=True)
    )
    done = Parallel(n_jobs=params.workers, return_as="generator")(jobs)
    for _ in tqdm(done, "crop", len(kept), unit="clip", mininterval=1):
        pass
    for column, still in (("residual_px_before", True), ("residual_px_after", False)):
        report[column] = [
            quality.skull_motion(subjects[c].track, transforms.get(c), still) for c in report["clip"]
        ]
    _tell(report, len(table))
    return report[list(CROP_COLUMNS)], speakers


def _row(clip: str, subject: Subject, params: Cropping) -> dict[str, object]:
    row = quality.measures(subject.track, subject.good, subject.audio)
    share = row["faces"] / row["frames"]
    why = ""
    if share == 0:
        why = "no face found"
    elif share < params.min_face_frames:
        why = f"a face in {share:.0%} of the frames, less than crop.min_face_frames ({params.min_face_frames:.0%})"
    elif not row["good"]:
        why = f"the face is turned beyond crop.max_yaw_deg ({params.max_yaw_deg:g}) or leaves the picture throughout"
    return row | {
        "clip": clip,
        "people": subject.people,
        "offset_ms": subject.step.offset.ms,
        "sync_confidence": subject.step.offset.confidence,
        "shift_ms": subject.step.shift_ms,
        "dropped_why": why,
    }


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
