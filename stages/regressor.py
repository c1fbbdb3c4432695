"""Train the face-to-geometry regressor of one track: ``python -m stages.regressor cg``."""

import logging
import sys
from pathlib import Path

from talkmesh import params, regressed, tracking
from talkmesh.contracts import RENDERS, Track, read_renders
from talkmesh.fitting import RegressorStage, fit_regressor, work_folder
from talkmesh.log import setup
from talkmesh.models.store import write_regressor
from talkmesh.preview import save_png
from talkmesh.processes import processes, relaunch
from talkmesh.rig import read_rig
from talkmesh.train import write_curves

logger = logging.getLogger(__name__)


def main(track: str) -> None:
    """Train, write models/regressor/<track> and a picture of what it finds in held-out renders."""
    stage = params.section(RegressorStage, "regressor")
    renders, rig = read_renders(RENDERS / track), read_rig(params.section(Track, "track").rig_file)
    work = work_folder("regressor", stage, rig.hash, renders.images, renders.poses)
    folder = Path("models/regressor") / track
    with tracking.run("regressor", track, stage) as log:
        model, curves = fit_regressor(stage, renders, rig, work, log)
        if not processes().first:
            return
        write_regressor(folder, model, rig.hash)
        write_curves(folder / "curves.csv", curves)
        log.write_id(folder / "run.json")
    _, held_out = stage.split(len(renders.images))
    save_png(Path("reports/preview/regressor.png"), regressed.sheet(model, renders, rig, held_out))
    logger.info("%s: trained on %d renders, written to %s", track, len(renders.images), folder)


if __name__ == "__main__":
    setup()
    relaunch("stages.regressor")
    main(sys.argv[1])
