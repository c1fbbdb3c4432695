"""Put the scores of all methods into MLflow, and register the best model there if it beats the champion.

What MLflow missed of the trainings while it was away is brought there too. Nothing depends on this stage, and an
MLflow that is away does not make it fail: ``dvc repro --single-item --force champion`` makes up for it later.
"""

import logging
from pathlib import Path

from talkmesh import registry, tracking
from talkmesh.champion import ChampionParams, Contender, set_hash
from talkmesh.contracts import Track
from talkmesh.files import read_json, write_json
from talkmesh.log import setup
from talkmesh.params import section
from talkmesh.scores import METRICS, columns_of, means

logger = logging.getLogger(__name__)

OUT = Path("reports/champion.json")
BUNDLES = Path("models/bundles")
TRAINED = (
    "transcoder",
    "regressor",
    "head",
    "baselines",
)  # folders in models/: one training a folder in them


def main() -> None:
    """Write reports/champion.json: the run that holds the scores, and what became of the champion."""
    how, track = section(ChampionParams, "champion"), section(Track, "track")
    results = read_json(METRICS)
    for stage in TRAINED:
        for path in sorted(Path("models", stage).glob("*/run.json")):
            tracking.complete(path.parent, stage, path.parent.name)
    test_set = set_hash(track, results["measured_on"])
    measured = results["measured_on"] | {k: results[k] for k in ("corpus", "track")} | {"test_set": test_set}
    name = registry.model_name(results["corpus"], results["track"])
    kept = []
    with tracking.run("evaluate", params=measured) as log:
        log.artifact(METRICS)
        log.table(columns_of(means(results), "method"), "scores.json")
        for method, scores in means(results).items():
            with tracking.run("evaluate", method, {"method": method} | measured, parent=log.id) as row:
                row.metrics(scores)
                row.flush()
                folder = BUNDLES / method
                if (folder / "bundle.json").exists():
                    contender = Contender(registry.bundle_hash(folder), test_set, scores)
                    kept.append(registry.keep(row, folder, method, contender))
        first = registry.best([k for k in kept if k], how)
        said = (
            registry.crown(log, name, first, how) if first else f"no model with a {how.metric} came to MLflow"
        )
    logger.info("%s: %s", name, said)
    write_json(OUT, {"run_id": log.id, "said": said})


if __name__ == "__main__":
    setup()
    main()
