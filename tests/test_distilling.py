"""The fast path learns what the full path does, from all three kinds of codes."""

import dataclasses

import numpy as np
import pytest
import torch

from models_on_disk import RIG, bundle_in, sound
from quiet import Quiet
from talkmesh import distilling
from talkmesh.contracts import Renders
from talkmesh.distilling import DistilStage, codes_seen, fit_head
from talkmesh.domains import Clip, Real
from talkmesh.models.head import Head, HeadConfig, head_loss
from talkmesh.models.speech import features
from talkmesh.train import TrainConfig
from test_transcoder import SIZE, SPEECH


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundle_in(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def domains():
    rng = np.random.default_rng(0)
    clips = []
    for i, frames in enumerate((25, 50)):
        images = rng.integers(0, 255, (frames, SIZE, SIZE, 3)).astype(np.uint8)
        fed = features(sound(frames / 25, i), frames, 25.0, SPEECH)
        shapes, good = np.zeros((frames, 2), np.float32), np.ones(frames, bool)
        colours = np.array([[0.5] * 3, [0.3] * 3], np.float32)
        clips.append(Clip(f"c{i}", images, colours, shapes, good, fed))
    renders = rng.integers(0, 255, (40, SIZE, SIZE, 3)).astype(np.uint8)
    real = Real(clips, torch.zeros(1, 3, SIZE, SIZE), clips[0].colours[None], 25.0)
    poses = np.zeros((40, 3), np.float32)
    return real, Renders(renders, poses, renders[0], np.zeros((2, 3), np.float32))


def test_codes_are_of_crops_of_speech_and_of_renders(bundle, domains):
    real, renders = domains
    codes = codes_seen(bundle, real, renders, 60, 3)
    assert abs(len(codes) - 60) <= 3
    again = codes_seen(bundle, real, renders, 60, 3)
    torch.testing.assert_close(codes, again, atol=0, rtol=0)
    every = codes_seen(bundle, real, renders, 10_000, 3)  # more than there are
    assert len(every) == 2 * 75 + 40


def test_loss_is_the_mean_squared_vertex_distance(bundle):
    torch.manual_seed(0)
    model = Head(HeadConfig(8, 1, 0.0), 12, torch.from_numpy(RIG.deltas))
    codes, wanted = torch.randn(5, 12), torch.randn(5, 60, 3)
    weight = torch.rand(60) + 0.5
    got = head_loss(model, codes, wanted, weight)["vertices_mm2"]
    total = 0.0
    for i in range(5):
        pose = model(codes[i : i + 1]).detach().numpy()
        moved = RIG.vertices(pose)[0] - RIG.neutral
        total += float((((moved - wanted[i].numpy()) ** 2).sum(1) * weight.numpy()).mean())
    assert float(got.detach()) == pytest.approx(total / 5, rel=1e-4)


def test_the_head_learns_what_it_is_taught(bundle, domains, tmp_path, monkeypatch):
    """A teacher that moves the rig's own shapes by a known function of the code: error well below a still face's."""
    direction = torch.randn(12, 3, generator=torch.Generator().manual_seed(5)) / 4

    def teacher(_bundle, codes, fast=None):
        return RIG.vertices(torch.sigmoid(codes / codes.std() @ direction).numpy())

    monkeypatch.setattr(distilling, "vertices_of", teacher)
    fields = {f.name for f in dataclasses.fields(TrainConfig)}
    values = dict(
        steps=300, learning_rate=0.01, warmup=10, weight_decay=0.0, clip=1.0, ema=0.9, validate_every=100,
        patience=0, compile=False, precision="float32", device="cpu", seed=1,
    )  # fmt: skip
    train = TrainConfig(**{k: v for k, v in values.items() if k in fields})
    stage = DistilStage({}, 300, 0.0, HeadConfig(32, 1, 0.0), 32, 0.2, train)
    head, curves = fit_head(stage, bundle, *domains, tmp_path, Quiet())
    last = {name: value for step, name, value, split in curves if step == 300 and split == "val"}
    assert last["lve_mm"] < 0.25 * last["still_lve_mm"]
    assert not head.training
