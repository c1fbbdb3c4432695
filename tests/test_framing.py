"""The window puts the mouth where the parameters say, for pixels and for millimetres alike."""

import numpy as np
import pytest

from talkmesh.framing import Framing, apply_mask, soft_mask, window

FRAMING = Framing(64, 2.0, 0.5, True)


@pytest.mark.parametrize("y_up", [False, True])
def test_mouth_is_centred_and_a_fixed_share_wide(y_up):
    left, right = np.array([10.0, 50.0]), np.array([50.0, 50.0])
    m = window(left, right, FRAMING, y_up)
    a, b = (m[:, :2] @ p + m[:, 2] for p in (left, right))
    np.testing.assert_allclose((a + b) / 2, [32, 32])
    assert b[0] - a[0] == pytest.approx(32)
    above = np.array([30.0, 60.0 if y_up else 40.0])
    assert (m[:, :2] @ above + m[:, 2])[1] < 32  # what is above the mouth is above it in the picture


def test_two_domains_of_other_units_land_on_the_same_pixels():
    pixels = window(np.array([100.0, 200]), np.array([148.0, 200]), FRAMING)
    mm = window(np.array([-25.0, 3]), np.array([25.0, 3]), FRAMING, y_up=True)
    nose_px = pixels[:, :2] @ [124, 200 - 24] + pixels[:, 2]
    nose_mm = mm[:, :2] @ [0, 3 + 25] + mm[:, 2]
    np.testing.assert_allclose(nose_px, nose_mm)


def test_mask_hides_corners_and_keeps_the_middle():
    image = np.full((64, 64, 3), 200, np.uint8)
    masked = apply_mask(image, FRAMING)
    assert (masked[0, 0] == 128).all()
    assert (masked[20:44, 20:44] == 200).all()
    assert soft_mask(FRAMING).min() == 0
    assert apply_mask(image, Framing(64, 2.0, 0.5, False)) is image
