"""From a trained model to moving vertices: speech or face images to a mesh sequence (section 3.4 of the paper).

Everything runs in pieces of a fixed size, so that memory does not grow with the sound. T frames, V vertices, H x W
pixels, C code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from talkmesh.bundle import Bundle
from talkmesh.coding import Coder
from talkmesh.domains import to_images, to_tensor
from talkmesh.errors import TalkmeshError
from talkmesh.models.speech import check_sound

CHUNK = 64  # frames decoded at a time: bounds memory whatever the length
PIECE = 10 * 16_000  # samples listened to at a time


@dataclass(frozen=True)
class Animation:
    """vertices : (T, V, 3) float32 mm; fps; translated : (T, H, W, 3) uint8, D_S's pictures; decoded : (T, H, W, 3)
    uint8, D_R's pictures; both None unless pictures were asked for."""

    vertices: np.ndarray
    fps: float
    translated: np.ndarray | None = None
    decoded: np.ndarray | None = None


def animate(
    bundle: Bundle,
    samples: np.ndarray,
    frames: int | None = None,
    *,
    smooth: float = 0.0,
    fast: bool | None = None,
    pictures: bool = False,
    speaker: int = 0,
) -> Animation:
    """Animate the character from speech: E_A, minus the neutral code, D_S, E_G.

    Parameters
    ----------
    samples : (S,) float32, 16 kHz mono
    frames : length of the animation; by default that of the sound
    smooth : standard deviation, in frames, of a Gaussian over the codes; 0 leaves them as they are
    fast : through the head in place of D_S and E_G; by default wherever the bundle has one
    pictures : keep D_S's and D_R's pictures too, which takes memory and time (always by the full path)
    speaker : whose D_R (see `Transcoder.number`); the mesh is the same for all, for E_A and D_S are shared

    Raises
    ------
    TalkmeshError
        If the sound is too short or holds NaN, or the model was trained without speech.
    """
    check_sound(samples)
    codes = np.concatenate(list(codes_of(bundle, [samples], frames, smooth)))
    if pictures:
        return _pictured(bundle, torch.from_numpy(codes), speaker)
    return Animation(np.concatenate(list(shown(bundle, [codes], fast))), bundle.fps)


def animate_pieces(
    bundle: Bundle,
    pieces: Iterable[np.ndarray],
    frames: int | None = None,
    *,
    smooth: float = 0.0,
    fast: bool | None = None,
) -> Iterator[np.ndarray]:
    """Animate sound of any length in constant memory: the same vertices as `animate`, in chunks.

    Parameters
    ----------
    pieces : samples (S,) float32, 16 kHz mono, one piece after the other (see `sound.sound_chunks`)

    Yields
    ------
    (T', V, 3) float32 mm, at most `CHUNK` frames
    """
    yield from shown(bundle, codes_of(bundle, pieces, frames, smooth), fast)


def codes_of(
    bundle: Bundle, pieces: Iterable[np.ndarray], frames: int | None = None, smooth: float = 0.0
) -> Iterator[np.ndarray]:
    """Yield offset codes (T', C) of speech that arrives in pieces."""
    coder = Coder(bundle.transcoder, smooth, frames)
    for piece in pieces:
        for begin in range(0, len(piece), PIECE):
            yield coder.push(piece[begin : begin + PIECE])
    yield coder.finish()


def shown(bundle: Bundle, codes: Iterable[np.ndarray], fast: bool | None = None) -> Iterator[np.ndarray]:
    """Yield the vertices (T', V, 3) in mm of offset codes (T, C), in chunks counted from the first frame."""
    held = np.zeros((0, 0), np.float32)
    for part in itertools.chain(codes, [None]):
        if part is not None and len(part):
            held = np.concatenate([held, part]) if len(held) else part
        while len(held) >= CHUNK or (part is None and len(held)):
            yield vertices_of(bundle, torch.from_numpy(held[:CHUNK]), fast)
            held = held[CHUNK:]


@torch.inference_mode()
def vertices_of(bundle: Bundle, offsets: torch.Tensor, fast: bool | None = None) -> np.ndarray:
    """Return the vertices (B, V, 3) float32 mm of offset codes (B, C)."""
    if weighs(bundle, fast):
        return bundle.rig.vertices(weights_of(bundle, offsets))
    with autocast():
        face = bundle.transcoder.synthetic(bundle.gain * offsets)
    return _mesh_of(bundle, face)


def _mesh_of(bundle: Bundle, face: torch.Tensor) -> np.ndarray:
    """Return the vertices (B, V, 3) float32 mm that E_G finds in D_S's pictures (B, 3, H, W)."""
    with autocast():
        code = bundle.regressor.read(face)
    # the last layer in full precision: its steps would be a hundredth of the motion and show as a tremble
    return bundle.regressor.place(code.float()).numpy()


def weighs(bundle: Bundle, fast: bool | None) -> bool:
    """Return whether to take the fast path: as asked, else if there is one."""
    if fast and bundle.head is None:
        raise TalkmeshError(
            "this bundle has no fast path: list it under `distil.methods` in params.yaml, run `dvc repro distil`"
        )
    return bundle.head is not None if fast is None else fast


@torch.inference_mode()
def weights_of(bundle: Bundle, offsets: torch.Tensor) -> np.ndarray:
    """Return the weights (B, K) in [0, 1] of the rig's shapes that the fast path reads from codes (B, C)."""
    assert bundle.head is not None
    return bundle.head(offsets).numpy()


def autocast() -> torch.autocast:
    """Return a context of bfloat16 where the processor multiplies it, else of no effect."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


@torch.inference_mode()
def translate(bundle: Bundle, images: np.ndarray, colours: np.ndarray, speaker: int = 0) -> Animation:
    """Animate the character from crops (T, H, W, 3) uint8 of a speaker with clip colours (2, 3): pseudo ground truth
    (section 3.5), with pictures."""
    own = torch.from_numpy(colours)[None]
    parts = [
        bundle.transcoder.offsets_of_images(to_tensor(images[i : i + CHUNK]), own, speaker)
        for i in range(0, len(images), CHUNK)
    ]
    return _pictured(bundle, torch.cat(parts), speaker)


@torch.inference_mode()
def _pictured(bundle: Bundle, offsets: torch.Tensor, speaker: int) -> Animation:
    vertices, translated, decoded = [], [], []
    own_decoder = bundle.transcoder.decoders[speaker]
    for part in offsets.split(CHUNK):
        with autocast():
            face, own = bundle.transcoder.synthetic(bundle.gain * part), own_decoder(part)
        vertices.append(_mesh_of(bundle, face))
        translated.append(to_images(face))
        decoded.append(to_images(own))
    pictures = np.concatenate(translated), np.concatenate(decoded)
    return Animation(np.concatenate(vertices), bundle.fps, *pictures)
