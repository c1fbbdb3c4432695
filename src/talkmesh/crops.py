"""From clips to crops: align a speaker's clips, find the neutral frame, cut the mouth-centred window, in parallel."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import soundfile
from joblib import Parallel, delayed
from tqdm import tqdm

from talkmesh import face, media, neutral
from talkmesh.alignment import apply, compose, fit_similarity, mean_shape, residual, smooth
from talkmesh.contracts import (
    CROP_COLUMNS,
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
from talkmesh.framing import Framing, apply_mask, window
from talkmesh.landmarks import CORNERS, EYE_CORNERS, NOSE_BRIDGE, STABLE
from talkmesh.silence import frame_levels

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cropping:
    """Section `crop`. size, mouth_widths, mouth_y, mask : see `framing.Framing`; stabilised : one fixed window a clip,
    for head-mounted cameras; smooth_frames : Gaussian sigma of the alignment over time; min_face_frames : share of
    frames that must show a face; neutral : "auto" or <clip>:<frame>; workers : processes."""

    size: int
    mouth_widths: float
    mouth_y: float
    mask: bool
    stabilised: bool
    smooth_frames: float
    min_face_frames: float
    neutral: str
    workers: int

    @property
    def framing(self) -> Framing:
        """The window that speaker and character share."""
        return Framing(self.size, self.mouth_widths, self.mouth_y, self.mask)


def align(landmarks: np.ndarray, shape: np.ndarray, params: Cropping) -> np.ndarray:
    """Return the transforms (T, 2, 3) from a clip's source pixels to the plane of the speaker's mean shape.

    Parameters
    ----------
    landmarks : (T, 478, 2), NaN where there is no face; at least one frame must have one
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
    clip: str, fps: float, found: face.Track, transforms: np.ndarray, framing: Framing, clips: Path, out: Path
) -> None:
    """Cut and write the crops of one clip; `transforms` (T, 2, 3) map source pixels to crop pixels."""
    images = np.stack(
        [
            warp(image, transform, framing.size)
            for image, transform in zip(
                media.read_video(clip_video(clip, clips), fps), transforms, strict=True
            )
        ]
    )
    landmarks = apply(transforms, found.landmarks).astype(np.float32)
    write_crops(
        clip, Crops(apply_mask(images, framing), landmarks, transforms.astype(np.float32), found.good), out
    )


def crop_speaker(
    table: pd.DataFrame, tracks: dict[str, face.Track], params: Cropping, clips: Path
) -> tuple[dict[str, np.ndarray], Speaker]:
    """Align the clips of one speaker and frame them by the neutral frame.

    Parameters
    ----------
    table : the speaker's clips (columns clip, split, fps), each with a face in enough frames
    tracks : by clip
    clips : folder of the clips, for their sound: a resting face is a silent one

    Returns
    -------
    transforms : by clip, (T, 2, 3) from source pixels to crop pixels
    speaker : neutral frame and mouth width

    The mean shape and the neutral frame come from training clips, where there are any.
    """
    names = [str(c) for c in table["clip"]]
    teaching = [str(c) for c in table.loc[table["split"] == "train", "clip"]] or names
    shape = mean_shape_of(np.concatenate([tracks[c].landmarks[tracks[c].good][:, STABLE] for c in teaching]))
    aligned = {c: align(tracks[c].landmarks, shape, params) for c in names}
    clip, _, frame = params.neutral.rpartition(":")
    number = int(frame) if clip in names else -1
    if number < 0:
        fps = float(table["fps"].iloc[0])
        place, number = neutral.pick(
            [apply(aligned[c], tracks[c].landmarks) for c in teaching],
            [tracks[c].sharpness for c in teaching],
            [frame_levels(_sound(c, clips), len(tracks[c].good), fps) for c in teaching],
            shape,
        )
        clip = teaching[place]
    corners = apply(aligned[clip][number], tracks[clip].landmarks[number, CORNERS])
    framed = window(corners[0], corners[1], params.framing)
    mouth = float(np.linalg.norm(corners[1] - corners[0]) * framed[0, 0])
    return {c: compose(framed, a) for c, a in aligned.items()}, Speaker(clip, number, mouth)


def _sound(clip: str, clips: Path) -> np.ndarray:
    return soundfile.read(clip_audio(clip, clips), dtype="float32")[0]


def check_neutral(neutral_frame: str, tracks: dict[str, face.Track]) -> None:
    """Raise a TalkmeshError unless the parameter is auto or names a frame of these clips that shows a face."""
    clip, _, frame = neutral_frame.rpartition(":")
    if neutral_frame == "auto":
        return
    if clip not in tracks or not frame.isdigit() or int(frame) >= len(tracks[clip].good):
        raise TalkmeshError(
            f"crop.neutral must be auto or <clip>:<frame> of a clip that is kept; got '{neutral_frame}'"
        )
    if not tracks[clip].good[int(frame)]:
        raise TalkmeshError(f"crop.neutral is {neutral_frame}, a frame in which no face was found")


def track_corpus(table: pd.DataFrame, workers: int, clips: Path, work: Path) -> dict[str, face.Track]:
    """Track the face in every clip of the table, in parallel, keeping each result in `work` as soon as it is there."""
    face_landmarker_path()  # fetched once, before the processes start
    names = [str(c) for c in table["clip"]]
    jobs = (
        delayed(face.track_cached)(clip_video(c, clips), float(fps), work)
        for c, fps in zip(names, table["fps"], strict=True)
    )
    found = Parallel(n_jobs=workers, return_as="generator")(jobs)
    return dict(zip(names, tqdm(found, "landmarks", len(names), unit="clip", mininterval=1), strict=True))


def crop_corpus(
    table: pd.DataFrame, params: Cropping, clips: Path, work: Path, out: Path
) -> tuple[pd.DataFrame, dict[str, Speaker]]:
    """Track, align and cut all clips of the clip table; return the crop table and the speakers.

    Raises
    ------
    TalkmeshError
        If no clip shows a face in enough frames, or `crop.neutral` names no such frame.
    """
    tracks = track_corpus(table, params.workers, clips, work)
    report = pd.DataFrame([_row(clip, track, params) for clip, track in tracks.items()])
    for clip, why in zip(report["clip"], report["dropped_why"], strict=True):
        if why:
            log.warning("dropped %s: %s", clip, why)
    kept = table[(report["dropped_why"] == "").to_numpy()]
    if kept.empty:
        raise TalkmeshError(
            f"no clip can be used; the first, {report['clip'][0]}: {report['dropped_why'][0]}"
        )
    check_neutral(params.neutral, {c: tracks[c] for c in kept["clip"]})
    transforms: dict[str, np.ndarray] = {}
    speakers: dict[str, Speaker] = {}
    for name, own in kept.groupby("speaker"):
        framed, speakers[str(name)] = crop_speaker(own, tracks, params, clips)
        transforms |= framed
        log.info(
            "%s: the neutral face is %s:%d",
            name,
            speakers[str(name)].neutral_clip,
            speakers[str(name)].neutral_frame,
        )
    jobs = (
        delayed(cut)(str(c), float(fps), tracks[c], transforms[c], params.framing, clips, out)
        for c, fps in zip(kept["clip"], kept["fps"], strict=True)
    )
    done = Parallel(n_jobs=params.workers, return_as="generator")(jobs)
    for _ in tqdm(done, "crop", len(kept), unit="clip", mininterval=1):
        pass
    for column, still in (("residual_px_before", True), ("residual_px_after", False)):
        report[column] = [_motion(tracks[c], transforms.get(c), still) for c in report["clip"]]
    faces, frames = int(report["faces"].sum()), int(report["frames"].sum())
    log.info(
        "%d of %d clips kept; a face in %.2f %% of %d frames",
        len(kept),
        len(table),
        100 * faces / frames,
        frames,
    )
    log.info(
        "the skull moves %.2f crop pixels before alignment and %.2f after it (medians over clips)",
        report["residual_px_before"].median(),
        report["residual_px_after"].median(),
    )
    return report[list(CROP_COLUMNS)], speakers


def _row(clip: str, found: face.Track, params: Cropping) -> dict[str, object]:
    share = float(found.good.mean())
    why = ""
    if share == 0:
        why = "no face found"
    elif share < params.min_face_frames:
        why = f"a face in {share:.0%} of the frames, less than crop.min_face_frames ({params.min_face_frames:.0%})"
    sharpness = float(np.median(found.sharpness[found.good])) if share else float("nan")
    frames, faces = len(found.good), int(found.good.sum())
    return {"clip": clip, "frames": frames, "faces": faces, "sharpness": sharpness, "dropped_why": why}


def _motion(found: face.Track, transforms: np.ndarray | None, still: bool) -> float:
    """Return the residual motion of eye corners and nose bridge in crop pixels; `still`: under the first window."""
    if transforms is None:
        return float("nan")
    points = found.landmarks[:, (*EYE_CORNERS, *NOSE_BRIDGE)]
    first = int(np.argmax(found.good))
    return residual(apply(transforms[first] if still else transforms, points)[found.good])


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
