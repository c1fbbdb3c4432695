"""Stage `perform`: the poses from which the character is rendered."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from talkmesh import contracts, params, preview
from talkmesh.curves import read_curves
from talkmesh.files import write_npy
from talkmesh.render import MeshRenderer
from talkmesh.rig import read_rig
from talkmesh.rig.poses import Performance, perform_on

log = logging.getLogger(__name__)


def main() -> None:
    rig = read_rig(contracts.RIGS / "character.npz")
    how = params.section(Performance, "perform")
    takes = [take for name in how.files for take in read_curves(contracts.CURVES / name)]
    poses, changed = perform_on(rig, how, takes)
    write_npy(Path("data/poses/cg.npy"), poses)
    renderer = MeshRenderer(rig, 128)
    some = poses[np.linspace(0, len(poses) - 1, 40).astype(int)]
    images = np.stack([renderer.image(v) for v in rig.vertices(some)])
    preview.save_png(Path("reports/preview/perform.png"), preview.contact_sheet(images, 10))
    log.info("%d poses, %d of them eased so that no lip or tooth goes through a lip", len(poses), changed)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
