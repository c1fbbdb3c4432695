"""The window puts the mouth where the parameters say, for pixels and for millimetres alike."""

import numpy as np
import pytest

from talkmesh.framing import Framing, apply_mask, hide, outline_masks, soft_mask, window

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


def test_the_inside_of_an_outline_is_kept_and_its_edge_is_soft():
    """Against the polygon itself: area by the shoelace formula, inside by the crossings of a ray."""
    size = 128
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    outlines = np.stack(
        [
            np.stack([64 + a * np.cos(angle) * (1 + 0.1 * np.cos(3 * angle)), 60 + b * np.sin(angle)], -1)
            for a, b in ((40, 48), (20.4, 30.7))
        ]
    )
    masks = outline_masks(outlines, size)
    assert masks.shape == (2, size, size, 1)
    y, x = np.mgrid[:size, :size] + 0.5
    for mask, outline in zip(masks[..., 0], outlines, strict=True):
        one, two = outline, np.roll(outline, -1, 0)
        area = abs((one[:, 0] * two[:, 1] - two[:, 0] * one[:, 1]).sum()) / 2
        assert mask.sum() == pytest.approx(area, rel=0.04)
        assert [(mask * x).sum() / mask.sum(), (mask * y).sum() / mask.sum()] == pytest.approx(
            [(inside(outline, x, y) * x).sum() / area, (inside(outline, x, y) * y).sum() / area], rel=0.02
        )
        far = np.abs(outline[:, None, None] - np.stack([x, y], -1)).max(-1).min(0) > 10
        wanted = inside(outline, x, y)
        np.testing.assert_allclose(mask[far], wanted[far], atol=1e-3)
        assert ((mask > 0.1) & (mask < 0.9)).sum() > 36  # not a hard edge
    assert outline_masks(outlines - 500, size).max() == 0  # a face outside the picture


def inside(outline, x, y):
    """Whether points lie in a polygon: a ray to the right crosses it an odd number of times."""
    odd = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, 0), strict=True):
        crosses = (ay > y) != (by > y)
        odd ^= crosses & (x < (bx - ax) * (y - ay) / np.where(by == ay, 1, by - ay) + ax)
    return odd


def test_hiding_mixes_with_grey():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    masks = np.zeros((2, 8, 8, 1), np.float32)
    masks[:, 4:], masks[1, 0] = 1, 0.25
    hidden = hide(images, masks)
    assert (hidden[:, 4:] == images[:, 4:]).all()
    assert (hidden[:, 1:4] == 128).all()
    np.testing.assert_allclose(hidden[1, 0], images[1, 0] * 0.25 + 127.5 * 0.75, atol=0.51)
