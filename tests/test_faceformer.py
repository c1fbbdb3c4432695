"""FaceFormer: masks, positions, roll-out and gradients, against the same written out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import faceformer as benchmark
from slow_layers import arrays, decoder_layer, dense, randomised, sub
from talkmesh.models.faceformer import FaceFormer, FaceFormerConfig, cross_mask, self_mask, slopes

V, S = 7, 3


def network(audio_per_frame: int = 1, dropout: float = 0.1) -> FaceFormer:
    config = FaceFormerConfig(10, 16, 4, 5, dropout, audio_per_frame)
    return randomised(FaceFormer(config, nn.Identity(), V, S))


def test_parameters_are_as_many_as_published() -> None:
    model = FaceFormer(FaceFormerConfig(768, 64, 4, 30, 0.1), nn.Identity(), 5023, 8)
    assert sum(p.numel() for p in model.parameters()) == 2_043_933  # "2.04 M"; speech is counted apart


def test_masks() -> None:
    np.testing.assert_allclose(slopes(4), [1 / 4, 1 / 16, 1 / 64, 1 / 256])
    mask = self_mask(4, 3, 10)
    for h in range(4):
        for i in range(10):
            for j in range(10):
                expected = -math.inf if j > i else -float(slopes(4)[h]) * ((i - j) // 3)
                assert float(mask[h, i, j]) == expected
    assert (~cross_mask(4, 1)).nonzero().tolist() == [[i, i] for i in range(4)]
    assert (~cross_mask(3, 2)).nonzero().tolist() == [[i, 2 * i + k] for i in range(3) for k in range(2)]


@pytest.mark.parametrize("audio_per_frame", [1, 2])
@pytest.mark.parametrize("way", ["roll_out", "plain_loop"])
def test_roll_out_equals_the_network_written_out(way: str, audio_per_frame: int) -> None:
    model, frames = network(audio_per_frame), 13  # longer than two periods
    memory, style = torch.randn(1, frames * audio_per_frame, 16), torch.randn(1, 16)
    with torch.no_grad():
        got = getattr(model, way)(memory, style)[0].numpy()
    w = arrays(model)
    angle = np.array([[t / 10_000 ** (2 * (i // 2) / 16) for i in range(16)] for t in range(5)])
    table = np.where(np.arange(16) % 2 == 0, np.sin(angle), np.cos(angle))
    fed = [style[0].double().numpy()]
    for t in range(frames):
        x = np.stack(fed) + table[np.arange(t + 1) % 5]
        y = decoder_layer(
            sub(w, "transformer_decoder.layers.0"), 4, x, memory[0].double().numpy(),
            lambda h, i: [(j, -(4.0 ** -(h + 1)) * ((i - j) // 5)) for j in range(i + 1)],
            lambda h, i: [(i * audio_per_frame + k, 0.0) for k in range(audio_per_frame)],
        )  # fmt: skip
        mesh = dense(sub(w, "vertice_map_r"), y[-1])
        np.testing.assert_allclose(got[t], mesh, atol=2e-4)
        fed.append(dense(sub(w, "vertice_map"), mesh) + fed[0])


def test_gradients_are_those_of_the_plain_loop() -> None:
    model = network(dropout=0.0)
    memory, style = torch.randn(2, 9, 16), torch.randn(2, 16)
    wanted = torch.randn(2, 9, 3 * V)
    found = []
    for way in (model.plain_loop, model.roll_out):
        model.zero_grad()
        (way(memory, style) - wanted).square().mean().backward()
        found.append({k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert any("vertice_map." in k for k in found[0])  # through what was fed back
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-3)


def test_starts_at_the_neutral_face_and_trains_on_a_free_run() -> None:
    class Speech(nn.Module):
        def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
            return x

    torch.manual_seed(0)
    model = FaceFormer(FaceFormerConfig(10, 16, 4, 5, 0.0), Speech(), V, S)
    model.scale.fill_(2.0)
    x, who, truth = torch.randn(2, 8, 10), torch.eye(S)[:2], torch.randn(2, 8, V, 3)
    assert torch.equal(model(x, who, torch.zeros(2, V, 3), 8), torch.zeros(2, 8, V, 3))
    terms = model.losses(x, who, torch.zeros(2, V, 3), truth)
    assert float(terms["position"]) == pytest.approx(float((truth / 2).square().mean()))
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        loss = model.losses(x, who, torch.zeros(2, V, 3), truth)["position"]
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5 * float(terms["position"].detach())


def test_speakers_differ_and_length_has_no_bound() -> None:
    model = network()
    memory = torch.randn(1, 700, 16)  # the released tables end at 600
    with torch.no_grad():
        a, b = (model.roll_out(memory, model.obj_vector(torch.eye(S)[i : i + 1])) for i in range(2))
        short = model.roll_out(memory[:, :50], model.obj_vector(torch.eye(S)[:1]))
    assert not torch.allclose(a, b)
    torch.testing.assert_close(short, a[:, :50], atol=1e-4, rtol=1e-4)  # causal


def test_the_cache_gives_what_the_released_loop_gives_at_the_released_size() -> None:
    """The benchmark's bar on three seconds of its twenty: 1e-4 of the height of the face."""
    net, (memory, style) = benchmark.model(), benchmark.speech(3 * benchmark.FPS)
    with torch.no_grad():
        plain, cached = net.plain_loop(memory, style), net.roll_out(memory, style)
    moves = plain[0].diff(dim=0).norm(dim=1)
    assert moves.min() > 1e-3 * plain[0].norm(dim=1).mean()  # frames do differ
    assert float((plain - cached).abs().max() / plain.abs().max()) * benchmark.MOTION < 1e-5
