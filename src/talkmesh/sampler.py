"""Batches for the transcoder: real frames with their windows of speech, and renders.

H x W pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from talkmesh.contracts import Renders
from talkmesh.domains import Clip, Real, lip_shape, matched, to_tensor
from talkmesh.errors import TalkmeshError
from talkmesh.framing import Framing, soft_mask
from talkmesh.models.closures import Closures, importance
from talkmesh.models.transcoder import Batch
from talkmesh.processes import processes
from talkmesh.rig import Rig

NEAREST = 20  # renders that show about the same lip shape


def _starts(good: np.ndarray, window: int) -> np.ndarray:
    """Return where windows may begin: those that lie in the clip and hold a frame to learn from."""
    known = np.concatenate([[0], np.cumsum(good)])
    starts = np.arange(max(len(good) - window, 0) + 1)
    return np.flatnonzero(known[np.minimum(starts + window, len(good))] > known[starts])


def weights(real: Real, closures: Closures | None) -> list[np.ndarray]:
    """Return how much each frame of each clip counts in eq. 3, (T,) float32; the mean over good frames is 1."""
    if closures is None:
        return [np.ones(len(clip.good), np.float32) for clip in real.clips]
    counts = [importance(clip.shapes, real.fps, closures) for clip in real.clips]
    every = np.concatenate([own[clip.good] for own, clip in zip(counts, real.clips, strict=True)])
    return [own / every.mean() for own in counts]


def _nearest(shapes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return which of the lip shapes (N, 2) are the `NEAREST` to each of those wanted (M, 2), in units of the spread
    of the latter: (M, NEAREST)."""
    spread = wanted.std(0) + 1e-6
    found: np.ndarray = cKDTree(shapes / spread).query(wanted / spread, min(NEAREST, len(shapes)))[1]
    return found.reshape(len(wanted), -1)


class Sampler:
    """Draws batches: real frames of a few windows of speech, and as many renders.

    Parameters
    ----------
    real, renders, rig : the domains; the rig gives the lip shapes of the renders
    windows : windows of speech a batch; window : their length in frames; frames : real images of each window;
    decoded : those of them that are decoded, a divisor of `frames`; synthetic : renders a batch
    closures : sounds that close the lips count more (see `models.closures`)
    alike : share of the renders that are drawn as often as the speakers make their lip shapes, the rest evenly
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
        alike: float,
        closures: Closures | None = None,
    ) -> None:
        if frames % decoded:
            raise ValueError(f"transcoder.batch: decoded ({decoded}) must divide frames ({frames})")
        self.real, self.renders = real, renders
        self.windows, self.window, self.synthetic = windows, window, synthetic
        self.frames, self.decoded, self.alike = frames, decoded, alike
        deltas = rig.deltas[:, rig.landmarks, :2]
        points = rig.neutral[rig.landmarks, :2] + np.einsum("nk,kld->nld", renders.poses, deltas)
        self.shapes = lip_shape(points, rig.neutral[rig.landmarks, :2])
        known = np.concatenate([c.shapes[c.good & np.isfinite(c.shapes).all(1)] for c in real.clips])
        self.near = _nearest(self.shapes, known) if len(known) else np.arange(len(self.shapes))[:, None]
        self.starts = [_starts(clip.good, window) for clip in real.clips]
        lengths = [len(c.images) if len(s) else 0 for c, s in zip(real.clips, self.starts, strict=True)]
        who = np.array([clip.speaker for clip in real.clips])
        totals = np.bincount(who, lengths, len(real.neutral))
        if not totals.all():
            of = f" of {real.speakers[int(totals.argmin())]}" if real.speakers else ""
            raise TalkmeshError(
                f"no frame{of} is left to learn from: look at the column good of data/crops/crops.csv"
            )
        self.chances = lengths / totals[who] / len(totals)  # every speaker is drawn as often as the others
        self.mask = soft_mask(framing)
        self.weights = weights(real, closures)

    def draw(self, rng: np.random.Generator, device: torch.device) -> Batch:
        """Draw one batch, this process' share of it, ordered by speaker. Clips of a speaker are drawn by length,
        frames among the good ones, renders as `alike` says."""
        team, clips = processes(), self.real.clips
        places = [self._place(index, rng) for index in self._clips(rng)]
        images, owns, wanted, shapes, weight, window, frame, speech = [], [], [], [], [], [], [], []
        shown = np.zeros(len(self.real.neutral), int)
        for w, (index, start, picked) in enumerate(
            sorted(team.share(places), key=lambda p: clips[p[0]].speaker)
        ):
            clip = clips[index]
            shown[clip.speaker] += self.frames
            images.append(clip.images[start + picked])
            owns += [clip.colours] * self.frames
            wanted += [self.real.colours[clip.speaker]] * self.frames
            shapes.append(clip.shapes[start + picked])
            weight.append(self.weights[index][start + picked])
            window += [w] * self.frames
            frame += picked.tolist()
            if clip.speech is not None:
                speech.append(self._speech(clip, start))
        drawn = np.sort(team.share(self._renders(rng)))
        own, aim = (torch.from_numpy(np.stack(part)) for part in (owns, wanted))
        real = matched(to_tensor(np.concatenate(images)), own, aim, self.mask)
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
            tuple(shown.tolist()),
            torch.from_numpy(np.concatenate(weight))[:, None].to(device),
        )

    def _renders(self, rng: np.random.Generator) -> np.ndarray:
        """Draw renders: a lip shape of a speaker and one of the renders nearest to it, or just any."""
        count = self.synthetic
        alike = self.near[rng.integers(0, len(self.near), count), rng.integers(0, self.near.shape[1], count)]
        evenly = rng.integers(0, len(self.renders.images), count)
        return np.where(rng.random(count) < self.alike, alike, evenly)

    def heard(self, rng: np.random.Generator) -> tuple[Tensor, list[tuple[int, int]]]:
        """Draw windows of speech alone: what E_A is fed, (W, T, F) or (W, S), and of each its clip and its start."""
        places = [(index, int(rng.choice(self.starts[index]))) for index in self._clips(rng)]
        places = processes().share(places)
        fed = [self._speech(self.real.clips[index], start) for index, start in places]
        return torch.from_numpy(np.stack(fed)), places

    def _clips(self, rng: np.random.Generator) -> list[int]:
        """Draw the clips of the windows: those of a speaker by length."""
        drawn: list[int] = rng.choice(len(self.real.clips), self.windows, p=self.chances).tolist()
        return drawn

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
