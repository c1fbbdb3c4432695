"""Stage `rig`: the character's mesh, face shapes, colours, lips and landmarks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from talkmesh import contracts, params, preview
from talkmesh.render import MeshRenderer
from talkmesh.rig import Rig, anny, imported, place, write_rig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Section:
    """Section `rig`."""

    source: Literal["anny"] | imported.Format
    path: str  # of a rig of one's own, in data/rigs
    file: imported.Reading
    identity: anny.Identity
    look: anny.Look


def load(section: Section) -> Rig:
    """Return the character, made or read from its file."""
    if section.source == "anny":
        return place.place_landmarks(anny.load(section.identity, section.look))
    return imported.load(section.source, contracts.RIG_FILES / section.path, section.file)


def main() -> None:
    section = params.section(Section, "rig")
    rig = load(section)
    write_rig(contracts.RIGS / "character.npz", rig)
    poses = np.zeros((3, len(rig.names)), np.float32)
    poses[1, place.jaw_shape(rig, section.file.jaw)] = 0.5
    poses[2, [i for i, name in enumerate(rig.names) if "mouthStretch" in name or "mouthUpperUp" in name]] = (
        0.6
    )
    renderer = MeshRenderer(rig, 384)
    images = np.stack([renderer.image(v) for v in rig.vertices(poses)])
    preview.save_png(Path("reports/preview/rig.png"), preview.contact_sheet(images, 3))
    log.info("%d vertices, %d shapes, %d lip vertices", len(rig.neutral), len(rig.names), len(rig.lips))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
