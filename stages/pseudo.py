"""Pseudo ground truth, E_G(D_S(E_V(crop) - neutral)): ``python -m stages.pseudo pseudo``."""

import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from talkmesh import params
from talkmesh.amplitude import matching_gain
from talkmesh.animate import translate
from talkmesh.bundle import assemble
from talkmesh.contracts import PREDICTIONS, Track, read_crops, read_kept, write_prediction
from talkmesh.domains import clip_colours, read_real
from talkmesh.framing import soft_mask
from talkmesh.log import setup
from talkmesh.strips import write_strip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PseudoStage:
    """methods : the variant behind each method; splits : which clips are translated."""

    methods: dict[str, str]
    splits: tuple[str, ...]


def main(method: str) -> None:
    """Translate the crops of the chosen splits and write predictions/<method>."""
    stage, track = params.section(PseudoStage, "pseudo"), params.section(Track, "track")
    parts = Path("models/transcoder") / stage.methods[method], Path(f"models/regressor/{track.name}")
    bundle = assemble(*parts, track.rig_file)
    model = bundle.transcoder
    real = read_real(read_kept("train"), bundle.framing, None, speakers=model.speakers)
    # codes are relative to each speaker's own neutral face: how long they are is each speaker's own, too
    gains = [matching_gain(bundle, real.of(speaker)) for speaker in range(len(real.neutral))]
    logger.info("%s: gain %s", method, ", ".join(f"{gain:.2f}" for gain in gains))
    mask = soft_mask(bundle.framing)
    table = read_kept()
    for row in tqdm(list(table[table["split"].isin(stage.splits)].itertuples()), desc=method):
        crop, speaker = read_crops(str(row.clip)), model.number(str(row.speaker))
        tuned, colours = replace(bundle, gain=gains[speaker]), clip_colours(crop, mask)
        animation = translate(tuned, np.asarray(crop.images), colours, speaker)
        write_prediction(PREDICTIONS / method / f"{row.clip}.npz", animation.vertices, bundle.fps, bundle.rig)
        write_strip(PREDICTIONS / method, str(row.clip), animation.decoded, animation.translated)


if __name__ == "__main__":
    setup()
    main(sys.argv[1])
