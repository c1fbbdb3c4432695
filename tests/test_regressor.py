"""Equation 6, the augmentation, and that the regressor starts at the neutral face."""

import numpy as np
import pytest
import torch

from talkmesh.models.regressor import Regressor, RegressorConfig, augment, folded, rmse

CONFIG = RegressorConfig("resnet18", 4, 0.0, 0.2, 4.0, 0.05, 0.03, 1.0)


def test_starts_at_the_neutral_face():
    neutral = torch.randn(7, 3)
    model = Regressor(CONFIG, neutral).eval()
    torch.testing.assert_close(model(torch.rand(2, 3, 32, 32)), neutral.expand(2, 7, 3))


def test_rmse_against_a_loop():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 5, 3)), rng.random((3, 5, 3))
    total = sum(((a[i, v] - b[i, v]) ** 2).sum() for i in range(3) for v in range(5))
    got = rmse(torch.from_numpy(a), torch.from_numpy(b), torch.ones(5))
    assert float(got) == pytest.approx(np.sqrt(total / 15))


def test_resnet34_is_the_papers():
    model = Regressor(RegressorConfig("resnet34", 4, 0.0, 0, 0, 0, 0, 0), torch.zeros(12696, 3))
    assert model.vertices.out_features == 3 * 12696
    assert model.vertices.in_features == 512


def test_augmentation_of_zero_strength_is_the_identity():
    still = RegressorConfig("resnet18", 4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    images = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(augment(images, still), images, atol=1e-5, rtol=0)
    torch.manual_seed(0)
    moved = augment(images, CONFIG)
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert (moved - images).abs().mean() > 0.01
    torch.manual_seed(0)
    torch.testing.assert_close(augment(images, CONFIG), moved)


def test_folded_is_the_same_function():
    torch.manual_seed(0)
    model = Regressor(CONFIG, torch.randn(7, 3))
    torch.nn.init.normal_(model.vertices.weight)
    model.train()
    for _ in range(2):  # statistics of its own
        model(torch.rand(4, 3, 32, 32) * torch.rand(1))
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        wanted = model.eval()(images)
        got = folded(model)(images)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules())
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-4)
