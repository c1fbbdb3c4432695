"""The disk fills up while pictures are rendered, while a model learns: nothing half-written is taken for done."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import tiny_project
from benchmarks.faults.disks import grow, small_disk
from quiet import Quiet
from served import ROOT, environment
from talkmesh import files, params
from talkmesh.errors import TalkmeshError
from talkmesh.rig import write_rig
from talkmesh.train import TrainConfig, fit

CONFIG = TrainConfig(12, 0.01, 2, 0.0, 1.0, 0.9, 4, 0, False, "float32", "cpu", 5)


@contextmanager
def full_soon(folder: Path, size: str) -> Iterator[None]:
    try:
        with small_disk(folder, size):
            yield
    except PermissionError as error:
        pytest.skip(f"no small disk can be made here: {error}")


def learn(work: Path) -> tuple[torch.Tensor, list]:
    """Train a network whose checkpoint has 4 MB and whose best weights have one."""
    torch.manual_seed(0)
    model = nn.Linear(512, 512)
    data = torch.randn(64, 512, generator=torch.Generator().manual_seed(1))

    def losses(rng: np.random.Generator, part: float) -> dict[str, torch.Tensor]:
        batch = data[rng.integers(0, 64, 8)]
        return {"mse": (model(batch) - batch).square().mean()}

    def validate(candidate: nn.Module) -> dict[str, float]:
        return {"score": float((candidate(data) - data).square().mean())}

    curves = fit(model, losses, validate, CONFIG, work, Quiet(), "test")
    return model.weight.detach().clone(), curves


def test_a_training_keeps_its_last_checkpoint_and_goes_on_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = learn(tmp_path / "whole")
    work = tmp_path / "work"
    with full_soon(work, "8m"):  # the first checkpoint fits; while the second is written, both would have to
        with pytest.raises(TalkmeshError, match=r"the disk is full while writing .*safetensors"):
            learn(work)
        assert not list(work.glob(".tmp*"))
        with pytest.raises(TalkmeshError, match="the disk is full"):
            learn(work)
        grow(work, "64m")
        with caplog.at_level("INFO"):
            weights, curves = learn(work)
    assert "going on from step 4" in caplog.text
    assert torch.equal(weights, wanted[0])
    assert curves == wanted[1]


def test_every_writer_leaves_the_old_file_or_none(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, 1_000_000, dtype=np.uint8)
    disk = tmp_path / "disk"
    with full_soon(disk, "256k"):
        files.write_json(disk / "a.json", {"a": 1})
        for write in (
            lambda: files.write_npy(disk / "a.npy", noise),
            lambda: files.write_npz(disk / "a.npz", noise=noise),
            lambda: files.write_json(disk / "a.json", noise),
        ):
            with pytest.raises(TalkmeshError, match=r"the disk is full while writing .*free some space"):
                write()
        assert files.read_json(disk / "a.json") == {"a": 1}
        assert [path.name for path in disk.iterdir()] == ["a.json"]


def render(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.render", "cg"]
    more = environment()
    return subprocess.run(command, cwd=folder, env=more, capture_output=True, text=True, check=False)


def renderable(folder: Path) -> Path:
    """A rig and three hundred poses: 3.7 MB of pictures."""
    write_rig(folder / "models/rigs/character.npz", tiny_project.tiny_rig())
    poses = np.random.default_rng(0).random((300, 2), np.float32)
    files.write_npy(folder / "data/poses/cg.npy", poses)
    crop = params.read(ROOT / "params.yaml")["crop"]
    text = yaml.safe_dump({"crop": crop, "render": {"supersample": 1, "workers": 1}})
    (folder / "params.yaml").write_text(text)
    return folder


@pytest.mark.slow
def test_renders_are_whole_or_absent_wherever_the_disk_is_full(tmp_path: Path) -> None:
    wanted = renderable(tmp_path / "whole")
    done = render(wanted)
    assert done.returncode == 0, done.stderr
    pictures = (wanted / "data/renders/cg/images.npy").read_bytes()
    for place in ("work", "data/renders"):
        folder = renderable(tmp_path / place.replace("/", "_"))
        target = folder / "data/renders/cg/images.npy"
        with full_soon(folder / place, "1m"):
            failed = render(folder)
            assert failed.returncode != 0
            assert "the disk is full while writing" in failed.stderr
            assert not target.exists()
            grow(folder / place, "64m")
            again = render(folder)
            assert again.returncode == 0, again.stderr
            assert target.read_bytes() == pictures
