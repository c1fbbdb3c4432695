"""Write the floor that every method must beat: the neutral face for every frame of every test clip."""

from __future__ import annotations

import logging

import numpy as np
from tqdm import tqdm

from talkmesh import log as log_format
from talkmesh.contracts import PREDICTIONS, Track, write_prediction
from talkmesh.evaluation import STILL, judged_clips
from talkmesh.params import section
from talkmesh.rig import read_rig

log = logging.getLogger(__name__)


def main() -> None:
    track = section(Track, "track")
    rig, clips = read_rig(track.rig_file), judged_clips(track)
    for clip in tqdm(clips, desc="still", unit="clip"):
        still = np.broadcast_to(rig.neutral, (clip.frames, *rig.neutral.shape))
        write_prediction(PREDICTIONS / STILL / f"{clip.name}.npz", still, clip.fps, rig)
    log.info("%d test clips with the neutral face of %s in %s", len(clips), rig.name, PREDICTIONS / STILL)


if __name__ == "__main__":
    log_format.setup()
    main()
