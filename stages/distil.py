"""Distil the fast path of a variant, animate the test clips by it: ``python -m stages.distil ours_fast``."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from talkmesh import params, tracking
from talkmesh.amplitude import matching_gain
from talkmesh.animate import animate
from talkmesh.bundle import assemble, load, write_bundle
from talkmesh.contracts import (
    PREDICTIONS,
    RENDERS,
    Track,
    clip_audio,
    read_kept,
    read_renders,
    write_prediction,
)
from talkmesh.distilling import DistilStage, fit_head
from talkmesh.domains import read_real
from talkmesh.fitting import work_folder
from talkmesh.log import setup
from talkmesh.media import read_audio
from talkmesh.models.head import write_head
from talkmesh.train import write_curves

logger = logging.getLogger(__name__)


def main(method: str) -> None:
    """Write models/head/<method>, models/bundles/<method> and predictions/<method>."""
    stage, track = params.section(DistilStage, "distil"), params.section(Track, "track")
    folder = Path("models/head") / method
    parts = (
        Path("models/transcoder") / stage.methods[method],
        Path("models/regressor") / track.name,
        track.rig_file,
    )
    full = assemble(*parts)
    speech, speakers = full.transcoder.config.speech, full.transcoder.speakers
    real, held_out = (
        read_real(read_kept(split), full.framing, speech, speakers=speakers) for split in ("train", "val")
    )
    full = replace(full, gain=matching_gain(full, held_out))
    renders = read_renders(RENDERS / track.name)
    weights = [part / "weights.safetensors" for part in parts[:2]]
    work = work_folder("distil", stage, full.rig.hash, full.gain, Path(__file__), *weights)
    with tracking.run("distil", method, stage) as log:
        head, curves = fit_head(stage, full, real, renders, work, log)
        write_head(folder, head, full.rig.hash)
        write_curves(folder / "curves.csv", curves)
        log.write_id(folder / "run.json")
    bundled = Path("models/bundles") / method
    write_bundle(bundled, *parts, folder, gain=full.gain, corpus=str(params.read()["corpus"]))
    bundle = load(bundled)
    for row in tqdm(list(track.tests().itertuples()), desc=method):
        sound = read_audio(clip_audio(str(row.clip), track.sounds))
        vertices = animate(bundle, sound, int(row.frames), fast=True).vertices
        write_prediction(PREDICTIONS / method / f"{row.clip}.npz", vertices, bundle.fps, bundle.rig)
    logger.info("%s: written to %s", method, bundled)


if __name__ == "__main__":
    setup()
    main(sys.argv[1])
