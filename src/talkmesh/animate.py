"""From a trained model to moving vertices: speech or face images to a mesh sequence (section 3.4 of the paper).

T frames, V vertices, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from talkmesh.domains import to_images, to_tensor
from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing
from talkmesh.framing import Framing
from talkmesh.models.regressor import Regressor
from talkmesh.models.speech import features
from talkmesh.models.store import read_regressor, read_transcoder, write_regressor, write_transcoder
from talkmesh.models.transcoder import Transcoder
from talkmesh.rig import Rig, read_rig, write_rig

CHUNK = 64  # frames decoded at a time: bounds memory whatever the length


@dataclass(frozen=True)
class Bundle:
    """All that animation needs: a transcoder, a regressor, the rig, and the frame rate and framing they share."""

    transcoder: Transcoder
    regressor: Regressor
    rig: Rig
    framing: Framing
    fps: float


@dataclass(frozen=True)
class Animation:
    """vertices : (T, V, 3) float32 mm; fps; translated : (T, H, W, 3) uint8, D_S's pictures; decoded : (T, H, W, 3)
    uint8, D_R's pictures."""

    vertices: np.ndarray
    fps: float
    translated: np.ndarray
    decoded: np.ndarray


def load(folder: str | Path) -> Bundle:
    """Open a model bundle, the folder that `write_bundle` makes."""
    folder = Path(folder)
    if not (folder / "rig.npz").exists():
        raise TalkmeshError(
            f"{folder} is no model bundle: train one with `dvc repro`, or give --bundle FOLDER"
        )
    return assemble(folder / "transcoder", folder / "regressor", folder / "rig.npz")


def assemble(transcoder: Path, regressor: Path, rig: Path) -> Bundle:
    """Open the parts of a bundle where the stages wrote them."""
    opened = read_rig(rig)
    model, framing, fps = read_transcoder(transcoder)
    return Bundle(model, read_regressor(regressor, opened.hash), opened, framing, fps)


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Write a model into one folder that can be handed on."""
    with replacing(folder) as temporary:
        write_transcoder(temporary / "transcoder", bundle.transcoder, bundle.framing, bundle.fps)
        write_regressor(temporary / "regressor", bundle.regressor, bundle.rig.hash)
        write_rig(temporary / "rig.npz", bundle.rig)


@torch.no_grad()
def animate(bundle: Bundle, samples: np.ndarray, frames: int | None = None) -> Animation:
    """Animate the character from speech: E_A, minus the neutral code, D_S, E_G.

    Parameters
    ----------
    samples : (S,) float32, 16 kHz mono
    frames : length of the animation; by default that of the sound

    Raises
    ------
    TalkmeshError
        If the sound is too short or holds NaN, or the model was trained without speech.
    """
    model = bundle.transcoder
    if model.speech is None:
        raise TalkmeshError(
            "this model was trained without speech (image_only): take the bundle of another variant"
        )
    frames = frames or max(round(len(samples) / 16_000 * bundle.fps), 1)
    fed = torch.from_numpy(features(samples, frames, bundle.fps, model.config.speech))[None]
    return _decode(bundle, model.offsets_of_speech(fed, frames)[0])


@torch.no_grad()
def translate(bundle: Bundle, images: np.ndarray, colours: np.ndarray) -> Animation:
    """Animate the character from crops (T, H, W, 3) uint8 of the speaker with clip colours (2, 3): pseudo ground
    truth (section 3.5)."""
    own = torch.from_numpy(colours)[None]
    parts = [
        bundle.transcoder.offsets_of_images(to_tensor(images[i : i + CHUNK]), own)
        for i in range(0, len(images), CHUNK)
    ]
    return _decode(bundle, torch.cat(parts))


def _decode(bundle: Bundle, offsets: torch.Tensor) -> Animation:
    vertices, translated, decoded = [], [], []
    for part in offsets.split(CHUNK):
        face = bundle.transcoder.translated(part)
        vertices.append(bundle.regressor(face).numpy())
        translated.append(to_images(face))
        decoded.append(to_images(bundle.transcoder.real(part)))
    return Animation(
        np.concatenate(vertices), bundle.fps, np.concatenate(translated), np.concatenate(decoded)
    )
