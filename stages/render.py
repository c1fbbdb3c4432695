"""Stage `render`: pictures of a track's poses, framed and masked like the speaker's crops."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from tqdm import tqdm

from talkmesh import contracts, params, preview
from talkmesh.contracts import Renders
from talkmesh.framing import Framing, apply_mask, window
from talkmesh.landmarks import CORNERS, LIPS
from talkmesh.render import MeshRenderer
from talkmesh.rig import read_rig

log = logging.getLogger(__name__)
RIG_OF = {"cg": "character"}  # track: file in models/rigs; other tracks' rigs bear the track's name


@dataclass(frozen=True)
class Section:
    """Section `render`. supersample : pictures are made this many times larger and averaged."""

    supersample: int


def main(track: str) -> None:
    section = params.section(Section, "render")
    crop = params.read().get("crop", {})
    framing = params.build(
        Framing, {f.name: crop[f.name] for f in fields(Framing) if f.name in crop}, "params.yaml: crop"
    )
    rig = read_rig(contracts.RIGS / f"{RIG_OF.get(track, track)}.npz")
    poses = np.load(Path("data/poses") / f"{track}.npy", allow_pickle=False)
    left, right = rig.neutral[rig.landmarks[[LIPS.index(c) for c in CORNERS]], :2]
    camera = window(left, right, framing, y_up=True)
    renderer = MeshRenderer(rig, framing.size, camera, section.supersample)
    neutral = apply_mask(renderer.image(rig.neutral), framing)
    images = np.zeros((len(poses), framing.size, framing.size, 3), np.uint8)
    for i, pose in enumerate(tqdm(poses, desc=f"render {track}", mininterval=5)):
        images[i] = apply_mask(renderer.image(rig.vertices(pose)), framing)
    contracts.write_renders(Renders(images, poses, neutral, camera), contracts.RENDERS / track)
    some = images[np.linspace(0, len(images) - 1, min(60, len(images))).astype(int)]
    sheet = preview.contact_sheet(some, 12, scale=max(1, 128 // framing.size))
    preview.save_png(Path(f"reports/preview/render_{track}.png"), sheet)
    log.info("%d pictures of %d pixels", len(images), framing.size)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1] if len(sys.argv) > 1 else "cg")
