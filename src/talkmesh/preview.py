"""Pictures to look at while the pipeline runs: contact sheets and PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing

GAP = 4  # pixels between the pictures of a sheet
LABEL_HEIGHT = 14  # pixels below a picture for its label
BACKGROUND, INK = (250, 250, 250), (40, 40, 40)


def contact_sheet(
    images: np.ndarray, columns: int, labels: Sequence[str] | None = None, scale: int = 1
) -> np.ndarray:
    """Lay images out in rows, left to right.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
    columns : pictures a row
    labels : N short texts, each written below its picture, or None
    scale : whole factor by which each picture is enlarged, pixels repeated

    Returns
    -------
    (rows * cell height, columns * cell width, 3) uint8

    Raises
    ------
    TalkmeshError
        If there is no image, the array is not (N, H, W, 3) uint8, or the labels are not N.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or len(images) == 0:
        raise TalkmeshError(
            f"a contact sheet needs images (N, H, W, 3) uint8; got {images.shape} {images.dtype}"
        )
    if labels is not None and len(labels) != len(images):
        raise TalkmeshError(f"a contact sheet of {len(images)} images got {len(labels)} labels")
    if columns < 1 or scale < 1:
        raise TalkmeshError(
            f"columns and scale of a contact sheet must be 1 or more; got {columns} and {scale}"
        )
    columns = min(columns, len(images))
    images = images.repeat(scale, 1).repeat(scale, 2)
    height, width = images.shape[1:3]
    step_y = height + GAP + (LABEL_HEIGHT if labels is not None else 0)
    step_x = width + GAP
    rows = -(-len(images) // columns)
    sheet = np.full((rows * step_y + GAP, columns * step_x + GAP, 3), BACKGROUND, np.uint8)
    corners = [(GAP + i // columns * step_y, GAP + i % columns * step_x) for i in range(len(images))]
    for image, (y, x) in zip(images, corners, strict=True):
        sheet[y : y + height, x : x + width] = image
    if labels is None:
        return sheet
    drawn = Image.fromarray(sheet)
    pen = ImageDraw.Draw(drawn)
    for label, (y, x) in zip(labels, corners, strict=True):
        pen.text((x, y + height + 1), label, fill=INK)
    return np.array(drawn)


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8 as PNG, whole or not at all.

    Raises
    ------
    TalkmeshError
        If the array is not (H, W, 3) uint8.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise TalkmeshError(f"{path}: a picture must be (H, W, 3) uint8; got {image.shape} {image.dtype}")
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
