"""Train one method to compare with, and animate the test clips with it: ``python -m stages.baseline voca``."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm

from talkmesh import params, tracking
from talkmesh.baselines import BaselineStage, fit_baseline, predict, work_folder, write_baseline
from talkmesh.contracts import PREDICTIONS, Track, clip_audio, write_prediction
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_json
from talkmesh.log import setup
from talkmesh.media import read_audio
from talkmesh.models.speech import SpeechConfig, features
from talkmesh.rig import read_rig
from talkmesh.sequences import gather
from talkmesh.spoken import NothingToLearnFrom
from talkmesh.train import write_curves

logger = logging.getLogger(__name__)
MODELS = Path("models/baselines")


def main(name: str) -> None:
    """Write models/baselines/<name> and predictions/<name>, or in both why the data do not allow the method."""
    try:
        compare(name)
    except NothingToLearnFrom as reason:
        logger.warning("%s is skipped: %s", name, reason)
        for folder in (MODELS / name, PREDICTIONS / name):
            write_json(folder / "skipped.json", {"reason": str(reason)})


def compare(name: str) -> None:
    """Train the method and predict the test clips."""
    values, track = params.read(), params.section(Track, "track")
    stage = params.section(BaselineStage, "baseline")
    if name not in stage.methods:
        raise TalkmeshError(
            f"params.yaml: baseline.methods has no '{name}'; known are {', '.join(stage.methods)}"
        )
    method = stage.methods[name]
    stage = params.section(BaselineStage, "baseline", {method.model: method.changes})
    speech = params.build(SpeechConfig, values["transcoder"]["model"]["speech"], "transcoder.model.speech")
    fps, test = float(values["segment"]["fps"]), str(values["unseen"]["test"])
    rig = read_rig(track.rig_file)
    parts = Path(method.targets), Path(method.more), test, track, rig
    sequences, held_out = gather(*parts, speech, fps)
    work = work_folder(stage, method.model, speech, fps, rig, sequences + held_out)
    with tracking.run("baseline", name, stage.recipe(method.model)) as log:
        trained, curves = fit_baseline(stage, method.model, speech, fps, sequences, held_out, rig, work, log)
        write_baseline(MODELS / name, trained)
        write_curves(MODELS / name / "curves.csv", curves)
        log.write_id(MODELS / name / "run.json")
    for row in tqdm(list(track.tests().itertuples()), desc=name):
        sound, frames = read_audio(clip_audio(str(row.clip), track.sounds)), int(row.frames)
        fed = features(sound, frames, fps, speech)
        vertices = rig.neutral + predict(trained, fed, str(row.speaker), rig.neutral, frames)
        write_prediction(PREDICTIONS / name / f"{row.clip}.npz", vertices, fps, rig)
    logger.info("%s: learned from %d sequences, %d speakers", name, len(sequences), len(trained.speakers))


if __name__ == "__main__":
    setup()
    main(sys.argv[1])
