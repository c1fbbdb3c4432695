"""Contact sheets and PNG files."""

import numpy as np
import pytest
from PIL import Image

from talkmesh.errors import TalkmeshError
from talkmesh.preview import GAP, contact_sheet, save_png


def test_every_image_lies_in_its_cell() -> None:
    images = np.stack([np.full((5, 7, 3), 30 * i, np.uint8) for i in range(5)])
    sheet = contact_sheet(images, columns=3, scale=2)
    assert sheet.shape == (2 * (10 + GAP) + GAP, 3 * (14 + GAP) + GAP, 3)
    for i in range(5):
        y, x = GAP + i // 3 * (10 + GAP), GAP + i % 3 * (14 + GAP)
        assert (sheet[y : y + 10, x : x + 14] == 30 * i).all()


def test_labels_are_drawn_below_and_leave_images_alone() -> None:
    images = np.zeros((2, 16, 40, 3), np.uint8)
    bare, labelled = contact_sheet(images, 2), contact_sheet(images, 2, labels=["one", "two"])
    assert labelled.shape[0] > bare.shape[0]
    assert (labelled[: 16 + GAP] == bare[: 16 + GAP]).all()
    assert (labelled[16 + GAP :] < 100).any()


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((0, 4, 4, 3), np.uint8), None),
        (np.zeros((2, 4, 4, 3), np.float32), None),
        (np.zeros((2, 4, 4), np.uint8), None),
        (np.zeros((2, 4, 4, 3), np.uint8), ["one"]),
    ],
)
def test_wrong_input_is_a_clear_error(images: np.ndarray, labels: list[str] | None) -> None:
    with pytest.raises(TalkmeshError, match="contact sheet"):
        contact_sheet(images, 2, labels)


def test_png_round_trip(tmp_path) -> None:  # type: ignore[no-untyped-def]
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    save_png(tmp_path / "deep" / "a.png", image)
    assert (np.array(Image.open(tmp_path / "deep" / "a.png")) == image).all()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.png"]
    with pytest.raises(TalkmeshError, match="uint8"):
        save_png(tmp_path / "b.png", image.astype(float))
