"""Animate the test clips from their sound, and bundle the model: ``python -m stages.animate ours``."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm

from talkmesh import params
from talkmesh.amplitude import matching_gain
from talkmesh.animate import animate
from talkmesh.bundle import assemble, load, write_bundle
from talkmesh.contracts import PREDICTIONS, Track, clip_audio, read_kept, write_prediction
from talkmesh.domains import read_real
from talkmesh.log import setup
from talkmesh.media import read_audio
from talkmesh.strips import write_strip

logger = logging.getLogger(__name__)


def main(method: str) -> None:
    """Write models/bundles/<method> and predictions/<method>."""
    track = params.section(Track, "track")
    values = params.read()
    folder = Path("models/bundles") / method
    parts = Path("models/transcoder") / values["animated"][method], Path(f"models/regressor/{track.name}")
    untuned = assemble(*parts, track.rig_file)
    model = untuned.transcoder
    held_out = read_real(read_kept("val"), untuned.framing, model.config.speech, speakers=model.speakers)
    gain = matching_gain(untuned, held_out)
    logger.info("%s: gain %.2f", method, gain)
    write_bundle(folder, *parts, track.rig_file, gain=gain, corpus=str(values["corpus"]))
    bundle = load(folder)
    for row in tqdm(list(track.tests().itertuples()), desc=method):
        sound = read_audio(clip_audio(str(row.clip), track.sounds))
        # a voice that the model does not know has no D_R: the first speaker's face stands in for it
        speaker = model.number(str(row.speaker)) if str(row.speaker) in model.speakers else 0
        animation = animate(bundle, sound, int(row.frames), pictures=True, speaker=speaker)
        write_prediction(PREDICTIONS / method / f"{row.clip}.npz", animation.vertices, bundle.fps, bundle.rig)
        write_strip(PREDICTIONS / method, str(row.clip), animation.decoded, animation.translated)


if __name__ == "__main__":
    setup()
    main(sys.argv[1])
