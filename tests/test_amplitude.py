from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from talkmesh.amplitude import matching_gain
from talkmesh.bundle import Bundle
from talkmesh.domains import Clip, Real, lip_shape
from talkmesh.framing import Framing
from tiny_project import tiny_rig

RIG = tiny_rig()
LANDMARKS = RIG.neutral[RIG.landmarks, :2]


class World:
    """A transcoder whose pictures of a code say how far the lips open: `paints` times the code, saturating."""

    speech = None
    neutral = torch.zeros(2, 3, 4, 4)

    def __init__(self, paints: float) -> None:
        self.paints = paints

    def offsets_of_images(self, images: torch.Tensor, own: torch.Tensor, speaker: int) -> torch.Tensor:
        return images[:, :1, 0, 0]

    def synthetic(self, offsets: torch.Tensor) -> torch.Tensor:
        return (2 * torch.tanh(self.paints * offsets / 2))[..., None, None].expand(-1, 3, 4, 4)


def opened(images: torch.Tensor) -> torch.Tensor:
    """A mesh whose vertices spread downwards with what the picture says."""
    mesh = torch.from_numpy(RIG.neutral).repeat(len(images), 1, 1)
    mesh[..., 1] *= 1 + images[:, 0, 0, 0, None]
    return mesh


def clips(frames: int, still: bool = False) -> tuple[Real, np.ndarray]:
    shown = np.random.default_rng(0).integers(0, 256, (frames, 1, 1, 1)).astype(np.uint8)
    images = np.broadcast_to(0 * shown if still else shown, (frames, 4, 4, 3))
    mesh = opened(torch.from_numpy(images[..., 0, 0].copy() / 255).float()[:, :1, None, None]).numpy()
    shapes = lip_shape(mesh[:, RIG.landmarks, :2], LANDMARKS)
    shapes[3] = np.nan
    good = np.ones(frames, bool)
    good[5] = False
    colours = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    clip = Clip("a", images, colours, shapes, good, None)
    return Real([clip], torch.zeros(1, 3, 4, 4), colours[None], 25.0), shapes


def bundle(paints: float) -> Bundle:
    return Bundle(World(paints), opened, RIG, Framing(4, 2.0, 0.5, False), 25.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("paints", [0.75, 1.0, 1.8])
def test_the_mesh_opens_its_lips_as_far_as_the_speaker(paints):
    real, shapes = clips(300)
    b = bundle(paints)
    gain = matching_gain(b, real)
    codes = torch.from_numpy(real.clips[0].images[:, 0, 0, :1] / 255).float()
    mesh = opened(b.transcoder.synthetic(gain * codes)).numpy()
    got = lip_shape(mesh[:, RIG.landmarks, :2], LANDMARKS)[:, 0]
    assert got.std() / np.nanstd(shapes[:, 0]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("frames", "still"), [(60, True), (6, False)])
def test_where_nothing_is_known_to_move_the_gain_is_one(frames, still):
    real, _ = clips(frames, still)
    real.clips[0] = replace(real.clips[0], good=np.arange(frames) < (frames if still else 1))
    assert matching_gain(bundle(1.0), real) == 1


def test_speech_is_heard_where_the_model_has_ears(monkeypatch):
    real, _ = clips(100)
    b = bundle(1.0)
    heard = SimpleNamespace(offsets_of_speech=lambda fed, frames: 0.5 * fed)
    b.transcoder.speech = True  # type: ignore[assignment]
    monkeypatch.setattr(b.transcoder, "offsets_of_speech", heard.offsets_of_speech, raising=False)
    fed = real.clips[0].images[:, 0, 0, :1].astype(np.float32) / 255
    real.clips[0] = replace(real.clips[0], speech=fed)
    assert matching_gain(b, real) > 1.4
