"""Several speakers: a D_R, a neutral image and colours each, all else shared; and a trained model meets a new one."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

import people_on_film as film
from models_on_disk import FRAMING, RIG, sound, write_parts
from people_on_film import HEARD, SKIN, TRAIN, fitted, opened, renders, stage_of, write_films
from talkmesh import bundle as b
from talkmesh import contracts, params
from talkmesh.animate import animate, translate
from talkmesh.bundle import assemble, load, write_bundle
from talkmesh.contracts import write_renders
from talkmesh.domains import to_tensor
from talkmesh.errors import TalkmeshError
from talkmesh.fitting import decoded_sheet
from talkmesh.models import transcoder as t
from talkmesh.models.regressor import Regressor, RegressorConfig
from talkmesh.models.store import read_transcoder, write_regressor, write_transcoder
from talkmesh.rig import write_rig
from talkmesh.sampler import Sampler
from talkmesh.strips import read_strip
from test_transcoder import CODE, CONFIG, SIZE, batch_of, model_of, reference

ROOT = Path(__file__).parents[1]
TWO = ("anna", "bob")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Films of anna and bob; a model of both."""
    root = tmp_path_factory.mktemp("two")
    write_films(root, {"anna": 4, "bob": 4})
    fitted(root, "both", stage_of(speakers=TWO))
    return root


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Films of anna; models of her, from pictures and then from speech, as in any project with one speaker."""
    root = tmp_path_factory.mktemp("one")
    write_films(root, {"anna": 4})
    fitted(root, "seen", stage_of())
    fitted(root, "heard", stage_of(root / "seen", 6, model=HEARD))
    return root


# ------------------------------------------------------------------------------------------------- equations


@pytest.mark.parametrize("change", [{}, {"ccl_offset": True}, {"cf_detach": True}])
def test_a_mixed_batch_is_the_printed_equations_with_what_is_each_speakers_own(monkeypatch, change):
    monkeypatch.setattr(t, "disturb", lambda x, strength: x)
    config = dataclasses.replace(CONFIG, **change)
    model, batch = model_of(config, TWO), batch_of()
    batch.decoded, batch.speakers = torch.arange(0, 6, 2), (4, 2)
    with torch.no_grad():
        terms = t.TranscoderLoss(config, SIZE)(model, batch)
        expected = reference(model, batch, (0, 0, 0, 0, 1, 1))
    for name, value in expected.items():
        if name != "ccl" or not config.ccl_offset:  # the reference has eq. 4 as printed
            assert float(terms[name]) == pytest.approx(value, rel=2e-4), name


def test_one_speakers_batch_makes_the_same_terms_whoever_else_the_model_knows():
    one, two = model_of(), model_of(speakers=("anna", "bob"))
    two.load_state_dict(one.state_dict() | {k: v for k, v in two.state_dict().items() if k.startswith("others.")}
                        | {name: torch.stack([getattr(one, name)[0], getattr(two, name)[1], getattr(one, name)[1]])
                           for name in ("neutral", "colours")})  # fmt: skip
    batch = batch_of()
    torch.manual_seed(0)
    wanted = t.TranscoderLoss(CONFIG, SIZE)(one, batch)
    batch.speakers = (6, 0)
    torch.manual_seed(0)
    got = t.TranscoderLoss(CONFIG, SIZE)(two, batch)
    for name in ("pixel_synthetic", "cf", "cs", "ccl"):
        torch.testing.assert_close(got[name], wanted[name], rtol=1e-5, atol=1e-7)
    (got["cs"] + got["cf"] + got["ccl"]).backward()
    assert all(p.grad is None for p in two.others.parameters()), (
        "who is not shown is not taught by others' faces"
    )


def test_the_model_of_one_speaker_has_the_weights_it_always_had(tmp_path):
    model = model_of()
    parts = {name.split(".")[0] for name in model.state_dict()}
    assert parts == {"encoder", "real", "synthetic", "speech", "neutral", "colours", "mask"}
    write_transcoder(tmp_path, model, FRAMING, 25.0)
    assert set(json.loads((tmp_path / "config.json").read_text())["extra"]) == {"framing", "fps"}
    assert torch.equal(model.decoders[0].start.weight, model.real.start.weight)
    assert model.number("whoever") == 0


def test_names_and_neutral_images_must_fit():
    model = model_of()
    with pytest.raises(ValueError, match="2 neutral images do not fit 2 names"):
        t.Transcoder(CONFIG, SIZE, 25.0, model.neutral, model.colours, model.mask, TWO)


# ------------------------------------------------------------------------------------------------------ data


def test_clips_are_read_by_speaker_and_measured_against_their_own(root):
    both = opened(root, "train", TWO)
    assert [clip.name for clip in both.clips] == ["anna_0", "anna_1", "bob_0", "bob_1"]
    assert [clip.speaker for clip in both.clips] == [0, 0, 1, 1]
    assert (both.neutral.shape, both.colours.shape) == ((2, 3, 16, 16), (2, 2, 3))
    alone = opened(root, "train", ("bob",))
    assert torch.equal(alone.neutral[0], both.neutral[1])
    np.testing.assert_array_equal(alone.colours[0], both.colours[1])
    assert [clip.name for clip in both.of(1).clips] == [clip.name for clip in alone.clips]


def test_a_batch_is_ordered_by_speaker_and_both_are_drawn_as_often(root):
    real = opened(root, "train", TWO)
    long = dataclasses.replace(
        real, clips=[*real.clips[:2] * 9, real.clips[2]]
    )  # much of anna, little of bob
    sampler = Sampler(long, renders(), film.RIG, film.FRAMING, 6, 10, 4, 2, 5, 0.5)
    counts = []
    for seed in range(60):
        batch = sampler.draw(np.random.default_rng(seed), torch.device("cpu"))
        counts.append(batch.speakers)
        assert sum(batch.speakers) == len(batch.real) == 24
        red, blue = batch.real.mean((2, 3))[:, 0], batch.real.mean((2, 3))[:, 2]
        assert (red > blue).tolist() == [True] * batch.speakers[0] + [False] * batch.speakers[1]
    assert np.mean(counts, 0)[0] == pytest.approx(12, abs=1.5)


def test_whom_nobody_knows_and_who_is_not_named_is_said(root):
    with pytest.raises(TalkmeshError, match=r"one speaker a model; .*anna, bob.*transcoder\.speakers"):
        opened(root, "train")
    with pytest.raises(TalkmeshError, match=r"'carl' is named twice or has no crops; .*holds anna, bob"):
        opened(root, "train", ("anna", "carl"))
    with pytest.raises(TalkmeshError, match="'bob' is named twice"):
        opened(root, "train", ("bob", "anna", "bob"))
    with pytest.raises(TalkmeshError, match="knows no speaker 'carl', only anna, bob"):
        model_of(speakers=TWO).number("carl")
    real = opened(root, "train", TWO)
    lost = dataclasses.replace(real, clips=real.clips[:2])
    with pytest.raises(TalkmeshError, match="no frame of bob is left"):
        Sampler(lost, renders(), film.RIG, film.FRAMING, 6, 10, 4, 2, 5, 0.5)


# -------------------------------------------------------------------------------------------------- training


def test_each_speaker_gets_a_decoder_and_codes_pass_between_them(root):
    model, *_ = read_transcoder(root / "both")
    real = opened(root, "val", TWO)
    skin = torch.tensor([SKIN[name] for name in TWO]) / 255
    with torch.no_grad():
        for speaker, clip in enumerate(real.clips):
            images = to_tensor(clip.images)
            own = torch.from_numpy(clip.colours)[None]
            offsets = model.offsets_of_images(images, own, speaker)
            for i in range(2):  # the cheek: above the mouth, inside the mask
                cheek = model.decoders[i](offsets)[:, :, 2:4, 6:10].mean((0, 2, 3))
                assert (cheek - skin[i]).abs().max() < 0.15, (speaker, i)
                assert (cheek - skin[1 - i]).abs().max() > 0.3
            mouth = model.decoders[1 - speaker](offsets)[:, :, 11, 6:10].mean((1, 2))  # open: dark
            still = torch.corrcoef(torch.stack([mouth, torch.from_numpy(clip.shapes[:, 0])]))[0, 1]
            assert still < -0.8, "what one does with the mouth, the other's decoder shows"
    sheet = decoded_sheet(model, dataclasses.replace(real, clips=real.clips[:1] * 3 + real.clips[1:]), 2)
    assert sheet.shape[1] > 0
    first, second = (sheet[8:24, i : i + 32].mean((0, 1)) for i in (0, sheet.shape[1] // 2))
    assert first[0] > first[2]  # red, then blue: speakers take turns
    assert second[0] < second[2]


def test_a_new_speaker_is_met_sooner_by_a_trained_model(alone, tmp_path):
    write_films(tmp_path, {"carl": 4})
    _, scratch = fitted(tmp_path, "scratch", stage_of(steps=15))
    trained = load_file(alone / "seen" / "weights.safetensors")
    for rate in (0.0, 0.2):
        model, adapted = fitted(tmp_path, f"adapted{rate}", stage_of(alone / "seen", 15, shared_rate=rate))
        assert adapted["image"] < 0.6 * scratch["image"]
        assert adapted["mismatch_image"] < 0.5 * scratch["mismatch_image"]
        shared = {k: v for k, v in model.state_dict().items() if k.startswith(("encoder.", "synthetic."))}
        assert all(torch.equal(v, trained[k]) for k, v in shared.items()) is (rate == 0)
        assert not torch.equal(model.real.start.weight, trained["real.start.weight"])
        assert torch.equal(model.neutral[0], opened(tmp_path, "train").neutral[0]), "carl's, not anna's"


def test_a_fixed_speech_encoder_stays_as_it_was(alone, tmp_path):
    write_films(tmp_path, {"carl": 4})
    stage = stage_of(alone / "heard", 3, model=HEARD, shared_rate=0.0)
    model, _ = fitted(tmp_path, "adapted", stage)
    trained = load_file(alone / "heard" / "weights.safetensors")
    assert float(trained["speech.spread"]) != 1.0, "measured when E_A was new"
    for name, value in model.speech.state_dict().items():
        assert torch.equal(value, trained[f"speech.{name}"]), name


def test_networks_are_taken_over_by_name(root, tmp_path):
    both = load_file(root / "both" / "weights.safetensors")
    films = tmp_path / "films"
    write_films(films, {"bob": 4, "carl": 4})
    frozen = stage_of(root / "both", 1, speakers=("carl", "bob"), image_rate=0.0)
    frozen = dataclasses.replace(frozen, model=HEARD)  # something has to learn
    model, _ = fitted(films, "next", frozen)
    assert torch.equal(model.decoders[1].start.weight, both["others.0.start.weight"])  # bob's own
    assert torch.equal(model.decoders[0].start.weight, both["real.start.weight"])  # carl begins as the first


# ----------------------------------------------------------------------------------------- bundles, animation


@pytest.fixture
def parts(tmp_path):
    transcoder, *others = write_parts(tmp_path)
    write_transcoder(transcoder, model_of(speakers=TWO), FRAMING, 25.0)
    return transcoder, *others


def test_bundles_say_whose_faces_are_in_them(parts, tmp_path):
    write_bundle(tmp_path / "bundle", *parts)
    manifest = b.check(tmp_path / "bundle")
    assert (manifest.format, manifest.speakers) == (2, TWO)
    one, two = load(tmp_path / "bundle"), assemble(*parts)
    assert one.transcoder.speakers == TWO
    samples = sound(1.0)
    for speaker in (0, 1):
        got, wanted = (animate(x, samples, pictures=True, speaker=speaker) for x in (one, two))
        np.testing.assert_array_equal(got.decoded, wanted.decoded)
    first, second = (animate(one, samples, pictures=True, speaker=i) for i in (0, 1))
    np.testing.assert_array_equal(first.vertices, second.vertices)
    assert np.abs(first.decoded.astype(int) - second.decoded).max() > 0


def test_bundles_of_one_speaker_are_as_before(tmp_path):
    write_bundle(tmp_path / "bundle", *write_parts(tmp_path))
    saved = json.loads((tmp_path / "bundle" / b.MANIFEST).read_text())
    assert saved["format"] == 1
    assert "speakers" not in saved
    assert load(tmp_path / "bundle").transcoder.speakers == ()


def test_each_neutral_crop_is_translated_to_the_neutral_face(parts):
    bundle = assemble(*parts)
    model = bundle.transcoder
    with torch.no_grad():
        origin = bundle.regressor(model.synthetic(torch.zeros(1, CODE))).numpy()
    for i in (0, 1):
        neutral = (model.neutral[i].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
        away = [
            np.abs(translate(bundle, neutral[None], model.colours[i].numpy(), j).vertices - origin).max()
            for j in (i, 1 - i)
        ]
        assert away[0] < 0.1 < 1 < away[1], "relative to the speaker's own neutral code, not to the other's"


def test_the_stages_go_through_with_several_speakers(tmp_path, monkeypatch):
    from stages import animate as animating
    from stages import pseudo, transcoder

    write_films(tmp_path, {"anna": 4, "bob": 4, "carl": 1})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALKMESH_TRACKING", "off")
    numbers = params.merged(params.read(ROOT / "params.yaml"), {
        "crop": {"pixels": film.SIZE, "mouth_widths": 2.0},
        "transcoder": {"start": "nowhere", "speakers": list(TWO)},
        "pseudo": {"methods": {"pseudo": "full"}}, "animated": {"ours": "full"},
    })  # fmt: skip
    model, batch = (dataclasses.asdict(part) for part in (HEARD, stage_of().batch))
    train = dataclasses.asdict(TRAIN) | {"steps": 60, "validate_every": 60}
    numbers["variants"] = {"full": {"start": "nowhere", "model": model, "batch": batch, "train": train}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(numbers))))
    write_renders(renders(), contracts.RENDERS / "cg")
    write_rig(contracts.RIGS / "character.npz", film.RIG)
    network = Regressor(RegressorConfig("resnet18", 4, 0.0, 0, 0, 0, 0, 0), torch.from_numpy(RIG.neutral))
    write_regressor(Path("models/regressor/cg"), network.eval(), film.RIG.hash)

    transcoder.main("full")
    animating.main("ours")
    assert load("models/bundles/ours").transcoder.speakers == TWO
    with pytest.raises(TalkmeshError, match="knows no speaker 'carl', only anna, bob"):
        pseudo.main("pseudo")
    for method, clips in (("ours", ("anna_3", "bob_3", "carl_0")), ("pseudo", ("anna_3", "bob_3"))):
        for clip in clips:
            assert (contracts.PREDICTIONS / method / f"{clip}.npz").exists()
            d_r, _ = read_strip(contracts.PREDICTIONS / method, clip)
            cheek = d_r[:, 2:4, 6:10].mean((0, 1, 2))
            assert (cheek[2] > cheek[0]) is np.bool_(clip == "bob_3"), "red is anna, blue is bob"
