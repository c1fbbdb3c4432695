"""VOCA: the published network and losses, against the same written out by hand."""

import numpy as np
import pytest
import torch

from slow_layers import arrays, conv, dense, randomised, sub
from talkmesh.models.speech import MELS, SpeechConfig
from talkmesh.models.voca import SpeechToMesh, Voca, VocaConfig, windows_of

V, S = 11, 3
CONFIG = VocaConfig(code=5, velocity=10.0)


def speech(per_frame: int) -> SpeechConfig:
    return SpeechConfig("log_mel", "", per_frame, 8, 1, 2, 3, 0.0)


def test_parameters_are_as_many_as_published() -> None:
    net = SpeechToMesh(29, 8, 50, 5023)
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    assert count.pop("norm") == 2 * 29  # counted apart: published counts leave it out
    assert (count["convs"], count["fc1"] + count["fc2"], count["mesh"]) == (25_248, 15_794, 768_519)
    assert sum(count.values()) == 809_561


@pytest.mark.parametrize("per_frame", [1, 2])
def test_clip_equals_the_network_written_out(per_frame: int) -> None:
    model = randomised(Voca(CONFIG, speech(per_frame), 25.0, V, S))
    model.network.norm.running_mean.normal_()
    model.network.norm.running_var.uniform_(0.5, 2)
    model.scale.fill_(3.0)
    frames = 6
    x = torch.randn(1, frames + 2 * model.margin, per_frame * MELS)
    x[:, : model.margin] = 0
    x[:, -model.margin :] = 0
    who = torch.tensor([[0.0, 1.0, 0.0]])
    got = model(x, who, torch.zeros(1, V, 3), frames)[0].detach().numpy()
    w = arrays(model.network)
    vectors = x[0, model.margin : -model.margin].reshape(frames * per_frame, MELS).double().numpy()
    padded = np.concatenate([np.zeros((8, MELS)), vectors, np.zeros((8, MELS))])
    for t in range(frames):
        # one vector a frame: eight before it and itself with seven after, as published; two: centred on the pair
        first = t * per_frame + per_frame // 2
        window = padded[first : first + 16]
        n = sub(w, "norm")
        h = (window - n["running_mean"]) / np.sqrt(n["running_var"] + 1e-5) * n["weight"] + n["bias"]
        h = np.concatenate([h, np.tile(who[0].double().numpy(), (16, 1))], 1)
        for i in range(4):
            h = np.maximum(
                conv(sub(w, f"convs.{i}"), np.concatenate([h, np.zeros((1, h.shape[1]))]), stride=2), 0
            )
        assert h.shape == (1, 64)
        h = np.tanh(dense(sub(w, "fc1"), np.concatenate([h[0], who[0].double().numpy()])))
        mesh = 3.0 * dense(sub(w, "mesh"), dense(sub(w, "fc2"), h)).reshape(V, 3)
        np.testing.assert_allclose(got[t], mesh, atol=2e-4)


def test_windows_are_sixteen_vectors_about_the_frame() -> None:
    x = torch.arange(26 * 2.0).view(
        1, 52, 1
    )  # 18 frames of two vectors, and four frames of margin on both sides
    windows = windows_of(x, 18, 2, 4)
    assert windows.shape == (1, 18, 16, 1)
    for t in (0, 7, 17):
        centre = (4 + t) * 2 + 0.5  # between the two vectors of the frame
        assert windows[0, t, :, 0].mean() == pytest.approx(centre)


def test_losses_are_the_published_sums() -> None:
    model = Voca(CONFIG, speech(1), 25.0, V, S).eval()
    model.scale.fill_(2.0)
    x, who = torch.randn(4, 2 + 2 * model.margin, MELS), torch.eye(S)[[0, 1, 2, 0]]
    truth = torch.randn(4, 2, V, 3)
    terms = {k: v.detach() for k, v in model.losses(x, who, torch.zeros(4, V, 3), truth).items()}
    p, g = model(x, who, torch.zeros(4, V, 3), 2).detach().numpy() / 2, truth.numpy() / 2
    position = np.mean(
        [((p[b, t, v] - g[b, t, v]) ** 2).sum() for b in range(4) for t in range(2) for v in range(V)]
    )
    moved = [((p[b, 1, v] - p[b, 0, v]) - (g[b, 1, v] - g[b, 0, v])) for b in range(4) for v in range(V)]
    assert float(terms["position"]) == pytest.approx(position, rel=1e-5)
    assert float(terms["velocity"]) == pytest.approx(10 * np.mean([(m**2).sum() for m in moved]), rel=1e-5)
