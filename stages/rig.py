"""Stage `rig`: the character's mesh, face shapes, colours, lips and landmarks."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from talkmesh import contracts, params, preview
from talkmesh.render import MeshRenderer
from talkmesh.rig import write_rig
from talkmesh.rig.pictures import SIZE, marked
from talkmesh.rig.source import Source, load

log = logging.getLogger(__name__)


def main() -> None:
    source = params.section(Source, "rig")
    rig = load(source, "character")
    write_rig(contracts.RIGS / "character.npz", rig)
    poses = np.zeros((2, len(rig.names)), np.float32)
    poses[1, [i for i, name in enumerate(rig.names) if "mouthStretch" in name or "mouthUpperUp" in name]] = (
        0.6
    )
    renderer = MeshRenderer(rig, SIZE)
    panes = np.split(marked(rig, source.file.jaw), 2, axis=1)
    images = np.stack([*(renderer.image(v) for v in rig.vertices(poses)), *panes])
    preview.save_png(Path("reports/preview/rig.png"), preview.contact_sheet(images, 4))
    log.info("%d vertices, %d shapes, %d lip vertices", len(rig.neutral), len(rig.names), len(rig.lips))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
