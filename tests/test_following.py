"""E_A alone: it learns the codes that it is to follow, from good frames only, and nothing else moves."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models_on_disk import RIG
from quiet import Quiet
from talkmesh import following, params
from talkmesh.contracts import Renders
from talkmesh.domains import Clip, Real
from talkmesh.fitting import TranscoderStage
from talkmesh.following import follow
from talkmesh.framing import Framing
from talkmesh.sampler import Sampler
from test_transcoder import SIZE, model_of

WINDOW = 20
STAGE = dataclasses.replace(
    params.section(TranscoderStage, "transcoder", path=Path(__file__).parents[1] / "params.yaml"), alone=200
)
STAGE = dataclasses.replace(
    STAGE, train=dataclasses.replace(STAGE.train, learning_rate=0.005, warmup=10, weight_decay=0.0)
)


def clip(name: str, frames: int, width: int) -> Clip:
    rng = np.random.default_rng(frames)
    images = np.zeros((frames, SIZE, SIZE, 3), np.uint8)
    colours = np.array([[0.5] * 3, [0.3] * 3], np.float32)
    good = rng.random(frames) > 0.2
    fed = rng.normal(size=(frames, width)).astype(np.float32)
    return Clip(name, images, colours, np.zeros((frames, 2), np.float32), good, fed)


def real_of(lengths: tuple[int, ...], width: int) -> Real:
    clips = [clip(f"c{i}", frames, width) for i, frames in enumerate(lengths)]
    return Real(clips, torch.zeros(1, 3, SIZE, SIZE), clips[0].colours[None], 25.0)


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes are a linear map of what is heard; those of bad frames are not numbers."""

    def offsets(model, clip):
        generator = torch.Generator().manual_seed(3)
        fed = torch.from_numpy(clip.speech)
        value = (
            4
            + 3
            * fed
            @ torch.randn(fed.shape[1], model.config.code, generator=generator)
            / fed.shape[1] ** 0.5
        )
        good = torch.from_numpy(clip.good)
        value[~good] = torch.nan
        return value, good

    monkeypatch.setattr(following, "offsets", offsets)


def sampler_of(real: Real) -> Sampler:
    renders = Renders(
        np.zeros((30, SIZE, SIZE, 3), np.uint8),
        np.zeros((30, 3), np.float32),
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.zeros((2, 3), np.float32),
    )
    return Sampler(real, renders, RIG, Framing(SIZE, 2.0, 0.5, True), 4, WINDOW, 1, 1, 4, 0.5)


class Noted(Quiet):
    def __init__(self) -> None:
        self.score: list[float] = []

    def metrics(self, values, step=0):
        if "alone/val/score" in values:
            self.score.append(values["alone/val/score"])


def test_it_learns_the_codes_and_nothing_else_moves(codes: None, tmp_path: Path) -> None:
    model, log = model_of(), Noted()
    width = model.speech.front_end.width
    before = {name: value.clone() for name, value in model.state_dict().items()}
    # a clip shorter than a window is padded, and what is padded is not learned from
    real, held_out = real_of((60, 12, 50, 80), width), real_of((40,), width)
    follow(model, sampler_of(real), held_out, STAGE, tmp_path, log)
    assert len(log.score) == following.VALIDATIONS
    assert log.score[-1] < 0.5 * log.score[0]
    assert log.score[-1] < 0.6
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("speech.") for name in moved)
    # a second call finds the first one's checkpoint
    again = model_of()
    follow(again, sampler_of(real), held_out, STAGE, tmp_path, Quiet())
    for name, value in again.speech.state_dict().items():
        torch.testing.assert_close(value, model.speech.state_dict()[name], atol=0, rtol=0)


def test_without_steps_it_only_knows_where_the_codes_lie(codes: None, tmp_path: Path) -> None:
    model = model_of()
    real = real_of((60, 50), model.speech.front_end.width)
    follow(model, sampler_of(real), real, dataclasses.replace(STAGE, alone=0), tmp_path, Quiet())
    every = torch.cat([following.offsets(model, c)[0][torch.from_numpy(c.good)] for c in real.clips])
    torch.testing.assert_close(model.speech.mean, every.mean(0))
    torch.testing.assert_close(model.speech.spread, every.var(0).mean().sqrt())
    assert not any(tmp_path.iterdir())


def test_offsets_are_those_of_every_frame_whatever_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    filmed = clip("c", 23, model.speech.front_end.width)
    filmed = dataclasses.replace(
        filmed, images=np.random.default_rng(0).integers(0, 255, filmed.images.shape).astype(np.uint8)
    )
    whole, good = following.offsets(model, filmed)
    monkeypatch.setattr(following, "CHUNK", 5)
    parts, _ = following.offsets(model, filmed)
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-4)
    assert not whole.requires_grad
    np.testing.assert_array_equal(good.numpy(), filmed.good)
