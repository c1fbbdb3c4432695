"""The training loop: resumes bit for bit, keeps the best weights, stops at a loss that is not finite."""

import numpy as np
import pytest
import torch
from torch import nn

from talkmesh.errors import TalkmeshError
from talkmesh.train import TrainConfig, fit, read_curves, write_curves

CONFIG = TrainConfig(30, 0.02, 3, 0.0, 1.0, 0.9, 6, "float32", "cpu", 5)


class Quiet:
    def metrics(self, values, step=0):
        pass

    def flush(self):
        pass


class Killed(Exception):
    pass


def problem(kill_at: int | None = None):
    """A small regression with dropout, so that every source of randomness counts."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
    data = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    truth = data.sum(1, keepdim=True)
    drawn: list[int] = []

    def losses(rng):
        if kill_at is not None and len(drawn) == kill_at:
            raise Killed
        index = rng.integers(0, 64, 8)
        drawn.append(int(index[0]))
        return {"mse": (model(data[index]) - truth[index]).square().mean()}

    def validate(candidate):
        return {"score": float((candidate(data) - truth).square().mean())}

    return model, losses, validate


def test_a_killed_run_ends_as_the_uninterrupted_one(tmp_path):
    model, losses, validate = problem()
    curves = fit(model, losses, validate, CONFIG, tmp_path / "whole", Quiet(), "test")
    for kill_at in (7, 13, 29):
        first, losses_1, validate_1 = problem(kill_at)
        with pytest.raises(Killed):
            fit(first, losses_1, validate_1, CONFIG, tmp_path / str(kill_at), Quiet(), "test")
        second, losses_2, validate_2 = problem()
        again = fit(second, losses_2, validate_2, CONFIG, tmp_path / str(kill_at), Quiet(), "test")
        for a, b in zip(model.parameters(), second.parameters(), strict=True):
            assert torch.equal(a, b)
        assert again == curves


def test_rates_are_per_parameter_and_survive_a_kill(tmp_path):
    def half(name):
        return 0.0 if name.startswith("0.") else 0.5

    model, losses, validate = problem()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fit(model, losses, validate, CONFIG, tmp_path / "whole", Quiet(), "test", half)
    assert torch.equal(model[0].weight, before["0.weight"])
    assert not torch.equal(model[2].weight, before["2.weight"])
    first, losses_1, validate_1 = problem(13)
    with pytest.raises(Killed):
        fit(first, losses_1, validate_1, CONFIG, tmp_path / "killed", Quiet(), "test", half)
    second, losses_2, validate_2 = problem()
    fit(second, losses_2, validate_2, CONFIG, tmp_path / "killed", Quiet(), "test", half)
    assert torch.equal(model[2].weight, second[2].weight)


def test_a_finished_run_is_not_trained_again(tmp_path):
    model, losses, validate = problem()
    curves = fit(model, losses, validate, CONFIG, tmp_path, Quiet(), "test")
    second, never, validate_2 = problem(kill_at=0)
    assert fit(second, never, validate_2, CONFIG, tmp_path, Quiet(), "test") == curves


def test_training_learns_and_keeps_the_best(tmp_path):
    model, losses, validate = problem()
    before = validate(model.eval())["score"]
    config = TrainConfig(200, 0.02, 3, 0.0, 1.0, 0.9, 10, "float32", "cpu", 5)
    curves = fit(model, losses, validate, config, tmp_path, Quiet(), "test")
    scores = [value for _, name, value, split in curves if name == "score" and split == "val"]
    after = validate(model)["score"]
    assert after == pytest.approx(min(scores), rel=1e-6)
    assert after < 0.3 * before


def test_a_broken_checkpoint_starts_again(tmp_path, caplog):
    model, losses, validate = problem()
    curves = fit(model, losses, validate, CONFIG, tmp_path, Quiet(), "test")
    whole = (tmp_path / "checkpoint.safetensors").read_bytes()
    (tmp_path / "checkpoint.safetensors").write_bytes(whole[: len(whole) // 2])
    second, losses_2, validate_2 = problem()
    assert fit(second, losses_2, validate_2, CONFIG, tmp_path, Quiet(), "test") == curves
    assert "not readable" in caplog.text


def test_a_loss_that_is_not_finite_names_term_and_step(tmp_path):
    model, losses, validate = problem()
    calls = []

    def broken(rng):
        calls.append(1)
        return losses(rng) | {"cf": torch.tensor(float("nan") if len(calls) > 4 else 0.0)}

    with pytest.raises(TalkmeshError, match=r"not finite at step 4 .*cf = nan"):
        fit(model, broken, validate, CONFIG, tmp_path, Quiet(), "test")


def test_curves_round_trip(tmp_path):
    rows = [(1, "a", 0.1, "train"), (2, "b", np.pi, "val")]
    write_curves(tmp_path / "c.csv", rows)
    assert read_curves(tmp_path / "c.csv") == rows
