"""Write a row that needs no training: ``python -m stages.reference still`` (or ground_truth, chance)."""

from __future__ import annotations

import argparse
import logging

from talkmesh import log as log_format
from talkmesh.contracts import PREDICTIONS, Track, write_poses, write_prediction
from talkmesh.files import write_json
from talkmesh.judged import judged_clips, read_carried
from talkmesh.params import section
from talkmesh.references import motions
from talkmesh.rig import read_rig

log = logging.getLogger(__name__)


def main(method: str) -> None:
    track = section(Track, "track")
    rig, clips = read_rig(track.rig_file), judged_clips(track)
    made = motions(method, clips, rig, read_carried(track))
    if isinstance(made, str):
        log.warning("%s is skipped: %s", method, made)
        write_json(PREDICTIONS / method / "skipped.json", {"reason": made})
        return
    for clip in clips:
        motion = made[clip.name]
        write = write_poses if motion.ndim == 2 else write_prediction
        write(PREDICTIONS / method / f"{clip.name}.npz", motion, clip.fps, rig)
    log.info("%d test clips of %s in %s", len(clips), method, PREDICTIONS / method)


if __name__ == "__main__":
    log_format.setup()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", help="still, ground_truth or chance")
    main(parser.parse_args().method)
