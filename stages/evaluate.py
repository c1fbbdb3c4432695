"""Judge one method on the test clips: ``python -m stages.evaluate <method>``."""

from __future__ import annotations

import argparse
import logging

from talkmesh import log as log_format
from talkmesh.contracts import RESULTS, Track
from talkmesh.evaluation import evaluate, write_result
from talkmesh.params import read, section
from talkmesh.scoring import Scoring

log = logging.getLogger(__name__)


def main(method: str) -> None:
    track, how = section(Track, "track"), section(Scoring, "evaluate")
    result, per_clip, drawn = evaluate(method, track, how, str(read()["corpus"]))
    write_result(method, result, per_clip, drawn)
    for name, value in result["methods"][method].items():
        if name != "skipped":
            log.info("%s %s %.3f (%d clips)", method, name, value["mean"], value["n_clips"])
    log.info("written to %s", RESULTS / f"{method}.json")


if __name__ == "__main__":
    log_format.setup()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", help="name of a folder in predictions/")
    main(parser.parse_args().method)
