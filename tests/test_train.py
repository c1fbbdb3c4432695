"""The training loop: resumes bit for bit, keeps the best weights, stops at a loss that is not finite."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from quiet import Quiet
from talkmesh.errors import TalkmeshError
from talkmesh.processes import Processes
from talkmesh.train import TrainConfig, fit, read_curves, write_curves

CONFIG = TrainConfig(30, 0.02, 3, 0.0, 1.0, 0.9, 6, 0, False, "float32", "cpu", 5)


class Killed(Exception):
    pass


def problem(kill_at: int | None = None):
    """A small regression with dropout, so that every source of randomness counts."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
    data = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    truth = data.sum(1, keepdim=True)
    drawn: list[int] = []

    def losses(rng, part):
        assert 0 <= part < 1
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
    config = replace(CONFIG, steps=200, validate_every=10)
    curves = fit(model, losses, validate, config, tmp_path, Quiet(), "test")
    scores = [value for _, name, value, split in curves if name == "score" and split == "val"]
    after = validate(model)["score"]
    assert after == pytest.approx(min(scores), rel=1e-6)
    assert after < 0.3 * before


def test_patience_ends_a_training_that_no_longer_gets_better_and_survives_a_kill(tmp_path):
    config = replace(CONFIG, steps=60, validate_every=3, patience=4)
    scores = [5.0, 4.0, 3.0, 3.5, 3.0, 4.0, 3.1, *[0.0] * 20]
    for kill_at in (None, 14):
        work = tmp_path / str(kill_at)
        given: list[float] = []

        def validate(candidate, given=given):
            given.append(scores[len(given)])
            return {"score": given[-1]}

        if kill_at is not None:
            model, losses, _ = problem(kill_at)
            with pytest.raises(Killed):
                fit(model, losses, validate, config, work, Quiet(), "test")
        model, losses, _ = problem()
        curves = fit(model, losses, validate, config, work, Quiet(), "test")
        assert given == scores[:7]
        assert max(step for step, *_ in curves) == 21


def test_pictures_show_the_averaged_weights(tmp_path):
    model, losses, validate = problem()
    shown, figures = [], []

    class Album(Quiet):
        def image(self, image, name):
            shown.append((name, float(image)))

    def noted(candidate):
        figures.append(validate(candidate))
        return figures[-1]

    fit(
        model,
        losses,
        noted,
        CONFIG,
        tmp_path,
        Album(),
        "test",
        picture=lambda m: np.array(validate(m)["score"]),
    )
    assert [name for name, _ in shown] == [f"progress/{step:06d}.png" for step in (6, 12, 18, 24, 30)]
    assert [value for _, value in shown] == [f["score"] for f in figures]


TWO = """
import json, sys
import numpy as np, torch
from torch import nn
from pathlib import Path
from talkmesh.processes import processes
from talkmesh.train import fit
sys.path.insert(0, {tests!r})
from test_train import CONFIG, Quiet

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
data = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
truth = data.sum(1, keepdim=True)

def losses(rng, part):
    index = processes().share(rng.integers(0, 64, 8))
    return {{"mse": (model(data[index]) - truth[index]).square().mean()}}

def validate(candidate):
    return {{"score": float((candidate(data) - truth).square().mean())}}

fit(model, losses, validate, CONFIG, Path(sys.argv[1]), Quiet(), "two")
weights = torch.cat([p.detach().flatten() for p in model.parameters()]).tolist()
Path(sys.argv[1], f"weights{{processes().rank}}.json").write_text(json.dumps([processes().count, weights]))
"""


def test_two_processes_learn_what_one_learns_of_the_same_batches(tmp_path):
    """Started as a user would, by `accelerate launch`."""
    pytest.importorskip("accelerate")
    program = tmp_path / "two.py"
    program.write_text(TWO.format(tests=str(Path(__file__).parent)))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    for count in (1, 2):
        folder = tmp_path / str(count)
        folder.mkdir()
        command = [sys.executable] if count == 1 else [*launch, "--num_processes", str(count)]
        done = subprocess.run(
            [*command, str(program), str(folder)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    (alone, wanted), *rest = (json.loads(p.read_text()) for p in sorted(tmp_path.glob("*/weights*.json")))
    assert alone == 1
    assert [count for count, _ in rest] == [2, 2]
    for _, weights in rest:
        np.testing.assert_allclose(weights, wanted, rtol=0, atol=2e-5)


def test_a_batch_smaller_than_the_processes_is_named():
    assert [Processes(r, 3).share([1, 2, 3, 4]) for r in range(3)] == [[1, 4], [2], [3]]
    with pytest.raises(TalkmeshError, match="batch of 2 cannot be shared by 3"):
        Processes(0, 3).share([1, 2])


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_compiled_networks_learn_the_same(tmp_path):
    plain, losses, validate = problem()
    config = replace(CONFIG, steps=6)
    fit(plain.eval(), losses, validate, config, tmp_path / "plain", Quiet(), "test")
    compiled, losses, validate = problem()
    fit(compiled, losses, validate, replace(config, compile=True), tmp_path / "compiled", Quiet(), "test")
    for a, b in zip(plain.parameters(), compiled.parameters(), strict=True):
        assert a.shape == b.shape
    assert list(plain.state_dict()) == list(compiled.state_dict())


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

    def broken(rng, part):
        calls.append(1)
        return losses(rng, part) | {"cf": torch.tensor(float("nan") if len(calls) > 4 else 0.0)}

    with pytest.raises(TalkmeshError, match=r"not finite at step 4 .*cf = nan"):
        fit(model, broken, validate, CONFIG, tmp_path, Quiet(), "test")


def test_curves_round_trip(tmp_path):
    rows = [(1, "a", 0.1, "train"), (2, "b", np.pi, "val")]
    write_curves(tmp_path / "c.csv", rows)
    assert read_curves(tmp_path / "c.csv") == rows
