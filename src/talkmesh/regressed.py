"""What the regressor finds in pictures that it was not trained on: the sheet to look at after its stage.

N renders, H x W pixels, V vertices.
"""

from __future__ import annotations

import numpy as np
import torch

from talkmesh.contracts import Renders
from talkmesh.domains import to_tensor
from talkmesh.export.video import rendered
from talkmesh.models.regressor import Regressor
from talkmesh.preview import contact_sheet
from talkmesh.rig import Rig

COLUMNS, ROWS = 10, 3
SIDE = 128  # pixels of a picture on the sheet, at least


@torch.no_grad()
def sheet(model: Regressor, renders: Renders, rig: Rig, chosen: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8: up to `ROWS` rows of renders, below each row the meshes found in them.

    A mesh is drawn by the camera of the renders, without their mask; below it stands how far its lips are off, in mm:
    the largest distance of a lip vertex from the true one.

    Parameters
    ----------
    chosen : (n,) renders to show; where there are more than the sheet holds, evenly spaced ones
    """
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, COLUMNS * ROWS).astype(int))]
    images = np.asarray(renders.images[chosen])
    found = model.eval()(to_tensor(images)).numpy()
    truth = rig.vertices(renders.poses[chosen])
    off = np.linalg.norm(found - truth, axis=-1)[:, rig.lips].max(1)
    scale = -(-SIDE // images.shape[1])
    meshes = np.stack(list(rendered(found, rig, scale * images.shape[1], scale * renders.camera)))
    images = images.repeat(scale, 1).repeat(scale, 2)
    columns = min(COLUMNS, len(chosen))
    pictures, labels = [], []
    for row in range(0, len(chosen), columns):
        part = slice(row, row + columns)
        blank = [np.full_like(images[0], 255)] * (columns - len(chosen[part]))
        pictures += [*images[part], *blank, *meshes[part], *blank]
        labels += [f"render {i}" for i in chosen[part]] + [""] * len(blank)
        labels += [f"off by {mm:.1f} mm" for mm in off[part]] + [""] * len(blank)
    return contact_sheet(np.stack(pictures), columns, labels)
