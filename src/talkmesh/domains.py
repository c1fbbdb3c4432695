"""The two image domains as the transcoder is fed with them: memory-mapped images, colours, speech, lip shapes.

T frames, N renders, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from talkmesh.contracts import CROPS, Crops, Renders, clip_audio, neutral_crop, read_crops, read_speakers
from talkmesh.errors import TalkmeshError
from talkmesh.framing import Framing, soft_mask
from talkmesh.landmarks import CORNERS, INNER_LOWER, INNER_UPPER, LIPS
from talkmesh.media import read_audio
from talkmesh.models.images import colour_statistics, match_colours
from talkmesh.models.speech import SpeechConfig, features
from talkmesh.models.transcoder import Batch, Transcoder
from talkmesh.processes import processes
from talkmesh.rig import Rig

_CORNERS = [LIPS.index(i) for i in CORNERS]
_UPPER = [LIPS.index(i) for i in INNER_UPPER]
_LOWER = [LIPS.index(i) for i in INNER_LOWER]


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
        gap = np.linalg.norm(p[..., _LOWER, :] - p[..., _UPPER, :], axis=-1).mean(-1)
        width = np.linalg.norm(p[..., _CORNERS[1], :] - p[..., _CORNERS[0], :], axis=-1)
        return np.stack([gap, width], -1)

    rest = measure(neutral)
    return ((measure(points) - rest) / rest[1]).astype(np.float32)


@dataclass(frozen=True)
class Clip:
    """One clip of the real domain. images (T, H, W, 3) uint8, memory-mapped; colours (2, 3); shapes (T, 2), NaN
    where unknown; good (T,) frames to learn from; speech features (T, F) or samples (S,), or None."""

    name: str
    images: np.ndarray
    colours: np.ndarray
    shapes: np.ndarray
    good: np.ndarray
    speech: np.ndarray | None


@dataclass(frozen=True)
class Real:
    """The filmed speaker: clips, the neutral image (H, W, 3) uint8 and the colour statistics all are matched to."""

    clips: list[Clip]
    neutral: np.ndarray
    neutral_colours: np.ndarray
    colours: np.ndarray
    fps: float


def read_real(
    table: pd.DataFrame,
    framing: Framing,
    speech: SpeechConfig | None,
    crops: Path = CROPS,
) -> Real:
    """Open the clips of `table`. Colour statistics are taken over the mask, clip by clip."""
    if table.empty:
        raise TalkmeshError(
            "no clip is left to learn from: look at data/clips/clips.csv and data/crops/crops.csv"
        )
    speakers = read_speakers(crops)
    names = sorted(set(table["speaker"]))
    if len(names) > 1:
        raise TalkmeshError(
            f"one speaker a model; the clips show {', '.join(names)}: keep one folder in data/raw"
        )
    neutral, points = neutral_crop(speakers[names[0]], crops)
    mask, lips = soft_mask(framing), list(LIPS)
    opened = []
    fps = float(table["fps"].to_numpy(float)[0])
    for name in table["clip"].astype(str):
        crop = read_crops(name, crops)
        fed = None
        if speech is not None:
            fed = features(read_audio(clip_audio(name, crops)), len(crop.images), fps, speech)
        opened.append(
            Clip(
                name,
                crop.images,
                clip_colours(crop, mask),
                lip_shape(crop.landmarks[:, lips], points[lips]),
                crop.good,
                fed,
            )
        )
    colours = np.median([c.colours for c in opened], axis=0).astype(np.float32)
    # the neutral frame is matched as the clip it was taken from, not by its own few colours
    taken_from = speakers[names[0]].neutral_clip
    own = next((c.colours for c in opened if c.name == taken_from), None)
    if own is None:
        own = clip_colours(read_crops(taken_from, crops), mask)
    return Real(opened, neutral, own, colours, fps)


def seen_offsets(model: Transcoder, clip: Clip, index: np.ndarray) -> Tensor:
    """Return the offset codes (N, C) of these frames of a clip, from their pictures."""
    device = model.neutral.device
    own = torch.from_numpy(clip.colours)[None].to(device)
    return model.offsets_of_images(to_tensor(clip.images[index]).to(device), own)


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
    """Return the neutral images (2, 3, H, W) and colour statistics (2, 2, 3) of the real and synthetic domains."""
    mask = soft_mask(framing)
    synthetic = colour_statistics(np.asarray(renders.images[:: max(len(renders.images) // 200, 1)]), mask)
    colours = torch.from_numpy(np.stack([real.colours, synthetic]))
    own = torch.from_numpy(real.neutral_colours)[None]
    first = matched(to_tensor(real.neutral)[None], own, colours[0], mask)
    return torch.cat([first, to_tensor(renders.neutral)[None]]), colours


def matched(images: Tensor, own: Tensor, wanted: Tensor, mask: np.ndarray) -> Tensor:
    """Match colours (see `images.match_colours`) under the mask (H, W, 1); the grey around it stays."""
    moved = match_colours(images, own, wanted).clamp(0, 1)
    return torch.lerp(images, moved, torch.from_numpy(np.moveaxis(mask, -1, 0)))


def _starts(good: np.ndarray, window: int) -> np.ndarray:
    """Return where windows may begin: those that lie in the clip and hold a frame to learn from."""
    known = np.concatenate([[0], np.cumsum(good)])
    starts = np.arange(max(len(good) - window, 0) + 1)
    return np.flatnonzero(known[np.minimum(starts + window, len(good))] > known[starts])


class Sampler:
    """Draws batches: real frames of a few windows of speech, and as many renders.

    Parameters
    ----------
    real, renders, rig : the domains; the rig gives the lip shapes of the renders
    windows : windows of speech a batch; window : their length in frames; frames : real images of each window;
    decoded : those of them that are decoded, a divisor of `frames`; synthetic : renders a batch
    """

    def __init__(
        self,
        real: Real,
        renders: Renders,
        rig: Rig,
        framing: Framing,
        windows: int,
        window: int,
        frames: int,
        decoded: int,
        synthetic: int,
    ) -> None:
        if frames % decoded:
            raise ValueError(f"transcoder.batch: decoded ({decoded}) must divide frames ({frames})")
        self.real, self.renders = real, renders
        self.windows, self.window, self.synthetic = windows, window, synthetic
        self.frames, self.decoded = frames, decoded
        deltas = rig.deltas[:, rig.landmarks, :2]
        points = rig.neutral[rig.landmarks, :2] + np.einsum("nk,kld->nld", renders.poses, deltas)
        self.shapes = lip_shape(points, rig.neutral[rig.landmarks, :2])
        self.starts = [_starts(clip.good, window) for clip in real.clips]
        self.weights = np.array(
            [len(c.images) if len(s) else 0 for c, s in zip(real.clips, self.starts, strict=True)]
        )
        if not self.weights.any():
            raise TalkmeshError(
                "no frame is left to learn from: look at the column good of data/crops/crops.csv"
            )
        self.mask = soft_mask(framing)

    def draw(self, rng: np.random.Generator, device: torch.device) -> Batch:
        """Draw one batch, this process' share of it. Clips are drawn by length, frames among the good ones, renders
        evenly."""
        team = processes()
        chosen = rng.choice(len(self.weights), self.windows, p=self.weights / self.weights.sum())
        places = [self._place(int(index), rng) for index in chosen]
        images, colours, shapes, window, frame, speech = [], [], [], [], [], []
        for w, (index, start, picked) in enumerate(team.share(places)):
            clip = self.real.clips[index]
            images.append(clip.images[start + picked])
            colours.append(np.repeat(clip.colours[None], self.frames, 0))
            shapes.append(clip.shapes[start + picked])
            window += [w] * self.frames
            frame += picked.tolist()
            if clip.speech is not None:
                speech.append(self._speech(clip, start))
        drawn = np.sort(team.share(rng.integers(0, len(self.renders.images), self.synthetic)))
        own, wanted = torch.from_numpy(np.concatenate(colours)), torch.from_numpy(self.real.colours)
        real = matched(to_tensor(np.concatenate(images)), own, wanted, self.mask)
        return Batch(
            real.to(device),
            torch.from_numpy(np.concatenate(shapes)).to(device),
            torch.arange(0, len(real), self.frames // self.decoded, device=device),
            to_tensor(self.renders.images[drawn]).to(device),
            torch.from_numpy(self.shapes[drawn]).to(device),
            torch.tensor(window, device=device),
            torch.tensor(frame, device=device),
            self.window,
            torch.from_numpy(np.stack(speech)).to(device) if speech else None,
        )

    def _place(self, index: int, rng: np.random.Generator) -> tuple[int, int, np.ndarray]:
        """Draw a window of a clip: the clip, where the window begins, and its frames (`frames`,), among the good."""
        start = int(rng.choice(self.starts[index]))
        inside = np.flatnonzero(self.real.clips[index].good[start : start + self.window])
        return index, start, rng.choice(inside, self.frames, replace=len(inside) < self.frames)

    def _speech(self, clip: Clip, start: int) -> np.ndarray:
        """Cut a window of speech; past the end of the clip it is padded with its last value or with silence."""
        assert clip.speech is not None
        if clip.speech.ndim == 1:  # samples
            per_frame = 16_000 / self.real.fps
            begin, size = round(start * per_frame), round(self.window * per_frame)
            cut = clip.speech[begin : begin + size]
            return np.pad(cut, (0, size - len(cut)))
        cut = clip.speech[start : start + self.window]
        return np.pad(cut, ((0, self.window - len(cut)), (0, 0)), mode="edge")
