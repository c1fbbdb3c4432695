"""Train one variant of the transcoder: ``python -m stages.transcoder full``."""

import logging
import sys
from pathlib import Path

from talkmesh import params, tracking
from talkmesh.contracts import RENDERS, Track, read_kept, read_renders
from talkmesh.domains import read_real
from talkmesh.errors import TalkmeshError
from talkmesh.fitting import TranscoderStage, decoded_sheet, fit_transcoder, transcoder_place
from talkmesh.framing import Framing
from talkmesh.log import setup
from talkmesh.models.store import write_transcoder
from talkmesh.preview import save_png
from talkmesh.processes import processes, relaunch
from talkmesh.rig import read_rig
from talkmesh.train import write_curves

logger = logging.getLogger(__name__)


def main(variant: str) -> None:
    """Train, write models/transcoder/<variant> and a picture of what it decodes."""
    variants = params.read()["variants"]
    if variant not in variants:
        raise TalkmeshError(f"params.yaml: variants has no '{variant}'; known are {', '.join(variants)}")
    stage = params.section(TranscoderStage, "transcoder", variants[variant])
    track, framing = params.section(Track, "track"), Framing.of_params()
    speech = stage.model.speech if stage.model.with_speech else None
    real, held_out = (
        read_real(read_kept(split), framing, speech, speakers=stage.speakers) for split in ("train", "val")
    )
    renders, rig = read_renders(RENDERS / track.name), read_rig(track.rig_file)
    where = transcoder_place(stage, real, held_out, renders, rig, framing)
    folder = Path("models/transcoder") / variant
    with tracking.run("transcoder", variant, stage) as log:
        model, curves = fit_transcoder(stage, real, held_out, renders, rig, framing, where, log)
        if not processes().first:
            return
        write_transcoder(folder, model, framing, real.fps)
        write_curves(folder / "curves.csv", curves)
        picture = decoded_sheet(model, held_out)
        save_png(Path("reports/preview") / f"transcoder_{variant}.png", picture)
        log.image(picture, "decoded.png")
        log.write_id(folder / "run.json")
    logger.info("%s: trained on %d clips, written to %s", variant, len(real.clips), folder)


if __name__ == "__main__":
    setup()
    relaunch("stages.transcoder")
    main(sys.argv[1])
