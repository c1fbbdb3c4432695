"""The image domains as the transcoder is fed with them: memory-mapped images, colours, speech, lip shapes.

T frames, N renders, H x W pixels, S speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from talkmesh.contracts import (
    CROPS,
    Crops,
    Renders,
    Speaker,
    clip_audio,
    neutral_crop,
    read_crops,
    read_speakers,
)
from talkmesh.errors import TalkmeshError
from talkmesh.framing import Framing, soft_mask
from talkmesh.landmarks import CORNERS_OF_LIPS, LIPS, LOWER_OF_LIPS, UPPER_OF_LIPS
from talkmesh.media import read_audio
from talkmesh.models.images import colour_statistics, match_colours
from talkmesh.models.speech import SpeechConfig, features
from talkmesh.models.transcoder import Transcoder

NEUTRALS = 16  # frames of other clips in the neutral image, one a clip
ALIKE = 0.02  # neutral mouth widths; lips that are no further off, on average, are neutral too


def lip_shape(points: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Return the two numbers of the landmark anchor, relative to the neutral face.

    Parameters
    ----------
    points : (T, 40, 2) lip points in the order of `landmarks.LIPS`; neutral : (40, 2)

    Returns
    -------
    (T, 2) float32: change of the inner lip gap and of the mouth width, in neutral mouth widths
    """

    def measure(p: np.ndarray) -> np.ndarray:
        gap = np.linalg.norm(p[..., LOWER_OF_LIPS, :] - p[..., UPPER_OF_LIPS, :], axis=-1).mean(-1)
        width = np.linalg.norm(p[..., CORNERS_OF_LIPS[1], :] - p[..., CORNERS_OF_LIPS[0], :], axis=-1)
        return np.stack([gap, width], -1)

    rest = measure(neutral)
    return ((measure(points) - rest) / rest[1]).astype(np.float32)


@dataclass(frozen=True)
class Clip:
    """One clip of a real domain. images (T, H, W, 3) uint8, memory-mapped; colours (2, 3); shapes (T, 2), NaN
    where unknown; good (T,) frames to learn from; speech features (T, F) or samples, or None; speaker : the number of
    who is filmed."""

    name: str
    images: np.ndarray
    colours: np.ndarray
    shapes: np.ndarray
    good: np.ndarray
    speech: np.ndarray | None
    speaker: int = 0


@dataclass(frozen=True)
class Real:
    """The filmed speakers: their clips; neutral : their neutral images (S, 3, H, W) in [0, 1]; colours : the colour
    statistics (S, 2, 3) that all clips of each are matched to; speakers : their names, empty for the only one."""

    clips: list[Clip]
    neutral: Tensor
    colours: np.ndarray
    fps: float
    speakers: tuple[str, ...] = ()

    def of(self, speaker: int) -> Real:
        """Return the same with the clips of one speaker only."""
        return replace(self, clips=[clip for clip in self.clips if clip.speaker == speaker])


def read_real(
    table: pd.DataFrame,
    framing: Framing,
    speech: SpeechConfig | None,
    crops: Path = CROPS,
    speakers: Sequence[str] = (),
) -> Real:
    """Open the clips of `table`; if `speakers` are named, theirs, in this order, else those of the only one.

    Colour statistics are taken over the mask, clip by clip.

    Raises
    ------
    TalkmeshError
        If no clip is left, none is named and there are several, or one is named of whom there are no crops.
    """
    shown, known = sorted(set(table["speaker"])), read_speakers(crops)
    if len(shown) > 1 and not speakers:
        raise TalkmeshError(
            f"one speaker a model; the clips show {', '.join(shown)}: keep one folder in data/raw, or list those who "
            "are to be learned from in transcoder.speakers"
        )
    names = tuple(speakers) or tuple(shown)
    if wrong := [name for name in names if name not in known or names.count(name) > 1]:
        raise TalkmeshError(
            f"transcoder.speakers: '{wrong[0]}' is named twice or has no crops; {crops} holds {', '.join(known)}"
        )
    table = table[table["speaker"].isin(names)]
    if table.empty:
        raise TalkmeshError(
            "no clip is left to learn from: look at data/clips/clips.csv and data/crops/crops.csv"
        )
    clips: list[Clip] = []
    neutrals, colours, fps = [], [], float(table["fps"].to_numpy(float)[0])
    for number, name in enumerate(names):
        own = table["clip"][table["speaker"] == name].astype(str)
        opened, neutral, wanted = _read_speaker(number, known[name], list(own), framing, fps, speech, crops)
        clips += opened
        neutrals.append(neutral)
        colours.append(wanted)
    return Real(clips, torch.stack(neutrals), np.stack(colours), fps, tuple(speakers))


def _read_speaker(
    number: int,
    speaker: Speaker,
    names: list[str],
    framing: Framing,
    fps: float,
    speech: SpeechConfig | None,
    crops: Path,
) -> tuple[list[Clip], Tensor, np.ndarray]:
    """Return the clips of one speaker, the neutral image (3, H, W) and the colour statistics (2, 3).

    The neutral image is the mean of the neutral frame and the frames of other clips whose lips are where its lips are:
    of one frame alone, noise and light would go into every offset code (eq. 1) as if they were expression.
    """
    neutral, points = neutral_crop(speaker, crops)
    mask, lips = soft_mask(framing), list(LIPS)
    opened, nearest = [], []
    for name in names:
        crop = read_crops(name, crops)
        fed = None
        if speech is not None:
            fed = features(read_audio(clip_audio(name, crops)), len(crop.images), fps, speech)
        shapes = lip_shape(crop.landmarks[:, lips], points[lips])
        opened.append(Clip(name, crop.images, clip_colours(crop, mask), shapes, crop.good, fed, number))
        nearest.append((*_nearest_to_neutral(crop, points[lips], lips), opened[-1]))
    # the neutral frame is matched as the clip it was taken from, not by its own few colours
    first = speaker.neutral_clip
    images, owns = [neutral], [clip_colours(read_crops(first, crops), mask)]
    colours = np.median([c.colours for c in opened] or owns, axis=0).astype(np.float32)
    for distance, frame, clip in sorted(nearest, key=lambda found: found[0])[:NEUTRALS]:
        if distance < ALIKE and clip.name != first:
            images.append(clip.images[frame])
            owns.append(clip.colours)
    wanted = torch.from_numpy(colours)
    mean = matched(to_tensor(np.stack(images)), torch.from_numpy(np.stack(owns)), wanted, mask).mean(0)
    return opened, mean, colours


def _nearest_to_neutral(crop: Crops, neutral: np.ndarray, lips: list[int]) -> tuple[float, int]:
    """Return how far the lips (40, 2) of the good frame nearest to the neutral ones are from them, in neutral mouth
    widths, and which frame that is."""
    width = np.linalg.norm(neutral[CORNERS_OF_LIPS[1]] - neutral[CORNERS_OF_LIPS[0]])
    distances = np.linalg.norm(crop.landmarks[:, lips] - neutral, axis=-1).mean(1) / width
    distances = np.where(crop.good & np.isfinite(distances), distances, np.inf)
    return float(distances.min()), int(distances.argmin())


def seen_offsets(model: Transcoder, clip: Clip, index: np.ndarray) -> Tensor:
    """Return the offset codes (N, C) of these frames of a clip, from their pictures."""
    device = model.neutral.device
    own = torch.from_numpy(clip.colours)[None].to(device)
    return model.offsets_of_images(to_tensor(clip.images[index]).to(device), own, clip.speaker)


def heard_offsets(model: Transcoder, clip: Clip, index: np.ndarray) -> Tensor | None:
    """Return the offset codes (N, C) of these frames of a clip, from its speech; None where it or E_A is missing."""
    if model.speech is None or clip.speech is None:
        return None
    fed = torch.from_numpy(clip.speech)[None].to(model.neutral.device)
    return model.offsets_of_speech(fed, len(clip.images))[0, index]


def clip_colours(crop: Crops, mask: np.ndarray) -> np.ndarray:
    """Return the colour statistics (2, 3) of a clip, of every fifth frame to learn from (any, if there is none)."""
    chosen = np.flatnonzero(crop.good)[::5]
    return colour_statistics(crop.images[chosen] if len(chosen) else np.asarray(crop.images[::5]), mask)


def to_tensor(images: np.ndarray) -> Tensor:
    """Return images (..., H, W, 3) uint8 as float (..., 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(images), -1, -3))).float() / 255


def to_images(tensor: Tensor) -> np.ndarray:
    """Return a tensor (..., 3, H, W) in [0, 1] as images (..., H, W, 3) uint8."""
    array = (tensor.detach().float().clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
    return np.moveaxis(array, -3, -1)


def neutral_images(real: Real, renders: Renders, framing: Framing) -> tuple[Tensor, Tensor]:
    """Return the neutral images (S + 1, 3, H, W) and colour statistics (S + 1, 2, 3) of the speakers and of the
    character, in the order of `Transcoder`'s domains."""
    mask = soft_mask(framing)
    synthetic = colour_statistics(np.asarray(renders.images[:: max(len(renders.images) // 200, 1)]), mask)
    colours = torch.from_numpy(np.concatenate([real.colours, synthetic[None]]))
    return torch.cat([real.neutral, to_tensor(renders.neutral)[None]]), colours


def matched(images: Tensor, own: Tensor, wanted: Tensor, mask: np.ndarray) -> Tensor:
    """Match colours (see `images.match_colours`) under the mask (H, W, 1); the grey around it stays."""
    moved = match_colours(images, own, wanted).clamp(0, 1)
    return torch.lerp(images, moved, torch.from_numpy(np.moveaxis(mask, -1, 0)))
