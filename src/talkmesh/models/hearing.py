"""What E_A is fed: features of sound at the times of the video frames, in order, the same whatever the pieces.

Three steps, each of which sees a bounded stretch of sound, so that an hour needs no more memory than a sentence:

1. `Leveller` brings speech to one loudness by a gain that changes slowly.
2. A `Reader` runs its function (a spectrogram, a network with attention over all it is given) on blocks of a fixed
   grid, with margins, and keeps the rows of the block. The grid is part of the definition: training, one pass, windows
   and streams all use it.
3. Rows are interpolated at the times of the frames, which are computed from the frame's number: no drift.

S samples at 16 kHz, N rows of features, T frames, F features.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

RATE = 16_000  # Hz
HAMA_HOP = 320  # samples between two phoneme posteriors: 20 ms, centred on multiples of the hop
MEL_HOP = 160  # samples between two mel frames: 10 ms, centred
MELS = 80
PHONEMES = 191  # hama's classes
LOG_FLOOR = -12.0  # natural logarithm; posteriors below are noise

LEVEL_HOP = 160  # samples between two measurements of loudness: 10 ms
LEVEL_SMOOTH = 20  # of them are averaged, in dB: a syllable counts, a click hardly does
LEVEL_AHEAD = 50  # the gain knows what comes within half a second: a sentence does not begin too loud
LEVEL_FALL = 0.01  # dB a hop, 1 dB a second
LEVEL_HOLD = 30.0  # dB; what is so far below the level is a pause, which does not raise the room's noise
LEVEL_FLOOR = -50.0  # dB of full scale; what is never louder may be noise, and is raised less
LEVEL_SLOPE = 3.0  # dB of gain less for each dB below the floor
LEVEL_TARGET = -20.0  # dB of full scale, of the loudest syllables
LEAST_GAIN = -20.0  # dB; a room's noise alone then lies below the floor of the spectrogram

BLOCK, BEFORE, AFTER = 4 * RATE, RATE, RATE  # samples, of readers with attention
REDO = 15 * HAMA_HOP  # samples, 0.3 s: what was read ahead is read again once this much more has been heard


def frame_times(frames: int, fps: float, per_frame: int, first: int = 0) -> np.ndarray:
    """Return the (frames * per_frame,) times in seconds at which the features of frames from `first` on are read."""
    return (np.arange(first * per_frame, (first + frames) * per_frame) + 0.5) / (fps * per_frame)


def read_at(features: np.ndarray, hop: int, times: np.ndarray) -> np.ndarray:
    """Linear interpolation of features (N, F), centred on multiples of `hop` samples, at `times` (M,): (M, F)."""
    return _interpolate(features, times * RATE / hop)


def _interpolate(rows: np.ndarray, position: np.ndarray) -> np.ndarray:
    position = np.clip(position, 0, len(rows) - 1)
    low = np.minimum(position.astype(int), max(len(rows) - 2, 0))
    part = (position - low)[:, None].astype(np.float32)
    return rows[low] * (1 - part) + rows[np.minimum(low + 1, len(rows) - 1)] * part


@functools.cache
def _hama() -> object:
    from hama.asr import ASRModel

    return ASRModel()


def phoneme_posteriors(samples: np.ndarray) -> np.ndarray:
    """Return the log posteriors (N, 191) of hama's phoneme classes, one every 20 ms, scaled to about [-1, 1]."""
    model: object = _hama()
    fed = np.pad(
        samples.astype(np.float32), (0, max(RATE // 10 - len(samples), 0))
    )  # streams begin with less
    feeds = {
        model._waveform_input_name: fed[None],  # type: ignore[attr-defined]
        model._waveform_lengths_input_name: np.array([len(fed)]),  # type: ignore[attr-defined]
    }
    outputs = model.session.run([model._log_probs_output_name], feeds)  # type: ignore[attr-defined]
    # the engine reuses its output buffer, so the copy that the arithmetic makes is needed
    rows = np.array(outputs[0][0], np.float32)[: len(samples) // HAMA_HOP + 1]
    return np.maximum(rows, LOG_FLOOR) / (-LOG_FLOOR / 2) + 1


@functools.cache
def _mel_filters() -> tuple[torch.Tensor, torch.Tensor]:
    import torchaudio

    return torch.hann_window(400), torchaudio.functional.melscale_fbanks(201, 0.0, RATE / 2, MELS, RATE)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram (N, 80) of levelled samples, one row every 10 ms, scaled to about [-1, 1]."""
    window, filters = _mel_filters()
    padded = torch.from_numpy(np.pad(samples.astype(np.float32), 200))
    power = torch.stft(padded, 400, MEL_HOP, window=window, center=False, return_complex=True).abs().square()
    return ((torch.log(power.T @ filters + 1e-5) + 4.0) / 4.0).numpy()


class Leveller:
    """Brings speech to one loudness, from pieces and in order (see the constants above).

    The level is the loudest syllable so far and half a second ahead, falling slowly while there is sound. Dividing by
    it makes features independent of the distance to the microphone, as the mean over a clip would, but for any length;
    and in a pause noise stays noise, where a mean over the pause would raise it. Where nothing was loud enough to be
    speech, noise is turned down: it is to look like silence.
    """

    def __init__(self) -> None:
        self._held = np.zeros(0, np.float32)  # samples from the first one that has not been given out
        self._levels = np.zeros(0)  # dB, of their hops as far as they are measured
        self._recent = np.zeros(0)  # dB, of the hops just before those still to be measured
        self._level, self._gain = -np.inf, np.nan

    def push(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        """Take samples (S,), return those (S',) whose level is known; all that are left with `last`."""
        self._held = np.concatenate([self._held, samples.astype(np.float32)])
        self._measure()
        ready = len(self._levels) if last else max(len(self._levels) - LEVEL_AHEAD, 0)
        ahead = np.minimum(np.arange(ready) + LEVEL_AHEAD, len(self._levels) - 1)
        gains = _gain(self._levels[ahead])
        begin = self._gain
        if np.isnan(begin):  # nothing was given out yet
            known = self._levels[: LEVEL_AHEAD + 1][-1:]
            begin = float(_gain(known)[0]) if len(known) else LEAST_GAIN
        ends = np.concatenate([[begin], gains])
        ramp = np.arange(1, LEVEL_HOP + 1) / LEVEL_HOP
        decibels = (ends[:-1, None] + np.diff(ends)[:, None] * ramp).ravel()
        given = len(self._held) if last else ready * LEVEL_HOP
        decibels = np.concatenate([decibels, np.full(given - len(decibels), ends[-1])])
        out = self._held[:given] * 10 ** (decibels / 20)
        self._held, self._levels = self._held[given:], self._levels[ready:]
        self._gain = ends[-1] if len(gains) else self._gain
        return out.astype(np.float32)

    def _measure(self) -> None:
        new = len(self._held) // LEVEL_HOP - len(self._levels)
        if new < 1:
            return
        begin = len(self._levels) * LEVEL_HOP
        hops = self._held[begin : begin + new * LEVEL_HOP].reshape(new, LEVEL_HOP).astype(np.float64)
        loudness = 10 * np.log10((hops**2).mean(1) + 1e-9)
        recent = self._recent if len(self._recent) else np.full(LEVEL_SMOOTH - 1, loudness[0])
        joined = np.concatenate([recent, loudness])
        smooth = np.lib.stride_tricks.sliding_window_view(joined, LEVEL_SMOOTH).mean(1)
        levels = np.zeros(new)
        for i, heard in enumerate(smooth.tolist()):
            if heard > self._level - LEVEL_HOLD:
                self._level = max(self._level - LEVEL_FALL, heard)
            levels[i] = self._level
        self._recent = joined[-(LEVEL_SMOOTH - 1) :]
        self._levels = np.concatenate([self._levels, levels])


def _gain(level: np.ndarray) -> np.ndarray:
    """Return the gain in dB for levels in dB: up to the target; below the floor less and less."""
    below = np.maximum(LEVEL_FLOOR - level, 0)
    return np.maximum(LEVEL_TARGET - np.maximum(level, LEVEL_FLOOR) - LEVEL_SLOPE * below, LEAST_GAIN)


@dataclass(frozen=True)
class Reader:
    """A function of samples (S,) to rows (N, F), one every `hop` samples, row i centred on i * hop + `centre`; run on
    blocks of `block` samples with margins `before` and `after` them."""

    function: Callable[[np.ndarray], np.ndarray]
    hop: int
    centre: int
    block: int
    before: int
    after: int


POSTERIORS = Reader(phoneme_posteriors, HAMA_HOP, 0, BLOCK, BEFORE, AFTER)
SPECTROGRAM = Reader(log_mel, MEL_HOP, 0, RATE // 10, 2 * MEL_HOP, 2 * MEL_HOP)  # half its window is 200


class _Rows:
    """The rows of one reader, in order, from pieces of levelled sound. Arrays are replaced, never written to."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._held, self._start = np.zeros(0, np.float32), 0  # samples, and the place of the first
        self._done = 0  # samples whose rows are made
        self.rows, self.first = (
            np.zeros((0, 0), np.float32),
            0,
        )  # rows still needed, and the number of the first
        self._early, self._early_end = (
            self.rows,
            0,
        )  # rows read ahead after those, and the samples they go up to

    def push(self, samples: np.ndarray, last: bool) -> None:
        r = self.reader
        self._held = np.concatenate([self._held, samples])
        end = self._start + len(self._held)
        while self._done + r.block + r.after <= end or (last and self._done < end):
            rest = last and end < self._done + r.block + r.after
            low = max(self._done - r.before, 0)
            high = end if rest else self._done + r.block + r.after
            made = r.function(self._held[low - self._start : high - self._start])
            skip = (self._done - low) // r.hop
            made = made[skip:] if rest else made[skip : skip + r.block // r.hop]
            self.rows = np.concatenate([self.rows, made]) if self.rows.size else made
            self._done = end if rest else self._done + r.block
            self._early = self._early[r.block // r.hop :]
            keep = max(self._done - r.before, 0)
            self._held, self._start = self._held[keep - self._start :], keep

    def read(self, times: np.ndarray) -> np.ndarray:
        return self._at(self.rows, times)

    def read_ahead(self, tail: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Read as if the sound ended after `tail`. What was read ahead before is kept where enough has followed:
        else each chunk of a stream would cost as much as a block."""
        r, sound = self.reader, np.concatenate([self._held, tail])
        end = self._start + len(sound)
        begin = max((self._early_end - REDO) // r.hop * r.hop, self._done)
        low = max(begin - r.before, 0)
        made = r.function(sound[low - self._start :])[(begin - low) // r.hop :]
        kept = self._early[: (begin - self._done) // r.hop]
        self._early = np.concatenate([kept, made]) if len(kept) else made
        self._early_end = end
        return self._at(np.concatenate([self.rows, self._early]) if len(self.rows) else self._early, times)

    def _at(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        return _interpolate(rows, (times * RATE - self.reader.centre) / self.reader.hop - self.first)

    def known(self) -> float:
        """Return the time in seconds up to which `read` is final."""
        return ((self.first + len(self.rows) - 1) * self.reader.hop + self.reader.centre) / RATE

    def forget(self, time: float) -> None:
        """Drop rows that are needed only before `time`."""
        drop = int((time * RATE - self.reader.centre) / self.reader.hop) - 1 - self.first
        if drop > 0:
            drop = min(drop, max(len(self.rows) - 2, 0))
            self.rows, self.first = self.rows[drop:], self.first + drop


class Listener:
    """Features of frames, in order, from sound that arrives in pieces."""

    def __init__(self, readers: Sequence[Reader], fps: float, per_frame: int) -> None:
        self.fps, self.per_frame = fps, per_frame
        self.frames = 0  # given out
        self.samples = 0  # taken in
        self._leveller = Leveller()
        self._rows = [_Rows(reader) for reader in readers]

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples (S,), return the features (T, F) of the frames that are now settled."""
        self._feed(samples, False)
        known = min(rows.known() if len(rows.rows) else 0.0 for rows in self._rows)
        count = int(known * self.fps) + 1 - self.frames
        while count > 0 and frame_times(1, self.fps, self.per_frame, self.frames + count - 1)[-1] > known:
            count -= 1
        return self._read(max(count, 0))

    def finish(self, frames: int) -> np.ndarray:
        """Return the features of all that is left of `frames` frames; the sound ends here."""
        self._feed(np.zeros(0, np.float32), True)
        return self._read(frames - self.frames)

    @property
    def ahead_s(self) -> float:
        """Seconds of sound after a frame within which its features are settled, at worst."""
        waits = [
            (r.reader.block + r.reader.after + r.reader.hop + r.reader.centre) / RATE for r in self._rows
        ]
        return (LEVEL_AHEAD + 1) * LEVEL_HOP / RATE + max(waits)

    def ahead(self, frames: int) -> np.ndarray:
        """Return the features of the frames after those given out and before `frames`, as if the sound ended now."""
        tail = copy.copy(self._leveller).push(np.zeros(0, np.float32), last=True)
        times = frame_times(frames - self.frames, self.fps, self.per_frame, self.frames)
        return self._join([rows.read_ahead(tail, times) for rows in self._rows])

    def _feed(self, samples: np.ndarray, last: bool) -> None:
        self.samples += len(samples)
        levelled = self._leveller.push(samples, last)
        for rows in self._rows:
            rows.push(levelled, last)

    def _read(self, count: int) -> np.ndarray:
        if count < 1:
            return np.zeros((0, 0), np.float32)
        times = frame_times(count, self.fps, self.per_frame, self.frames)
        read = self._join([rows.read(times) for rows in self._rows])
        self.frames += count
        for rows in self._rows:
            rows.forget(frame_times(1, self.fps, self.per_frame, self.frames)[0])
        return read

    def _join(self, parts: list[np.ndarray]) -> np.ndarray:
        joined = np.concatenate(parts, 1)
        return joined.reshape(len(joined) // self.per_frame, -1).astype(np.float32)


def levelled(samples: np.ndarray) -> np.ndarray:
    """Return a whole sound (S,) at one loudness (see `Leveller`)."""
    return Leveller().push(samples, last=True)
