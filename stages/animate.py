"""Animate the test clips from their sound, and bundle the model: ``python -m stages.animate ours``."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm

from talkmesh import params
from talkmesh.amplitude import match_amplitude
from talkmesh.animate import animate, assemble, write_bundle
from talkmesh.contracts import PREDICTIONS, Track, clip_audio, read_kept, write_prediction
from talkmesh.domains import read_real
from talkmesh.log import setup
from talkmesh.media import read_audio
from talkmesh.strips import write_strip

logger = logging.getLogger(__name__)


def main(method: str) -> None:
    """Write models/bundles/<method> and predictions/<method>."""
    track = params.section(Track, "track")
    variant = params.read()["animated"][method]
    folder = Path("models/bundles") / method
    parts = Path("models/transcoder") / variant, Path(f"models/regressor/{track.name}")
    bundle = assemble(*parts, track.rig_file)
    held_out = read_real(read_kept("val"), bundle.framing, bundle.transcoder.config.speech)
    logger.info("%s: gain %.2f", method, match_amplitude(bundle, held_out))
    write_bundle(folder, bundle)
    for row in tqdm(list(track.tests().itertuples()), desc=method):
        animation = animate(bundle, read_audio(clip_audio(str(row.clip), track.sounds)), int(row.frames))
        write_prediction(PREDICTIONS / method / f"{row.clip}.npz", animation.vertices, bundle.fps, bundle.rig)
        write_strip(PREDICTIONS / method, str(row.clip), animation.decoded, animation.translated)


if __name__ == "__main__":
    setup()
    main(sys.argv[1])
