"""Lip shapes read off pictures: a world in which codes, pictures and shapes are linear, and closed forms."""

import numpy as np
import pytest
import torch

from talkmesh.agreement import mismatch, shape_reader, shown_shapes
from talkmesh.models.transcoder import CHARACTER


class World:
    """E_V returns the first pixels, D_S paints codes into them; the neutral picture is grey."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        self.rest = torch.full((1, 3, 8, 8), 0.5)

    def look(self, images, domain):
        assert domain == CHARACTER
        return images

    def encoder(self, images):
        return images.flatten(1)[:, :6]

    def codes_of_neutral(self):
        return torch.cat([torch.rand(1, 6), self.encoder(self.rest)])

    def synthetic(self, offsets):
        images = self.rest.repeat(len(offsets), 1, 1, 1)
        images.view(len(offsets), -1)[:, :6] += self.gain * offsets
        return images


def shapes_of(offsets: torch.Tensor) -> torch.Tensor:
    return torch.stack([0.3 * offsets[:, 0] - 0.1 * offsets[:, 3], 0.2 * offsets[:, 1]], 1)


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_what_the_translated_face_shows_is_read_with_its_amplitude(gain):
    torch.manual_seed(0)
    world, seen, asked = World(), torch.randn(200, 6), torch.randn(50, 6)
    reader = shape_reader(world, world.synthetic(seen), shapes_of(seen))
    read = shown_shapes(World(gain), asked, reader)
    torch.testing.assert_close(read, gain * shapes_of(asked), atol=2e-3, rtol=0)
    assert float(mismatch(read, shapes_of(asked))) == pytest.approx(1 - gain, abs=0.01)


def test_mismatch_against_numpy_and_of_a_still_face():
    rng = np.random.default_rng(0)
    shown, wanted = rng.normal(size=(2, 30, 2))
    wanted[3] = np.nan
    k = np.isfinite(wanted[:, 0])
    parts = [np.sqrt(((shown - wanted)[k, i] ** 2).mean() / (wanted[k, i] ** 2).mean()) for i in (0, 1)]
    assert float(mismatch(torch.from_numpy(shown), torch.from_numpy(wanted))) == pytest.approx(np.mean(parts))
    assert float(mismatch(torch.zeros(30, 2), torch.from_numpy(wanted))) == pytest.approx(1)
