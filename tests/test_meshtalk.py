"""MeshTalk: every part against the same written out by hand, drawing against the context model itself."""

import dataclasses

import numpy as np
import pytest
import torch

from slow_layers import arrays, conv, dense, leaky, lstm, randomised, softmax, sub
from talkmesh.models import meshtalk
from talkmesh.models.meshtalk import (
    AudioEncoder,
    ContextModel,
    ExpressionEncoder,
    FusionMlp,
    MeshTalk,
    MeshTalkConfig,
    MultimodalEncoder,
    VertexUnet,
    smooth,
)
from talkmesh.models.speech import MELS, SpeechConfig
from tiny_project import tiny_rig

V, H, C = 9, 3, 4
SPEECH = SpeechConfig("log_mel", "", 2, 8, 1, 2, 3, 0.0)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_are_as_many_as_in_the_released_model() -> None:
    with torch.device("meta"):
        encoder = MultimodalEncoder(16, 128, 80, 6172)
        unet, context = VertexUnet(16, 128, 6172), ContextModel(16, 128)
    assert count(unet) == pytest.approx(19.9e6, rel=0.005)
    assert count(encoder.audio_encoder) == pytest.approx(0.56e6, rel=0.005)
    assert count(encoder.expression_encoder) == pytest.approx(4.9e6, rel=0.005)
    assert count(encoder.fusion_model) == pytest.approx(0.66e6, rel=0.005)
    assert count(context) == pytest.approx(17.7e6, rel=0.005)


def test_sound() -> None:
    net = randomised(AudioEncoder(6))
    x = torch.randn(1, 103, 6)
    w = arrays(net)
    h = leaky(conv(sub(w, "convert_dimensions"), x[0].double().numpy()))
    for i, dilation in enumerate((2, 4, 6, 2, 4, 6)):
        y = leaky(conv(sub(w, f"convs.{i}"), h, dilation=dilation))
        h = (h[2 * dilation : len(h) - 2 * dilation] + y) / 2
    np.testing.assert_allclose(net(x)[0].detach().numpy(), h, atol=1e-3, rtol=1e-3)
    assert len(h) == 3  # a code looks at 101 vectors


def test_motion_and_fusion() -> None:
    net, fusion = randomised(ExpressionEncoder(V)), randomised(FusionMlp(H, C))
    net.mean.normal_()
    net.stddev.uniform_(0.5, 2)
    x = torch.randn(1, 5, V, 3)
    w, f = arrays(net), arrays(fusion)
    h = ((x[0].double().numpy() - w["mean"][0]) / w["stddev"][0]).reshape(5, -1)
    for i in range(2):
        h = leaky(dense(sub(w, f"layers.{i}"), h))
    h = dense(sub(w, "code"), lstm(sub(w, "lstm"), h))
    np.testing.assert_allclose(net(x)[0].detach().numpy(), h, atol=1e-4, rtol=1e-4)
    sound = torch.randn(1, 5, 128)
    both = np.concatenate([h, sound[0].double().numpy()], 1)
    for i in (0, 2, 4):
        both = dense(sub(f, f"mlp.{i}"), both if i == 0 else leaky(both))
    expected = np.log(softmax(both.reshape(5, H, C)))
    np.testing.assert_allclose(fusion(net(x), sound)[0].detach().numpy(), expected, atol=1e-3, rtol=1e-3)


def test_unet() -> None:
    net = randomised(VertexUnet(H, C, V))
    net.mean.normal_()
    net.stddev.uniform_(0.5, 2)
    neutral, z = torch.randn(1, V, 3), torch.nn.functional.one_hot(torch.randint(0, C, (1, 5, H)), C).float()
    w = arrays(net)
    x0 = ((neutral[0].double().numpy() - w["mean"][0, 0]) / w["stddev"][0, 0]).reshape(-1)
    x1 = leaky(dense(sub(w, "encoder.0"), x0))
    x2 = leaky(dense(sub(w, "encoder.1"), x1))
    x3 = leaky(dense(sub(w, "encoder.2"), x2))
    h = np.concatenate([np.tile(x3, (5, 1)), z[0].double().numpy().reshape(5, -1)], 1)
    h = lstm(sub(w, "temporal"), leaky(dense(sub(w, "fusion"), h)), layers=2)
    for i, skip in enumerate((x2, x1, x0)):
        h = skip + leaky(dense(sub(w, f"decoder.{i}"), h))
    expected = (h + w["vertex_bias"]).reshape(5, V, 3) * w["stddev"][0] + w["mean"][0]
    np.testing.assert_allclose(net(neutral, z)[0].detach().numpy(), expected, atol=1e-3, rtol=1e-3)


def test_context_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshtalk, "HIDDEN", 5)
    net = randomised(ContextModel(H, C))
    frames = 24
    z = torch.nn.functional.one_hot(torch.randint(0, C, (frames, H)), C).float()
    sound = torch.randn(frames, 128)
    w, a = arrays(net), sound.double().numpy()

    def layer(name: str, x: np.ndarray, outputs: int, dilation: int, hears: bool) -> np.ndarray:
        """x (T, H, in): head h now sees heads < h, and all heads of the past."""
        p = sub(w, name)
        y = np.zeros((frames, H, outputs))
        for t in range(frames):
            for h in range(H):
                own = slice(h * outputs, (h + 1) * outputs)
                now = x[t].copy()
                now[h:] = 0
                y[t, h] = p["masked_linear.weight"][own, :, 0] @ now.ravel() + p["masked_linear.bias"][own]
                if hears:
                    y[t, h] += p["unmasked_linear.weight"][own, :, 0] @ a[t] + p["unmasked_linear.bias"][own]
                if dilation:
                    y[t, h] += p["historic.bias"][own]
                    for tap, ago in ((1, 1), (0, 1 + dilation)):
                        if t >= ago:
                            y[t, h] += p["historic.weight"][own, :, tap] @ x[t - ago].ravel()
        return y

    x = layer("embedding", z.double().numpy(), 5, 0, False)
    for i, d in enumerate((1, 2, 4, 8)):
        x = leaky(layer(f"context_layers.{i}", x, 5, d, True))
    expected = np.log(softmax(layer("logits", x, C, 0, False)))
    np.testing.assert_allclose(net(z[None], sound[None])[0].detach().numpy(), expected, atol=1e-3, rtol=1e-3)


def test_the_likeliest_draw_is_what_the_context_model_says_of_it() -> None:
    net, sound = randomised(ContextModel(H, C)), torch.randn(30, 128)
    drawn = net.sample(sound)
    assert torch.equal(drawn.sum(-1), torch.ones(30, H))
    # heads and frames later than the one predicted cannot have helped: the model is causal
    assert torch.equal(net(drawn[None], sound[None])[0].argmax(-1), drawn.argmax(-1))


def test_draws_follow_the_probabilities() -> None:
    net = randomised(ContextModel(1, C))
    sound = torch.randn(1, 128)
    p = net(torch.zeros(1, 1, 1, C), sound[None])[0, 0, 0].exp().detach()
    generator = torch.Generator().manual_seed(3)
    share = sum(net.sample(sound, generator)[0, 0] for _ in range(600)) / 600
    torch.testing.assert_close(share, p, atol=0.07, rtol=0)


@pytest.fixture
def model() -> MeshTalk:
    torch.manual_seed(0)
    rig = tiny_rig()
    net = MeshTalk(MeshTalkConfig(H, C), SPEECH, 25.0, len(rig.neutral))
    net.start(rig, torch.einsum("nk,kvc->nvc", torch.rand(20, 2), torch.from_numpy(rig.deltas)))
    return net


def batch(model: MeshTalk, b: int = 2, frames: int = 6) -> tuple[torch.Tensor, ...]:
    rig = tiny_rig()
    speech = torch.randn(b, frames + 2 * model.margin, 2 * MELS)
    moved = torch.einsum("btk,kvc->btvc", torch.rand(b, frames, 2), torch.from_numpy(rig.deltas))
    return speech, torch.ones(b, 1), torch.from_numpy(rig.neutral).expand(b, -1, -1), moved


def test_losses_and_what_they_move(model: MeshTalk) -> None:
    speech, who, neutral, moved = batch(model)
    terms = model.losses(speech, who, neutral, moved)
    assert set(terms) == {"reconstruction", "mouth", "upper"}
    torch.stack(list(terms.values())).sum().backward()
    # the straight-through estimate reaches what lies before the categories
    assert model.encoder.audio_encoder.code.weight.grad.abs().sum() > 0
    assert model.encoder.expression_encoder.code.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.context.parameters())
    model.zero_grad()
    entropy = model.context_losses(speech, who, neutral, moved)["entropy"]
    entropy.backward()
    assert entropy.detach() == pytest.approx(np.log(C), abs=0.5)  # knows nothing yet
    assert all(p.grad is None for p in (*model.encoder.parameters(), *model.unet.parameters()))


def test_cross_modality_swaps_one_and_scores_the_other(
    model: MeshTalk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound with the motion of the other clip is to keep the mouth, motion with the other sound the upper face."""

    def likeliest(logs: torch.Tensor, hard: bool) -> torch.Tensor:
        return torch.nn.functional.one_hot(logs.argmax(-1), C).to(logs)

    monkeypatch.setattr(meshtalk.functional, "gumbel_softmax", likeliest)
    speech, who, neutral, moved = batch(model)  # of two clips: the other one is known
    randomised(model)
    terms = {k: float(v.detach()) for k, v in model.losses(speech, who, neutral, moved).items()}
    meshes = neutral[:, None] + moved
    sound = model._sound(speech, moved.shape[1])
    motion = model.encoder.expression_encoder(meshes)

    def error(m: torch.Tensor, s: torch.Tensor) -> np.ndarray:
        made = model.unet(neutral, likeliest(model.encoder.fusion_model(m, s), True))
        return (((made - meshes) / model.unet.stddev) ** 2).detach().numpy()

    for name, found, mask in (
        ("mouth", error(motion.flip(0), sound), model.mouth),
        ("upper", error(motion, sound.flip(0)), model.upper),
    ):
        b, t, v, _ = found.shape
        total = sum(
            found[i, j, k, c] * float(mask[k])
            for i in range(b)
            for j in range(t)
            for k in range(v)
            for c in range(3)
        )
        assert terms[name] == pytest.approx(total / (b * t * float(mask.sum()) * 3), rel=1e-4)
    assert terms["reconstruction"] == pytest.approx(error(motion, sound).mean(), rel=1e-4)
    assert terms["mouth"] != pytest.approx(terms["upper"])


def test_masks_are_of_the_rig(model: MeshTalk) -> None:
    rig = tiny_rig()
    assert model.mouth[torch.from_numpy(rig.lips).long()].min() == 1
    assert model.mouth.min() < 0.2
    assert set(model.upper.nonzero()[:, 0].tolist()) == set(rig.upper.tolist())


def test_animation_is_the_same_each_time_and_of_any_length(model: MeshTalk) -> None:
    model.eval()
    for frames in (1, 12):
        speech, who, neutral, _ = batch(model, 1, frames)
        with torch.no_grad():
            a, b = (model(speech, who, neutral, frames) for _ in range(2))
        assert a.shape == (1, frames, len(tiny_rig().neutral), 3)
        assert torch.equal(a, b)


def test_smoothing_is_scipys_where_the_mask_says_so() -> None:
    from scipy.ndimage import gaussian_filter1d

    x = torch.randn(30, 4, 3)
    mask = torch.tensor([0.0, 0.5, 1.0, 1.0])
    soft = gaussian_filter1d(x.double().numpy(), 2.0, axis=0, mode="nearest", radius=4)
    expected = x.numpy() * (1 - mask.numpy())[:, None] + soft * mask.numpy()[:, None]
    np.testing.assert_allclose(smooth(x, mask).numpy(), expected, atol=1e-5)


def test_one_vector_a_frame_works_too() -> None:
    config = dataclasses.replace(SPEECH, per_frame=1)
    net = MeshTalk(MeshTalkConfig(H, C), config, 25.0, V).eval()
    with torch.no_grad():
        assert (
            net(torch.randn(1, 4 + 2 * net.margin, MELS), torch.ones(1, 1), torch.zeros(1, V, 3), 4).shape[1]
            == 4
        )
