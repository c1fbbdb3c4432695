"""Sequences, training, storing and predicting of the methods to compare with, on a world small enough to learn."""

import dataclasses

import numpy as np
import pytest
import torch

import tiny_project
from quiet import Quiet
from slow_layers import arrays, decoder_layer, dense, randomised, sub
from talkmesh import baselines, params
from talkmesh.baselines import Baseline, BaselineStage, fit_baseline, predict, read_baseline, write_baseline
from talkmesh.errors import TalkmeshError
from talkmesh.models.basis import principal
from talkmesh.models.linear import Linear, LinearConfig
from talkmesh.models.selftalk import SelfTalk, SelfTalkConfig
from talkmesh.models.speech import MELS, SpeechConfig
from talkmesh.sequences import Sampler, Sequence, Stretches, cut_speech, one_hot, read_sequences
from talkmesh.spoken import Spoken

FPS = 25.0
SPEECH = SpeechConfig("log_mel", "", 2, 16, 1, 2, 6, 0.0)
RIG = tiny_project.tiny_rig()
TRAIN = {
    "steps": 1, "learning_rate": 0.01,
    "warmup": 5, "weight_decay": 0.0, "clip": 1.0, "ema": 0.9, "validate_every": 1000, "patience": 0,
    "compile": False, "precision": "float32", "device": "cpu", "seed": 3,
}  # fmt: skip
SECTION = {
    "methods": {},
    "linear": {"model": {"code": 4}, "batch": {"sequences": 4, "frames": 24}},
    "voca": {"model": {"code": 4, "velocity": 10.0}, "batch": {"sequences": 32, "frames": 2}},
    "faceformer": {
        "model": {"speech": 16, "width": 16, "heads": 4, "period": 25, "dropout": 0.0},
        "batch": {"sequences": 4, "frames": 24},
    },
    "selftalk": {
        "model": {"speech": 16, "width": 16, "heads": 4, "dropout": 0.0, "velocity": 1.0},
        "batch": {"sequences": 4, "frames": 24},
    },
    "meshtalk": {"model": {"heads": 4, "classes": 8}, "batch": {"sequences": 8, "frames": 16}},
}
STEPS = {"linear": 60, "voca": 150, "faceformer": 100, "selftalk": 100, "meshtalk": 60}


def stage() -> BaselineStage:
    values = SECTION | {"train": TRAIN}
    for name, steps in STEPS.items():
        values[name] = values[name] | {"train": {"steps": steps}}
    meshtalk = values["meshtalk"]
    values["meshtalk"] = meshtalk | {"context_batch": meshtalk["batch"], "context_train": meshtalk["train"]}
    return params.build(BaselineStage, values, "test")


def spoken(name: str, seed: int, frames: int = 40, speaker: str = "anna") -> Spoken:
    """A voice whose loudness is the opening of the jaw."""
    rng = np.random.default_rng(seed)
    knots = np.arange(0, frames + 8, 4)
    weight = np.interp(np.arange(frames), knots, rng.random(len(knots)))
    level = np.interp(np.arange(frames * 640) / 640 - 0.5, np.arange(frames), weight)
    noise = np.random.default_rng(seed + 100).standard_normal(len(level))
    samples = (10 ** (2 * level - 3) * noise).astype(np.float32)
    poses = np.column_stack([weight, np.full(frames, 0.2)]).astype(np.float32)
    return Spoken(name, speaker, samples, RIG.vertices(poses), RIG.neutral)


@pytest.fixture(scope="module")
def world() -> tuple[list[Sequence], list[Sequence]]:
    train = [spoken(f"t{i}", i, 40 + i, "anna" if i % 2 else "ben") for i in range(8)]
    return read_sequences(train, SPEECH, FPS), read_sequences([spoken("v", 50), spoken("w", 51)], SPEECH, FPS)


def test_sequences_hold_what_they_were_made_of(world) -> None:
    for i, s in enumerate(world[0]):
        made = spoken(s.name, i, 40 + i)
        assert isinstance(s.offsets, np.memmap)  # on disk, not in memory
        np.testing.assert_allclose(s.offsets, made.vertices - RIG.neutral, atol=1e-5)
        assert s.speech.shape == (40 + i, 2 * MELS)


def test_speech_is_cut_with_margins_and_zeros_beyond_the_clip() -> None:
    x = np.arange(1, 21, dtype=np.float32).reshape(10, 2)
    padded = np.concatenate([np.zeros((3, 2)), x, np.zeros((3, 2))])
    for start in range(10):
        for frames in range(1, 11 - start):
            np.testing.assert_array_equal(
                cut_speech(x, start, frames, 3, FPS), padded[start : start + frames + 6]
            )
    wave = np.arange(1, 3 * 640 + 1, dtype=np.float32)
    cut = cut_speech(wave, 1, 2, 2, FPS)
    assert len(cut) == 6 * 640
    np.testing.assert_array_equal(cut[640:2560], wave)
    assert not cut[:640].any()
    assert not cut[2560:].any()


def test_draws_are_stretches_of_the_sequences(world) -> None:
    sequences = world[0]
    sampler = Sampler(sequences, ("anna", "ben"), Stretches(5, 12), 2, FPS)
    speech, who, neutral, offsets = sampler.draw(np.random.default_rng(0), torch.device("cpu"))
    assert speech.shape == (5, 16, 2 * MELS)
    assert offsets.shape == (5, 12, len(RIG.neutral), 3)
    for b in range(5):
        found = [
            (s, t)
            for s in sequences
            for t in range(len(s.offsets) - 11)
            if np.array_equal(s.offsets[t : t + 12], offsets[b].numpy())
        ]
        assert len(found) == 1
        s, t = found[0]
        np.testing.assert_array_equal(cut_speech(s.speech, t, 12, 2, FPS), speech[b].numpy())
        assert who[b].tolist() == [float(s.speaker == "anna"), float(s.speaker == "ben")]
        np.testing.assert_array_equal(neutral[b].numpy(), RIG.neutral)
    long = Sampler(sequences, ("anna", "ben"), Stretches(3, 1000), 0, FPS)
    assert (
        long.draw(np.random.default_rng(1), torch.device("cpu"))[3].shape[1] <= 47
    )  # as long as the shortest


def test_a_stranger_is_given_the_first_speakers_style() -> None:
    assert one_hot("ben", ("anna", "ben")).tolist() == [0.0, 1.0]
    assert one_hot("carl", ("anna", "ben")).tolist() == [1.0, 0.0]


def test_principal_directions_are_those_of_the_svd() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((30, 3)) @ rng.standard_normal((3, 24))).float().view(30, 8, 3)
    basis = principal(x, 5)
    _, s, vt = np.linalg.svd(x.reshape(30, -1).numpy(), full_matrices=False)
    for k in range(3):
        wanted = vt[k] * s[k] / np.sqrt(30)
        assert min(np.abs(basis[k].numpy() - sign * wanted).max() for sign in (1, -1)) < 1e-4
    assert not basis[3:].any()  # there is no more
    coefficients = np.linalg.lstsq(basis[:3].T.numpy(), x.reshape(30, -1).numpy().T, rcond=None)[0]
    np.testing.assert_allclose(np.sqrt((coefficients**2).mean(1)), 1, atol=1e-3)


def test_linear_starts_from_the_components_and_is_linear_in_the_code() -> None:
    net = Linear(LinearConfig(4), SPEECH, FPS, len(RIG.neutral))
    offsets = torch.einsum("nk,kvc->nvc", torch.rand(20, 2), torch.from_numpy(RIG.deltas))
    net.start(RIG, offsets)
    # what E_A has to say for each mesh is of unit size, and is enough
    flat = offsets.flatten(1) / net.scale
    code = torch.linalg.lstsq(net.mesh.weight[:, :2], flat.T).solution
    torch.testing.assert_close(net.mesh.weight[:, :2] @ code, flat.T, atol=1e-3, rtol=1e-3)
    assert float(code.detach().square().mean()) == pytest.approx(1, abs=0.01)
    x = torch.randn(1, 6, 2 * MELS)
    w = arrays(net)
    expected = float(net.scale) * dense(sub(w, "mesh"), net.eval().speech(x)[0].detach().double().numpy())
    got = net(x, torch.ones(1, 1), torch.zeros(1, len(RIG.neutral), 3), 6)[0].detach().numpy()
    np.testing.assert_allclose(got, expected.reshape(6, -1, 3), atol=1e-3)


def test_selftalk_equals_the_network_written_out() -> None:
    net = randomised(SelfTalk(SelfTalkConfig(16, 16, 4, 0.1, 1.0), SPEECH, FPS, 5))
    net.scale.fill_(2.0)
    x = torch.randn(1, 7, 2 * MELS)
    w = arrays(net)
    h = dense(sub(w, "embed"), net.speech(x)[0].detach().double().numpy())
    everything = [(j, 0.0) for j in range(7)]
    h = decoder_layer(sub(w, "decoder"), 4, h, h, lambda head, i: everything, lambda head, i: everything)
    expected = 2 * dense(sub(w, "mesh"), h).reshape(7, 5, 3)
    got = net(x, torch.ones(1, 1), torch.zeros(1, 5, 3), 7)[0].detach().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.fixture(scope="module")
def learned(world, tmp_path_factory) -> dict[str, tuple[Baseline, baselines.Curves]]:
    made = {}
    for model in STEPS:
        work = tmp_path_factory.mktemp(model)
        made[model] = fit_baseline(stage(), model, SPEECH, FPS, *world, RIG, work, Quiet())
    return made


@pytest.mark.parametrize(
    ("model", "bar"),
    [("linear", 0.6), ("voca", 0.6), ("faceformer", 0.6), ("selftalk", 0.7), ("meshtalk", 1.0)],
)
def test_every_method_learns_what_was_not_seen(model: str, bar: float, world, learned) -> None:
    trained, curves = learned[model]
    last = {name: value for _, name, value, split in curves if split == "val"}
    assert last["lve_mm"] < bar * last["still_lve_mm"]
    # the figures are those of `predict` on whole clips, which is how it is used
    errors = []
    for s in world[1]:
        got = predict(trained, s.speech, s.speaker, s.neutral, len(s.offsets))
        errors.append(np.linalg.norm((got - s.offsets)[:, RIG.lips], axis=-1).max(1).mean())
    best = min(value for _, name, value, _ in curves if name == "lve_mm")
    assert np.mean(errors) == pytest.approx(best, rel=1e-3)


def test_meshtalks_autoencoder_is_judged_by_its_reconstruction(learned) -> None:
    values = {name: value for _, name, value, _ in learned["meshtalk"][1]}
    assert values["autoencoder_lve_mm"] < 0.7 * values["still_lve_mm"]
    steps = [step for step, name, _, _ in learned["meshtalk"][1] if name == "entropy"]
    assert min(steps) > STEPS["meshtalk"]  # one after the other on the same axis


def test_stored_methods_predict_the_same(learned, world, tmp_path) -> None:
    s = world[1][0]
    for model, (trained, _) in learned.items():
        write_baseline(tmp_path / model, trained)
        again = read_baseline(tmp_path / model, RIG)
        assert (again.model, again.speakers, again.fps, again.speech) == (
            model,
            trained.speakers,
            FPS,
            SPEECH,
        )
        one, two = (predict(m, s.speech, s.speaker, s.neutral, len(s.offsets)) for m in (trained, again))
        np.testing.assert_array_equal(one, two)
    other = dataclasses.replace(RIG, neutral=RIG.neutral + 1)
    with pytest.raises(TalkmeshError, match="another rig"):
        read_baseline(tmp_path / "voca", other)


def test_speakers_have_styles_in_voca_and_faceformer(learned, world) -> None:
    s = world[1][0]
    for model in ("voca", "faceformer"):
        anna, ben = (
            predict(learned[model][0], s.speech, w, s.neutral, len(s.offsets)) for w in ("anna", "ben")
        )
        assert not np.array_equal(anna, ben)


def test_mistakes_in_the_parameters_are_named(world, tmp_path) -> None:
    with pytest.raises(TalkmeshError, match=r"names the model 'lineal'; known are linear, voca"):
        stage().recipe("lineal")
    alone = dataclasses.replace(stage().meshtalk, batch=Stretches(1, 8))
    changed = dataclasses.replace(stage(), meshtalk=alone)
    with pytest.raises(TalkmeshError, match="must be 2 or more"):
        fit_baseline(changed, "meshtalk", SPEECH, FPS, *world, RIG, tmp_path, Quiet())
    with pytest.raises(TalkmeshError, match=r"baseline.*unknown key 'stepps'"):
        stage().training({"stepps": 3})


def test_a_training_is_named_by_all_that_it_depends_on(world) -> None:
    """Else a checkpoint of other data, or of other code, would be gone on from."""
    one = world[0][0]
    names = [
        baselines.work_folder(stage(), "voca", SPEECH, FPS, RIG, [one]),
        baselines.work_folder(stage(), "linear", SPEECH, FPS, RIG, [one]),
        baselines.work_folder(stage(), "voca", dataclasses.replace(SPEECH, width=8), FPS, RIG, [one]),
        *(
            baselines.work_folder(stage(), "voca", SPEECH, FPS, RIG, [dataclasses.replace(one, **change)])
            for change in ({"speaker": "x"}, {"offsets": one.offsets + 1}, {"speech": one.speech + 1})
        ),
        baselines.work_folder(
            dataclasses.replace(stage(), train=dataclasses.replace(stage().train, seed=9)),
            "voca", SPEECH, FPS, RIG, [one],
        ),
    ]  # fmt: skip
    assert len(set(names)) == len(names)
    assert names[0] == baselines.work_folder(stage(), "voca", SPEECH, FPS, RIG, [one])
