"""Stage `render`: pictures of a track's poses, framed and masked like the speaker's crops."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkmesh import contracts, params, preview
from talkmesh.contracts import Renders
from talkmesh.files import link_file
from talkmesh.framing import Framing
from talkmesh.gallery import Pictures, camera_of, neutral_picture, render_all
from talkmesh.rig import read_rig

log = logging.getLogger(__name__)
RIG_OF = {"cg": "character"}  # track: file in models/rigs; other tracks' rigs bear the track's name


@dataclass(frozen=True)
class Section:
    """Section `render`. supersample : pictures are made this many times larger, with four samples a pixel, and
    averaged; workers : processes."""

    supersample: int
    workers: int


def main(track: str) -> None:
    section = params.section(Section, "render")
    framing = Framing.of_params()
    rig = contracts.RIGS / f"{RIG_OF.get(track, track)}.npz"
    pictures = Pictures(rig, Path("data/poses") / f"{track}.npy", framing, section.supersample)
    path = render_all(pictures, Path("work/render") / track, section.workers)
    images, poses = np.load(path, mmap_mode="r"), np.load(pictures.poses)
    renders = Renders(images, poses, neutral_picture(pictures), camera_of(read_rig(rig), framing))
    contracts.write_renders(renders, contracts.RENDERS / track)
    link_file(path, contracts.RENDERS / track / "images.npy")
    some = images[np.linspace(0, len(images) - 1, min(60, len(images))).astype(int)]
    sheet = preview.contact_sheet(some, 12, scale=max(1, 128 // framing.pixels))
    preview.save_png(Path(f"reports/preview/render_{track}.png"), sheet)
    log.info("%d pictures of %d pixels", len(images), framing.pixels)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(sys.argv[1] if len(sys.argv) > 1 else "cg")
