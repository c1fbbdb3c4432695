"""All results into reports/metrics.json, those for DVC's tables into scores.json; the paper's tables; the page."""

from __future__ import annotations

import logging
from pathlib import Path

from talkmesh import log as log_format
from talkmesh import synthetic
from talkmesh.contracts import Track
from talkmesh.files import write_json
from talkmesh.params import read, section
from talkmesh.references import REFERENCES
from talkmesh.report import METRICS_FILE, ReportParams, build, collect, write_tables
from talkmesh.scores import SCORES, summary
from talkmesh.scoring import Scoring

log = logging.getLogger(__name__)


def main() -> None:
    values = read()
    results = collect(
        [str(m) for m in values["methods"]], str(values["corpus"]), section(Scoring, "evaluate").bootstrap
    )
    track = section(Track, "track")
    results["synthetic"] = synthetic.note(Path(track.clips))
    write_json(METRICS_FILE, results)
    # of methods that nothing is trained for, every run has the same
    write_json(SCORES, summary(results, without=REFERENCES))
    write_tables(results)
    page = build(results, section(ReportParams, "report"), track)
    log.info("open %s", page)


if __name__ == "__main__":
    log_format.setup()
    main()
