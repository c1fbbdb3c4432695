"""The learning half on films of a second: it sees, it hears, it is resumed bit for bit, and its figures watch it."""

import dataclasses

import numpy as np
import pytest
import torch

import people_on_film as film
from people_on_film import HEARD, SEEN, fitted, opened, renders, stage_of, write_films
from talkmesh.agreement import shape_reader, shown_shapes
from talkmesh.animate import codes_of
from talkmesh.bundle import Bundle
from talkmesh.domains import heard_offsets, seen_offsets, to_tensor
from talkmesh.errors import TalkmeshError
from talkmesh.models import transcoder as t
from talkmesh.sampler import Sampler

CODES = {"code_std", "neutral_distance"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    write_films(root, {"anna": 4})
    return root


@pytest.fixture(scope="module")
def models(root):
    """`image_only`, and the `full` that goes on from it, with their last figures."""
    seen = fitted(root, "seen", stage_of())
    return seen, fitted(root, "heard", stage_of(root / "seen", 150, model=HEARD, image_rate=0.1))


def shown(model: t.Transcoder, offsets: torch.Tensor) -> np.ndarray:
    """The lip gap that D_S's pictures of offset codes show, read as the validation reads it."""
    drawn = renders()
    points = film.RIG.vertices(drawn.poses)[:, film.RIG.landmarks]
    gap = (points[:, 20:] - film.RIG.neutral[film.RIG.landmarks][20:])[..., 1].min(1) / -50
    shapes = torch.from_numpy(np.stack([gap, 0 * gap], 1))
    read = shown_shapes(model, offsets, shape_reader(model, to_tensor(drawn.images), shapes))
    return read[:, 0].numpy()


@torch.no_grad()
def test_the_character_does_what_the_speaker_does_seen_and_heard(root, models):
    (seen, _), (heard, _) = models
    clip = opened(root, "test", hears=True).clips[0]
    every, truth = np.arange(film.FRAMES), film.opening(3)
    assert np.corrcoef(shown(seen, seen_offsets(seen, clip, every)), truth)[0, 1] > 0.85
    got = shown(heard, heard_offsets(heard, clip, every))
    assert np.corrcoef(got, truth)[0, 1] > 0.7


@torch.no_grad()
def test_in_silence_the_mouth_rests(models):
    model = models[1][0]
    bundle = Bundle(model, None, film.RIG, film.FRAMING, film.FPS)  # type: ignore[arg-type]
    noise = np.random.default_rng(5).normal(0, 0.1, 16_000).astype(np.float32)
    quiet, loud = (
        shown(model, torch.from_numpy(np.concatenate(list(codes_of(bundle, [sound])))))
        for sound in (0 * noise, noise)
    )
    assert np.abs(quiet).mean() < 0.35 * np.abs(loud).mean()


def test_figures_tell_of_collapse_and_mismatch(models):
    (_, seen), (_, heard) = models
    assert set(seen) == {"image", "mismatch_image", "score"} | CODES
    assert set(heard) == set(seen) | {"speech", "mismatch_speech", "codes"}
    assert seen["score"] == pytest.approx(seen["image"] * seen["mismatch_image"])
    assert heard["score"] == pytest.approx(heard["speech"] * heard["mismatch_speech"])
    assert heard["mismatch_speech"] < 1, "better than a still face"


def test_full_begins_with_what_image_only_has_learned(root, models):
    (seen, _), _ = models
    held = stage_of(root / "seen", 1, model=HEARD, image_rate=0.0)
    begun, _ = fitted(root, "begun", held)
    for name, value in seen.state_dict().items():
        assert torch.equal(begun.state_dict()[name], value), name
    codes = torch.cat(
        [seen_offsets(seen, c, np.flatnonzero(c.good)[::8]) for c in opened(root, "train").clips]
    )
    torch.testing.assert_close(begun.speech.mean, codes.mean(0))


@pytest.mark.parametrize("kill_at", [2, 5])
def test_a_killed_training_ends_as_the_uninterrupted_one(root, monkeypatch, kill_at):
    weights = dataclasses.replace(HEARD.weights, anchor=3.0)
    model = dataclasses.replace(HEARD, weights=weights, disturb=1.0, code_noise=(1.0, 0.4))
    stage = stage_of(root / "none", 6, model=model)
    stage = dataclasses.replace(stage, train=dataclasses.replace(stage.train, validate_every=2))
    whole, _ = fitted(root, "whole", stage)
    draw, drawn = Sampler.draw, []

    def once(self, *words):
        drawn.append(1)
        if len(drawn) == kill_at:
            raise KeyboardInterrupt
        return draw(self, *words)

    monkeypatch.setattr(Sampler, "draw", once)
    with pytest.raises(KeyboardInterrupt):
        fitted(root, f"killed{kill_at}", stage)
    again, _ = fitted(root, f"killed{kill_at}", stage)
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_images_stay_on_disk(root):
    real = opened(root, "train")
    assert all(isinstance(clip.images, np.memmap) for clip in real.clips)
    sampler = Sampler(real, renders(), film.RIG, film.FRAMING, 4, 10, 4, 2, 8, 0.5)
    assert all(kept is clip for kept, clip in zip(sampler.real.clips, real.clips, strict=True))


def test_a_start_of_other_sizes_is_refused(root, models):
    stage = stage_of(root / "seen", 1, model=dataclasses.replace(SEEN, code=7))
    with pytest.raises(TalkmeshError, match="has other sizes than"):
        fitted(root, "no", stage)
