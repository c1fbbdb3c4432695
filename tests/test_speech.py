"""The speech encoder: time without drift, bounded context, and loading of checkpoints."""

import dataclasses

import numpy as np
import pytest
import torch

from talkmesh.errors import TalkmeshError
from talkmesh.models.hearing import HAMA_HOP, RATE, frame_times, phoneme_posteriors, read_at
from talkmesh.models.speech import SpeechConfig, SpeechEncoder, features

CONFIG = SpeechConfig("log_mel", "", 2, 32, 2, 4, 3, 0.0)


def test_frame_times_do_not_drift_over_an_hour():
    frames = 3600 * 30
    assert frame_times(frames, 30.0, 1)[-1] == pytest.approx(3600 - 0.5 / 30, abs=1e-9)
    two = frame_times(4, 25.0, 2)
    np.testing.assert_allclose(two, [0.01, 0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15])


def test_reading_a_ramp_returns_the_time():
    ramp = (np.arange(100) * 160 / RATE)[:, None].astype(np.float32)
    times = np.array([0.0, 0.123, 0.5, 0.98])
    np.testing.assert_allclose(read_at(ramp, 160, times)[:, 0], times, atol=1e-6)


@pytest.mark.parametrize("fps", [24.0, 25.0, 29.97, 60.0])
def test_a_click_is_felt_at_its_frame(fps):
    samples = np.zeros(2 * RATE, np.float32)
    samples[RATE : RATE + 160] = 0.5
    fed = features(samples, int(2 * fps), fps, dataclasses.replace(CONFIG, per_frame=1))
    loudest = int(fed.mean(1).argmax())
    assert abs((loudest + 0.5) / fps - (RATE + 80) / RATE) <= 0.5 / fps + 0.01


def test_context_is_bounded():
    """A change far away must not be felt: layers * context + half the positional kernel is the reach."""
    torch.manual_seed(0)
    encoder = SpeechEncoder(CONFIG, 8, 25.0).eval()
    x = torch.randn(1, 60, 160)
    y = x.clone()
    y[:, 30] += 1
    reach = encoder.reach
    felt = ((encoder(x) - encoder(y)).abs().amax(-1)[0] > 1e-6).nonzero()[:, 0]
    assert felt.min() >= 30 - reach
    assert felt.max() <= 30 + reach
    assert 30 in felt


def test_window_equals_whole_inside():
    torch.manual_seed(0)
    encoder = SpeechEncoder(CONFIG, 8, 25.0).eval()
    x = torch.randn(1, 80, 160)
    reach = encoder.reach
    whole, window = encoder(x), encoder(x[:, 20:70])
    torch.testing.assert_close(
        window[:, reach:-reach], whole[:, 20 + reach : 70 - reach], atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_codes_start_about_those_to_follow(scale):
    """Whatever the size of E_V's codes, the first ones of E_A are relatively as far from them."""
    torch.manual_seed(0)
    encoder = SpeechEncoder(CONFIG, 8, 25.0).eval()
    wanted = scale * (torch.randn(500, 8) + 3)
    x = torch.randn(4, 60, 160)
    raw = encoder(x)
    encoder.measure(wanted)
    codes = encoder(x)
    torch.testing.assert_close(
        (codes - wanted.mean(0)) / wanted.var(0).mean().sqrt(), raw, atol=1e-4, rtol=1e-3
    )


def test_posteriors_are_log_probabilities_on_the_grid_of_the_sound():
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(RATE)).astype(np.float32)
    scaled = phoneme_posteriors(samples)
    assert abs(len(scaled) - RATE / HAMA_HOP) <= 2
    log_p = (scaled - 1) * 6
    assert np.exp(log_p).sum(1) == pytest.approx(np.ones(len(log_p)), abs=0.01)
    again = phoneme_posteriors(samples[: RATE // 2])  # the engine reuses its buffer
    np.testing.assert_array_equal(phoneme_posteriors(samples), scaled)
    assert len(again) < len(scaled)


def test_both_front_ends_side_by_side():
    samples = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    parts = [
        features(samples, 25, 25.0, dataclasses.replace(CONFIG, front_end=f)) for f in ("hama", "log_mel")
    ]
    both = features(samples, 25, 25.0, dataclasses.replace(CONFIG, front_end="hama_log_mel"))
    assert both.shape == (25, 2 * (191 + 80))
    np.testing.assert_array_equal(both.reshape(50, -1)[:, :191], parts[0].reshape(50, -1))
    np.testing.assert_array_equal(both.reshape(50, -1)[:, 191:], parts[1].reshape(50, -1))


@pytest.mark.parametrize(("samples", "what"), [(np.zeros(10, np.float32), "too short"), (None, "NaN")])
def test_unusable_sound_is_refused(samples, what):
    if samples is None:
        samples = np.full(RATE, np.nan, np.float32)
    with pytest.raises(TalkmeshError, match=what):
        features(samples, 25, 25.0, CONFIG)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    folder = tmp_path_factory.mktemp("wav2vec2")
    Wav2Vec2Model(config).save_pretrained(folder)
    return str(folder)


def test_wav2vec2_from_a_folder(checkpoint):
    config = dataclasses.replace(CONFIG, front_end="wav2vec2", checkpoint=checkpoint)
    encoder = SpeechEncoder(config, 8, 25.0)
    samples = (0.1 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    fed = torch.from_numpy(features(samples, 50, 25.0, config))[None]
    codes = encoder(fed, 50)
    assert codes.shape == (1, 50, 8)
    codes.sum().backward()
    frozen = encoder.front_end.network.feature_extractor.parameters()
    assert all(p.grad is None for p in frozen)
    assert any(p.grad is not None for p in encoder.front_end.network.encoder.parameters())


def test_missing_checkpoint_says_what_to_do(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it is tried again and again
    config = dataclasses.replace(CONFIG, front_end="wav2vec2", checkpoint="no/such-checkpoint")
    with pytest.raises(TalkmeshError, match=r"no/such-checkpoint.*hama"):
        SpeechEncoder(config, 8, 25.0)


def test_a_stored_front_end_needs_no_checkpoint(checkpoint, tmp_path, monkeypatch):
    """The transcoder's folder holds the weights and the architecture of its wav2vec 2.0."""
    from talkmesh.framing import Framing
    from talkmesh.models.store import read_transcoder, write_transcoder
    from test_transcoder import CONFIG as TRANSCODER
    from test_transcoder import SIZE, model_of

    speech = dataclasses.replace(CONFIG, front_end="wav2vec2", checkpoint=checkpoint)
    model = model_of(
        dataclasses.replace(TRANSCODER, speech=dataclasses.replace(speech, checkpoint=checkpoint))
    )
    write_transcoder(tmp_path / "t", model, Framing(SIZE, 2.0, 0.5, True), 25.0)
    monkeypatch.setattr(
        "transformers.AutoModel.from_pretrained", lambda *_: pytest.fail("asked for the checkpoint")
    )
    again, _, _ = read_transcoder(tmp_path / "t")
    assert again.config == model.config
    fed = torch.randn(1, 16_000)
    torch.testing.assert_close(again.offsets_of_speech(fed, 25), model.offsets_of_speech(fed, 25))


def test_a_trainable_front_end_is_heard_in_blocks(checkpoint):
    """Shorter than a block: as in one go. Longer: the pieces do not matter."""
    config = dataclasses.replace(CONFIG, front_end="wav2vec2", checkpoint=checkpoint)
    encoder = SpeechEncoder(config, 8, 25.0).eval()
    rng = np.random.default_rng(0)
    for seconds in (2, 7):
        samples = (0.1 * rng.standard_normal(seconds * RATE)).astype(np.float32)
        frames, got = seconds * 25, []
        for cuts in ([], [5_000, 30_000]):
            listener = encoder.front_end.listener()
            with torch.no_grad():
                parts = [listener.push(piece) for piece in np.split(samples, cuts)] + [
                    listener.finish(frames)
                ]
            got.append(np.concatenate([part for part in parts if len(part)]))
        np.testing.assert_allclose(got[0], got[1], atol=1e-5)
        if seconds == 2:
            fed = torch.from_numpy(features(samples, frames, 25.0, config))[None]
            with torch.no_grad():
                whole = encoder.front_end(fed, frames)[0].numpy()
            np.testing.assert_allclose(got[0], whole, atol=1e-4)
