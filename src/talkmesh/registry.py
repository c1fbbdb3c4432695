"""Models in MLflow: judged bundles as logged models, the best of them registered under the alias `champion`.

Beside `tracking` the only module that imports MLflow. Like there, whatever fails costs a warning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from talkmesh import __version__, tracking
from talkmesh.champion import ChampionParams, Contender, cost, verdict
from talkmesh.files import content_hash, read_npz

ALIAS = "champion"
RATE = 16_000  # Hz, of the example
BUNDLE, TEST_SET = "talkmesh.bundle", "talkmesh.test_set"  # tags


def bundle_hash(folder: Path) -> str:
    """Return the hash of a bundle: its manifest holds those of all its files."""
    return content_hash(folder / "bundle.json")


def model_name(corpus: str, track: str) -> str:
    """Return the name under which the champions of a corpus and a topology are registered."""
    return re.sub(r"[^\w.-]", "_", f"talkmesh-{corpus}-{track}")


@dataclass(frozen=True)
class Kept:
    """A judged model in MLflow. model, run : ids of the logged model and of the run with its scores."""

    contender: Contender
    model: str
    run: str


def keep(log: tracking.Log, folder: Path, method: str, contender: Contender) -> Kept | None:
    """Keep a bundle as a logged model of the run that judged it, with signature and example.

    One that MLflow has already is not kept twice. None if nothing is tracked or MLflow fails.
    """

    def write(client: Any) -> Kept:
        experiment = client.get_run(log.id).info.experiment_id
        found = client.search_logged_models(
            [experiment], filter_string=f"tags.`{BUNDLE}` = '{contender.bundle}'"
        )
        if found:
            return Kept(contender, found[0].model_id, str(log.id))
        import mlflow

        mlflow.set_tracking_uri(tracking.store())
        with mlflow.start_run(run_id=log.id):
            made = mlflow.pyfunc.log_model(
                name=method,
                loader_module="talkmesh.served",
                data_path=str(folder),
                signature=_signature(folder),
                input_example=example(),
                pip_requirements=[f"talkmesh=={__version__}"],
                tags=_tags(contender),
            )
        return Kept(contender, made.model_id, str(log.id))

    return log.attempt(f"the bundle of {method}", write)


def best(kept: list[Kept], how: ChampionParams) -> Kept | None:
    """Return the one to send against the champion; None if there is none with the score that counts."""
    scored = [k for k in kept if how.metric in k.contender.scores]
    return min(scored, key=lambda k: cost(how.metric, k.contender.scores[how.metric]), default=None)


def crown(log: tracking.Log, name: str, kept: Kept, how: ChampionParams) -> str | None:
    """Register a model as champion under `name` if it beats the present one, and return in a sentence whether and why.

    None if nothing is tracked or MLflow fails.
    """

    def write(client: Any) -> str:
        wins, why = verdict(kept.contender, champion(client, name), how)
        if wins:
            _register(client, name, kept)
        return why

    return log.attempt(f"the champion of {name}", write)


def champion(client: Any, name: str) -> Contender | None:
    """Return the present champion with the scores of the run that judged it, or None if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    scores = client.get_run(version.run_id).data.metrics
    return Contender(version.tags.get(BUNDLE, ""), version.tags.get(TEST_SET, ""), scores)


def _register(client: Any, name: str, kept: Kept) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name, f"models:/{kept.model}", run_id=kept.run, tags=_tags(kept.contender), model_id=kept.model
    )
    client.set_registered_model_alias(name, ALIAS, made.version)


def _tags(contender: Contender) -> dict[str, str]:
    return {BUNDLE: contender.bundle, TEST_SET: contender.test_set}


def example() -> np.ndarray:
    """Return samples (S,) float32 to try a model with: a second of a hum in syllables, nobody's voice."""
    t = np.arange(RATE) / RATE
    hum = np.stack([np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 12)]).sum(0)
    return (0.1 * hum * np.sin(2 * np.pi * 2 * t) ** 2).astype(np.float32)


def _signature(folder: Path) -> Any:
    """Return what goes in and comes out: (S,) float32 samples, their rate, (T, V, 3) float32 mm."""
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    vertices = len(read_npz(folder / "rig.npz")["neutral"])
    single = np.dtype(np.float32)
    return ModelSignature(
        Schema([TensorSpec(single, (-1,))]),
        Schema([TensorSpec(single, (-1, vertices, 3))]),
        ParamSchema([ParamSpec("rate", DataType.long, RATE)]),
    )
