"""Animation while somebody speaks: chunks of samples in, frames out, with a look-ahead that is stated.

Frame j is given out as soon as sound up to `lookahead` seconds after its beginning is there. The networks look further
ahead than most conversations can wait; what has not been heard yet is taken for the end of the sound. With the full
look-ahead (None) every number is settled and the frames equal those of `animate`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
import torch

from talkmesh.animate import shown, weighs, weights_of
from talkmesh.bundle import Bundle
from talkmesh.coding import Coder
from talkmesh.errors import TalkmeshError
from talkmesh.export.npz import write_animation_npz
from talkmesh.files import replacing
from talkmesh.models.hearing import RATE

SHORTEST_S = 0.1  # seconds; less sound has no frame


@dataclass(frozen=True)
class Frames:
    """Some frames of a stream. first : number of the first; vertices : (T, V, 3) float32 mm; weights : (T, K) in
    [0, 1] of the rig's shapes, from the fast path only."""

    first: int
    vertices: np.ndarray
    weights: np.ndarray | None

    def __len__(self) -> int:
        return len(self.vertices)


class Stream:
    """Frames of a character from samples that arrive in chunks.

    Parameters
    ----------
    lookahead : seconds of sound waited for after the beginning of a frame; None for as many as it takes until nothing
        that comes later can change it (`delay_s`)
    smooth : standard deviation, in frames, of a Gaussian over the codes; 0 leaves them as they are
    fast : through the head in place of D_S and E_G; by default wherever the bundle has one

    Raises
    ------
    TalkmeshError
        If the model was trained without speech, or has no head and `fast` is asked for.
    """

    def __init__(
        self,
        bundle: Bundle,
        lookahead: float | None = None,
        *,
        smooth: float = 0.0,
        fast: bool | None = None,
    ) -> None:
        if lookahead is not None and not 0 <= lookahead < np.inf:
            raise TalkmeshError(
                f"the look-ahead of a stream is a number of seconds from 0 on; got {lookahead}"
            )
        self.bundle, self.lookahead = bundle, lookahead
        self.fast = weighs(bundle, fast)
        self._coder = Coder(bundle.transcoder, smooth)
        self._ended = False

    @property
    def delay_s(self) -> float:
        """Seconds from the beginning of a frame until it can be given out, computation and chunks aside."""
        settled = self._coder.ahead_s
        return settled if self.lookahead is None else min(self.lookahead, settled)

    def push(self, samples: np.ndarray) -> Frames:
        """Take samples (S,) float32, 16 kHz mono, return the frames (often none) that can be shown now."""
        if self._ended:
            raise TalkmeshError("this stream has ended: open another one")
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise TalkmeshError(f"a stream takes finite samples of one channel, (S,); got {samples.shape}")
        codes = self._coder.push(samples)
        if self.lookahead is not None:
            heard = int((self._coder.seconds - self.lookahead) * self.bundle.fps + 1e-6)
            if heard > self._coder.frames:
                codes = np.concatenate([codes, self._coder.hasten(heard)])
        return self._frames(codes)

    def finish(self) -> Frames:
        """Return the frames that are left; the sound ends here."""
        self._ended = True
        if self._coder.seconds < SHORTEST_S:
            return self._frames(np.zeros((0, 1), np.float32))
        return self._frames(self._coder.finish())

    def _frames(self, codes: np.ndarray) -> Frames:
        first = self._coder.frames - len(codes)
        rig = self.bundle.rig
        if not len(codes):
            still = np.zeros((0, *rig.neutral.shape), np.float32)
            return Frames(first, still, np.zeros((0, len(rig.names)), np.float32) if self.fast else None)
        if self.fast:
            weights = weights_of(self.bundle, torch.from_numpy(codes))
            return Frames(first, rig.vertices(weights), weights)
        return Frames(first, np.concatenate(list(shown(self.bundle, [codes], fast=False))), None)


def frames_of(stream: Stream, chunks: Iterable[np.ndarray]) -> Iterator[Frames]:
    """Yield the frames of chunks of samples (S,), those at the end included; empty ones are left out."""
    for chunk in chunks:
        frames = stream.push(chunk)
        if len(frames):
            yield frames
    frames = stream.finish()
    if len(frames):
        yield frames


def read_chunks(source: BinaryIO, seconds: float) -> Iterator[np.ndarray]:
    """Yield samples (S,) float32 of a pipe: WAV (16-bit PCM, 16 kHz, mono) or the bare samples of one (s16le).

    Raises
    ------
    TalkmeshError
        If it begins like a WAV file of another form.
    """
    size = 2 * max(round(seconds * RATE), 1)
    start = _read(source, 12)
    if start[:4] == b"RIFF" and start[8:] == b"WAVE":
        _skip_header(source)
        start = b""
    while block := start + _read(source, size - len(start)):
        yield np.frombuffer(block[: len(block) // 2 * 2], "<i2").astype(np.float32) / 32768
        start = b""


def _read(source: BinaryIO, size: int) -> bytes:
    """Return `size` bytes, fewer only at the end; pipes may give them bit by bit."""
    got = b""
    while len(got) < size and (block := source.read(size - len(got))):
        got += block
    return got


def _skip_header(source: BinaryIO) -> None:
    """Read the head of a WAV file up to its samples, whose length a pipe does not know."""
    while True:
        head = _read(source, 8)
        if len(head) < 8:
            raise TalkmeshError("the WAV file on standard input ends before its samples")
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return
        body = _read(source, size + size % 2)
        if head[:4] == b"fmt ":
            form = tuple(int.from_bytes(body[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8), (14, 16)))
            if form[0] not in (1, 0xFFFE) or form[1:] != (1, RATE, 16):
                raise TalkmeshError(
                    f"standard input is a WAV file of {form[1]} channels, {form[2]} Hz and {form[3]} bits; give 16-bit "
                    "PCM, 16 kHz, mono (ffmpeg -i IN -ar 16000 -ac 1 -f s16le -)"
                )


def write_lines(frames: Iterable[Frames], target: TextIO, bundle: Bundle, *, vertices: bool = False) -> int:
    """Write a stream as lines of JSON and return the number of frames.

    The first line describes the rest: ``{"fps", "rig", "rig_hash", "unit": "mm", "shapes" or "vertices"}``. Then one
    line a frame as soon as it is known: ``{"frame", "time"}`` with ``weights`` by the order of ``shapes``, or with
    ``vertices``, [x, y, z] each.
    """
    kind = {"vertices": len(bundle.rig.neutral)} if vertices else {"shapes": list(bundle.rig.names)}
    head = {"fps": bundle.fps, "rig": bundle.rig.name, "rig_hash": bundle.rig.hash, "unit": "mm"} | kind
    print(json.dumps(head), file=target, flush=True)
    count = 0
    for some in frames:
        rows = some.vertices if vertices or some.weights is None else some.weights
        for i, row in enumerate(rows):
            line = {"frame": some.first + i, "time": round((some.first + i) / bundle.fps, 6)}
            values = np.round(row.astype(float), 4).tolist()
            print(json.dumps(line | {"vertices" if vertices else "weights": values}), file=target)
        target.flush()
        count += len(rows)
    return count


def write_frames(
    out: Path | None, frames: Iterable[Frames], bundle: Bundle, *, vertices: bool = False
) -> None:
    """Write a stream to `out`, by its suffix as lines of JSON or as npz; to standard output if None.

    Raises
    ------
    TalkmeshError
        If there was no sound at all and an npz is to be written.
    """
    if out is None:
        write_lines(frames, sys.stdout, bundle, vertices=vertices)
    elif out.suffix == ".npz":
        parts = [some.vertices for some in frames]
        if not parts:
            raise TalkmeshError(f"{out}: there was no sound on standard input")
        write_animation_npz(out, np.concatenate(parts), bundle.fps, bundle.rig)
    else:
        with replacing(out) as temporary, open(temporary, "w", encoding="utf-8") as target:
            write_lines(frames, target, bundle, vertices=vertices)
