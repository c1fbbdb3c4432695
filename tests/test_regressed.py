"""The sheet of held-out renders: they are those that training leaves out, and show what the model finds in them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from quiet import Quiet
from talkmesh import regressed
from talkmesh.contracts import Renders
from talkmesh.fitting import RegressorStage, fit_regressor
from talkmesh.models.regressor import Regressor, RegressorConfig
from talkmesh.preview import GAP, LABEL_HEIGHT
from talkmesh.train import TrainConfig
from tiny_project import tiny_rig

MODEL = RegressorConfig("resnet18", 4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
STAGE = RegressorStage(MODEL, TrainConfig(1, 0.001, 1, 0.0, 1.0, 0.9, 1, 0, False, "float32", "cpu", 3), 0.2)
SIZE = 32


def renders(count: int) -> Renders:
    """Pictures of one grey each, and poses that are all different."""
    poses = np.linspace(0.1, 1, 2 * count, dtype=np.float32).reshape(count, 2)
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, SIZE, SIZE, 3), np.uint8)
    return Renders(images, poses, images[0], np.array([[0.3, 0, 16], [0, -0.3, 16]]))


@pytest.fixture
def drawn(monkeypatch):
    """The meshes that are drawn: the renderer has its own tests and needs OpenGL."""
    kept = []

    def rendered(vertices, rig, size, camera):
        kept.append((vertices, size, camera))
        return (np.full((size, size, 3), 200, np.uint8) for _ in vertices)

    monkeypatch.setattr(regressed, "rendered", rendered)
    return kept


def test_held_out_renders_are_those_that_training_validates_on(tmp_path: Path) -> None:
    rig, made = tiny_rig(), renders(25)
    _, curves = fit_regressor(STAGE, made, rig, tmp_path, Quiet())
    said = [value for _, name, value, split in curves if name == "still_lve_mm" and split == "val"]
    chosen = STAGE.split(25)[1]
    assert len(chosen) == 5
    assert said
    moved = np.linalg.norm(rig.vertices(made.poses) - rig.neutral, axis=-1)[:, rig.lips].max(1)
    assert said == pytest.approx(
        [moved[chosen].mean()] * len(said), rel=1e-5
    )  # no other choice has this mean
    assert [len(part) for part in STAGE.split(3)] == [2, 1]


def test_renders_stand_above_the_meshes_found_in_them(drawn) -> None:
    rig, made = tiny_rig(), renders(60)
    model = Regressor(MODEL, torch.from_numpy(rig.neutral))  # finds the neutral face everywhere
    sheet = regressed.sheet(model, made, rig, np.arange(10, 22))
    (vertices, size, camera) = drawn[0]
    np.testing.assert_allclose(vertices, np.broadcast_to(rig.neutral, vertices.shape), atol=1e-4)
    assert len(vertices) == 12
    assert size == 128
    np.testing.assert_allclose(camera, 4 * made.camera)
    step_y, step_x = 128 + GAP + LABEL_HEIGHT, 128 + GAP
    assert sheet.shape == (4 * step_y + GAP, 10 * step_x + GAP, 3)
    middles = sheet[GAP + 64 :: step_y, GAP + 64 :: step_x, 0][:4, :10]
    assert middles[0].tolist() == list(range(10, 20))
    assert middles[1].tolist() == [200] * 10
    assert middles[2].tolist() == [20, 21] + [255] * 8
    assert middles[3].tolist() == [200] * 2 + [255] * 8


def test_of_many_some_are_shown(drawn) -> None:
    model = Regressor(MODEL, torch.from_numpy(tiny_rig().neutral))
    regressed.sheet(model, renders(250), tiny_rig(), np.arange(250))
    assert len(drawn[0][0]) == regressed.COLUMNS * regressed.ROWS
