"""Collect all results into reports/metrics.json; write the paper's tables and the page, reports/html/index.html."""

from __future__ import annotations

import logging
from pathlib import Path

from talkmesh import log as log_format
from talkmesh import synthetic
from talkmesh.contracts import Track
from talkmesh.files import write_json
from talkmesh.params import read, section
from talkmesh.report import METRICS_FILE, ReportParams, build, collect, write_tables
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
    write_tables(results)
    page = build(results, section(ReportParams, "report"), track)
    log.info("open %s", page)


if __name__ == "__main__":
    log_format.setup()
    main()
