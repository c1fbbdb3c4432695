"""Carry the character's performance over to another topology: ``python -m stages.transfer second``."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkmesh import contracts, params, preview
from talkmesh.files import write_npy
from talkmesh.log import setup
from talkmesh.rig import read_rig, write_rig
from talkmesh.rig.correspondence import Fit, fitted
from talkmesh.rig.pictures import expressions, marked
from talkmesh.rig.source import Source, load
from talkmesh.rig.transfer import write_transfer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Section:
    """Section `transfer`. tracks : those that are made; rig : their topology; fit : how poses are fitted."""

    tracks: tuple[str, ...]
    rig: Source
    fit: Fit


def main(track: str) -> None:
    """Write the track's rig, its poses, and how expressions reach it."""
    section = params.section(Section, "transfer")
    character = read_rig(contracts.RIGS / "character.npz")
    poses = np.load(contracts.POSES / "cg.npy", allow_pickle=False)
    rig = load(section.rig, track)
    carried = fitted(character, rig, section.fit)
    write_rig(contracts.RIGS / f"{track}.npz", rig)
    write_transfer(contracts.RIGS / f"{track}.transfer.npz", carried)
    write_npy(contracts.POSES / f"{track}.npy", carried.poses(poses))
    preview.save_png(Path("reports/preview/transfer.png"), expressions(character, [(rig, carried)]))
    preview.save_png(Path(f"reports/preview/rig_{track}.png"), marked(rig))
    log.info("%d poses from %s to %s", len(poses), character.name, rig.name)


if __name__ == "__main__":
    setup()
    main(sys.argv[1])
