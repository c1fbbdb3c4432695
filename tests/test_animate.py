"""Models are stored and bundled whole, and animate sound of any length."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from models_on_disk import FRAMING, sound, write_parts
from talkmesh import animate as a
from talkmesh.bundle import assemble, load, write_bundle
from talkmesh.errors import TalkmeshError
from talkmesh.models.store import read_regressor, read_transcoder, write_transcoder
from test_transcoder import CONFIG, SIZE, model_of


@pytest.fixture
def parts(tmp_path):
    """A transcoder, a regressor and a rig, as the stages leave them."""
    return write_parts(tmp_path)


def test_a_stored_transcoder_computes_the_same(parts):
    model, framing, fps = read_transcoder(parts[0])
    assert (framing, fps) == (FRAMING, 25.0)
    assert model.config == CONFIG
    x = torch.rand(1, 6, 80)
    torch.testing.assert_close(model.offsets_of_speech(x, 6), model_of().offsets_of_speech(x, 6))


def test_a_bundle_animates_as_its_parts(parts, tmp_path):
    write_bundle(tmp_path / "bundle", *parts, gain=0.7)
    one, two = load(tmp_path / "bundle"), replace(assemble(*parts), gain=0.7)
    samples = sound(1.0)
    first, second = a.animate(one, samples, pictures=True), a.animate(two, samples)
    np.testing.assert_array_equal(first.vertices, second.vertices)
    assert second.translated is None
    assert first.vertices.shape == (25, 60, 3)
    assert first.translated.shape == (25, SIZE, SIZE, 3)
    assert first.vertices.std(0).max() > 0


def test_chunks_do_not_show(parts, monkeypatch):
    bundle = assemble(*parts)
    whole = a.animate(bundle, sound(3.0)).vertices
    monkeypatch.setattr(a, "CHUNK", 7)
    np.testing.assert_allclose(a.animate(bundle, sound(3.0)).vertices, whole, atol=0.02)


def test_translation_of_the_neutral_crop_equals_the_decoded_origin(parts):
    bundle = assemble(*parts)
    model = bundle.transcoder
    neutral = (model.neutral[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
    got = a.translate(bundle, neutral[None], model.colours[0].numpy())
    with torch.no_grad():
        origin = bundle.regressor(model.synthetic(torch.zeros(1, CONFIG.code)))
    np.testing.assert_allclose(got.vertices, origin.numpy(), atol=0.05)


def test_missing_bundle_and_speechless_model(parts, tmp_path):
    with pytest.raises(TalkmeshError, match="is no model bundle"):
        load(tmp_path / "nothing")
    config = dataclasses.replace(CONFIG, with_speech=False)
    write_transcoder(parts[0], model_of(config), FRAMING, 25.0)
    with pytest.raises(TalkmeshError, match="without speech"):
        a.animate(assemble(*parts), sound(1.0))


def test_broken_models_are_named(parts):
    transcoder, regressor, _ = parts
    with pytest.raises(TalkmeshError, match="trained on another rig"):
        read_regressor(regressor, "other")
    saved = json.loads((transcoder / "config.json").read_text())
    saved["config"]["code"] = 7
    (transcoder / "config.json").write_text(json.dumps(saved))
    with pytest.raises(TalkmeshError, match="do not belong together"):
        read_transcoder(transcoder)
    weights = transcoder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(TalkmeshError, match="no readable model"):
        read_transcoder(transcoder)
