"""Speech that arrives in pieces, to offset codes in order: E_A window by window, the same codes as in one pass.

A code depends on `reach` frames to either side, so windows with that margin compute the same function.
T frames, C code.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkmesh.errors import TalkmeshError
from talkmesh.models.hearing import RATE
from talkmesh.models.transcoder import Transcoder

WINDOW = 192  # frames coded at a time, margins aside: attention costs the square of a window


class Coder:
    """Codes of frames, in order, from samples at 16 kHz.

    Parameters
    ----------
    smooth : standard deviation, in frames, of a Gaussian over the codes; 0 leaves them as they are
    limit : frames after which codes end, whatever the sound; None for as many as the sound is long
    """

    def __init__(self, model: Transcoder, smooth: float = 0.0, limit: int | None = None) -> None:
        if model.speech is None:
            raise TalkmeshError(
                "this model was trained without speech (image_only): take the bundle of another variant"
            )
        self.encoder = model.speech
        self.fps, self.limit = self.encoder.front_end.fps, limit
        self.width = math.ceil(3 * smooth)
        self.kernel = torch.exp(-0.5 * (torch.arange(-self.width, self.width + 1) / max(smooth, 1e-9)) ** 2)
        self.reach = self.encoder.reach + self.width
        self.frames = 0  # codes given out
        self._listener = self.encoder.front_end.listener()
        self._heard, self._first = (
            np.zeros((0, 0), np.float32),
            0,
        )  # features still needed, number of the first

    @property
    def seconds(self) -> float:
        """Length of the sound so far."""
        return self._listener.samples / RATE

    @property
    def ahead_s(self) -> float:
        """Seconds of sound after the beginning of a frame within which its code is settled, at worst."""
        return self._listener.ahead_s + (self.reach + 1) / self.fps

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples (S,), return the codes (T, C) that are now settled."""
        return self.take(self._listener.push(samples))

    def finish(self) -> np.ndarray:
        """Return the codes of all that is left; the sound ends here."""
        frames = max(round(self.seconds * self.fps), 1) if self.limit is None else self.limit
        return self.close(self._listener.finish(max(frames, self._listener.frames)), frames)

    @torch.inference_mode()
    def take(self, features: np.ndarray) -> np.ndarray:
        """Take the features (T', F) of the next frames, return the codes (T, C) that are now settled."""
        self._hear(features)
        return self._code(self._first + len(self._heard) - self.reach)

    @torch.inference_mode()
    def close(self, features: np.ndarray, frames: int) -> np.ndarray:
        """Take the last features, return the codes of all that is left of `frames` frames."""
        self._hear(features)
        self._heard = self._heard[: max(frames - self._first, 0)]
        return self._code(frames)

    @torch.inference_mode()
    def hasten(self, frames: int) -> np.ndarray:
        """Return the codes up to frame `frames` as if the sound ended now: not settled yet, but sooner there."""
        heard = self._first + len(self._heard)
        wanted = max(math.ceil(self.seconds * self.fps), frames)
        ahead = self._listener.ahead(wanted) if wanted > heard else self._heard[:0]
        kept = self._heard, self._first
        self._heard = np.concatenate([part for part in (self._heard, ahead) if len(part)] or [self._heard])
        codes = self._code(frames)
        # features that are settled later take the place of the hastened ones
        begin = max(self._first - kept[1], 0)
        self._heard, self._first = kept[0][begin:], kept[1] + min(begin, len(kept[0]))
        return codes

    def _hear(self, features: np.ndarray) -> None:
        if len(features):
            self._heard = np.concatenate([self._heard, features]) if len(self._heard) else features
        if self.limit is not None:
            self._heard = self._heard[: max(self.limit - self._first, 0)]

    def _code(self, upto: int) -> np.ndarray:
        """Code the frames up to `upto`, and forget the features that no later frame needs."""
        parts = []
        while self.frames < upto and len(self._heard):
            end = min(upto, self.frames + WINDOW)
            low, high = max(self.frames - self.reach, self._first), end + self.reach
            window = self._heard[low - self._first : high - self._first]
            codes = self._smoothed(self.encoder.encode(torch.from_numpy(window)[None])[0])
            parts.append(codes[self.frames - low : end - low].numpy())
            self.frames = end
        keep = max(self.frames - self.reach - self._first, 0)
        self._heard, self._first = self._heard[keep:], self._first + min(keep, len(self._heard))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.encoder.mean)), np.float32)

    def _smoothed(self, codes: Tensor) -> Tensor:
        """Weight codes (T, C) over time; at the ends of the sound the weights of what is there add up to 1."""
        if not self.width:
            return codes
        padded = functional.pad(codes.T[:, None], (self.width, self.width))  # (C, 1, T')
        there = functional.pad(codes.new_ones(1, 1, len(codes)), (self.width, self.width))
        kernel = self.kernel.to(codes.dtype)[None, None]
        return (functional.conv1d(padded, kernel) / functional.conv1d(there, kernel))[:, 0].T
