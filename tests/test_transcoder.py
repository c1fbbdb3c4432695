"""Equations 1 to 5 against slow references, and properties that the architecture promises."""

import dataclasses

import numpy as np
import pytest
import torch

from talkmesh.models import transcoder as t
from talkmesh.models.closures import Closures, importance
from talkmesh.models.images import disturb, match_colours
from talkmesh.models.speech import SpeechConfig

SIZE, CODE = 16, 12
SPEECH = SpeechConfig("log_mel", "", 1, 16, 1, 2, 3, 0.0)
CONFIG = t.TranscoderConfig(
    code=CODE,
    encoder=(4, 6),
    decoder=(8, 4),
    with_speech=True,
    deneutral=True,
    neutral_gradient=True,
    norm="mse",
    perceptual="none",
    weights=t.Weights(1.0, 0.0, 1.0, 1.0, 1.0, 0.0),
    mouth_weight=0.0,
    closures=Closures(0.03, 0.3, 1.0),
    cf_detach=False,
    ccl_offset=False,
    disturb=0.0,
    code_noise=(0.0, 0.0),
    speech=SPEECH,
)


def model_of(config: t.TranscoderConfig = CONFIG, speakers: tuple[str, ...] = ()) -> t.Transcoder:
    torch.manual_seed(3)
    domains = max(len(speakers), 1) + 1
    colours = torch.rand(domains, 2, 3) * 0.3 + 0.2
    images = torch.rand(domains, 3, SIZE, SIZE)
    return t.Transcoder(config, SIZE, 25.0, images, colours, torch.ones(1, SIZE, SIZE), speakers).eval()


def batch_of() -> t.Batch:
    torch.manual_seed(4)
    return t.Batch(
        torch.rand(6, 3, SIZE, SIZE),
        torch.rand(6, 2),
        torch.arange(0, 6, 2),
        torch.rand(5, 3, SIZE, SIZE),
        torch.rand(5, 2),
        torch.tensor([0, 0, 0, 1, 1, 1]),
        torch.tensor([0, 4, 9, 1, 2, 3]),
        10,
        torch.rand(2, 10, 80),
        weight=torch.tensor(
            [[0.5], [0.5], [2.0], [0.5], [2.0], [0.5]]
        ),  # the third and the fifth close the lips
    )


def reference(model: t.Transcoder, batch: t.Batch, who: tuple[int, ...] = (0,) * 6) -> dict[str, float]:
    """Equations 1 to 4 written image by image, as they are printed; each image with what is `who`'s, its speaker's."""

    def see(image: torch.Tensor, domain: int) -> torch.Tensor:
        luma = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        mean, std = ((model.colours[domain, k] * torch.tensor([0.299, 0.587, 0.114])).sum() for k in (0, 1))
        return model.encoder(((luma - mean) / std)[None, None])[0]

    decoders = [model.real, *model.others, model.synthetic]
    last = len(decoders) - 1
    rest = [see(image, i) for i, image in enumerate(model.neutral)]
    neutral_s = rest[last]
    sums: dict[str, list[float]] = {"pixel_real": [], "pixel_synthetic": [], "cf": [], "cs": [], "ccl": []}
    z_r = torch.stack([see(image, i) for i, image in zip(who, batch.real, strict=True)])
    for i, decoder in enumerate(decoders):
        hinge = decoder(torch.zeros(1, CODE))[0]  # the neutral image of the domain, whose offset is zero
        name = "pixel_synthetic" if i == last else "pixel_real"
        sums[name].append(((hinge - model.neutral[i]) ** 2).mean().item())
    decoded = set(batch.decoded.tolist())
    offsets = torch.stack([z - rest[i] for i, z in zip(who, z_r, strict=True)])
    spread = offsets[batch.decoded].var(0).mean() + t.SPREAD_FLOOR
    for image in batch.synthetic:
        z_s = see(image, last)
        sums["pixel_synthetic"].append(
            ((model.synthetic((z_s - neutral_s)[None])[0] - image) ** 2).mean().item()
        )
    for i, image in enumerate(batch.real):
        real, neutral_r = decoders[who[i]], rest[who[i]]
        z_a = model.speech(batch.speech[batch.window[i]][None])[0, batch.frame[i]] + neutral_r
        sums["cf"].append(((z_a - z_r[i]) ** 2).mean().item() / spread.item() * float(batch.weight[i]))
        if i not in decoded:
            continue
        sums["pixel_real"].append(((real((z_r[i] - neutral_r)[None])[0] - image) ** 2).mean().item())
        sums["cs"].append(((real((z_a - neutral_r)[None])[0] - image) ** 2).mean().item())
        z_again = see(model.synthetic((z_a - neutral_r)[None])[0], last)
        sums["ccl"].append((((z_again - z_a) ** 2).mean() / spread).item())
    return {name: float(np.mean(values)) for name, values in sums.items()}


def test_terms_equal_the_printed_equations(monkeypatch):
    monkeypatch.setattr(t, "disturb", lambda x, strength: x)
    model, batch = model_of(), batch_of()
    with torch.no_grad():
        terms = t.TranscoderLoss(CONFIG, SIZE)(model, batch)
        expected = reference(model, batch)
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=2e-4), name


def test_sounds_that_close_the_lips_count_more_and_pauses_do_not():
    gap = [0.0] * 3 + [0.2] * 2 + [0.01] * 2 + [0.2] * 3 + [0.0] * 4 + [0.1, np.nan, 0.0, 0.3] + [0.0] * 2
    shapes = np.stack([gap, np.full(len(gap), 9.0)], 1)
    counts = importance(shapes, 10.0, Closures(0.01, 0.3, 4.0))
    expected = np.ones(len(gap))
    expected[[5, 6, 16]] = 4  # neither what begins or ends the clip nor four tenths of a second
    np.testing.assert_array_equal(counts, expected)
    assert (importance(shapes, 10.0, Closures(0.01, 0.3, 1.0)) == 1).all()


def test_without_deneutralisation_codes_are_raw():
    model = model_of(dataclasses.replace(CONFIG, deneutral=False))
    assert torch.equal(model.neutral_codes(), torch.zeros(2, CODE))
    images = torch.rand(2, 3, SIZE, SIZE)
    own = model.colours[0].expand(2, 2, 3)
    raw = model.encoder(model.look(images, 0))
    torch.testing.assert_close(model.offsets_of_images(images, own), raw, atol=1e-5, rtol=1e-5)


def test_without_deneutralisation_neutral_images_are_images_like_others(monkeypatch):
    """No decoder may then be taught what the code zero looks like: that would be de-neutralisation by another door."""
    monkeypatch.setattr(t, "disturb", lambda x, strength: x)
    config = dataclasses.replace(CONFIG, deneutral=False)
    model, seen = model_of(config), []
    monkeypatch.setattr(
        model.synthetic,
        "forward",
        lambda codes: (seen.append(codes), torch.rand(len(codes), 3, SIZE, SIZE))[1],
    )
    t.TranscoderLoss(config, SIZE)(model, batch_of())
    own = model.encoder(model.look(model.neutral[1:], 1))
    torch.testing.assert_close(seen[0][-1:], own, atol=1e-5, rtol=1e-5)


def test_neutral_image_has_zero_offset():
    model = model_of()
    offset = model.offsets_of_images(model.neutral[:1], model.colours[:1])
    torch.testing.assert_close(offset, torch.zeros_like(offset), atol=1e-5, rtol=0)


@pytest.mark.parametrize("flows", [True, False])
def test_gradient_through_neutral_codes_is_a_switch(flows):
    model = model_of(dataclasses.replace(CONFIG, neutral_gradient=flows))
    assert model.neutral_codes().requires_grad is flows


def test_detached_cf_does_not_move_the_visual_encoder(monkeypatch):
    monkeypatch.setattr(t, "disturb", lambda x, strength: x)
    for detach in (True, False):
        config = dataclasses.replace(CONFIG, cf_detach=detach, deneutral=False)
        model = model_of(config)
        t.TranscoderLoss(config, SIZE)(model, batch_of())["cf"].backward()
        moved = any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.parameters())
        assert moved is not detach
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.speech.parameters())


def test_each_term_can_be_switched_off():
    config = dataclasses.replace(CONFIG, with_speech=False)
    model = model_of(config)
    assert model.speech is None
    assert set(t.TranscoderLoss(config, SIZE)(model, batch_of())) == {"pixel_real", "pixel_synthetic"}
    config = dataclasses.replace(CONFIG, weights=t.Weights(1, 0, 1, 1, 0, 2.0))
    terms = t.TranscoderLoss(config, SIZE)(model_of(config), batch_of())
    assert "ccl" not in terms
    assert "anchor" in terms


def test_anchor_leaves_out_frames_without_landmarks():
    config = dataclasses.replace(
        CONFIG, weights=t.Weights(1, 0, 1, 1, 1, 1.0), with_speech=False, disturb=0.0
    )
    model, batch = model_of(config), batch_of()
    batch.real_shapes[2] = float("nan")
    value = t.TranscoderLoss(config, SIZE)(model, batch)["anchor"]
    assert torch.isfinite(value)
    value.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("norm", ["l1", "mse", "rmse"])
def test_distance_against_numpy(norm):
    torch.manual_seed(0)
    a, b, w = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4), torch.rand(4, 4)
    w = w / w.mean()
    d, v = (a - b).numpy(), w.numpy()
    expected = {
        "l1": (np.abs(d) * v).mean(),
        "mse": (d**2 * v).mean(),
        "rmse": np.mean([np.sqrt((x**2 * v).mean()) for x in d]),
    }[norm]
    assert float(t.distance(a, b, norm, w)) == pytest.approx(float(expected), rel=1e-5)


def test_one_image_does_not_see_the_others_of_its_batch():
    model = model_of()
    images = torch.rand(4, 3, SIZE, SIZE)
    together = model.encoder(model.look(images, 0))
    alone = torch.cat([model.encoder(model.look(images[i : i + 1], 0)) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_size_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="18 pixels"):
        t.Transcoder(CONFIG, 18, 25.0, torch.rand(2, 3, 18, 18), torch.rand(2, 2, 3), torch.ones(1, 18, 18))


def test_matched_colours_have_the_wanted_statistics():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 32, 32) * 0.5
    own = torch.stack([images.mean((0, 2, 3)), images.std((0, 2, 3))])[None]
    wanted = torch.tensor([[0.5, 0.4, 0.3], [0.1, 0.2, 0.05]])
    out = match_colours(images, own, wanted)
    torch.testing.assert_close(out.mean((0, 2, 3)), wanted[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3)), wanted[1], atol=1e-4, rtol=0)


def test_disturbing_with_strength_zero_changes_nothing():
    images = torch.rand(2, 1, 16, 16)
    torch.testing.assert_close(disturb(images, 0.0), images, atol=1e-5, rtol=0)
    assert (disturb(images, 1.0) - images).abs().max() > 0.05


def test_code_noise_reaches_the_decoders_only(monkeypatch):
    monkeypatch.setattr(t, "disturb", lambda x, strength: x)
    quiet, noisy = (dataclasses.replace(CONFIG, code_noise=(n, 0.0)) for n in (0.0, 1.0))
    model, batch = model_of(), batch_of()
    with torch.no_grad():
        a, b = (t.TranscoderLoss(c, SIZE)(model, batch) for c in (quiet, noisy))
    assert float(a["cf"]) == float(b["cf"])
    assert float(a["pixel_real"]) != float(b["pixel_real"])
    with torch.no_grad():
        last = t.TranscoderLoss(noisy, SIZE)(model, batch, 1.0)
    assert float(a["pixel_real"]) == pytest.approx(float(last["pixel_real"]), rel=1e-6)  # it fades
