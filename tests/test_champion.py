"""The champion: when a model takes its place, and how that looks in MLflow."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny_project
from models_on_disk import sound, write_parts
from talkmesh import contracts, params, registry, tracking
from talkmesh.bundle import load, write_bundle
from talkmesh.champion import ChampionParams, Contender, set_hash, verdict
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_json
from talkmesh.train import write_curves

HOW = ChampionParams("lve_mm", 0.1)
TRACK = contracts.Track("cg", "character", "data/clips")


def contender(bundle: str, value: float, test_set: str = "t") -> Contender:
    return Contender(bundle, test_set, {"lve_mm": value, "opening_r": value / 10})


@pytest.mark.parametrize(
    ("new", "present", "how", "wins", "why"),
    [
        (contender("a", 3.0), None, HOW, True, "the first champion, lve_mm 3"),
        (contender("a", 3.0), contender("a", 3.5), HOW, False, "it is the champion already"),
        (contender("a", 3.0), contender("b", 3.5), HOW, True, "lve_mm 3 against 3.5"),
        (contender("a", 3.45), contender("b", 3.5), HOW, False, "lve_mm 3.45 against 3.5, not better by 0.1"),
        (contender("a", 3.0), contender("b", 3.5, "u"), HOW, False, "on another test set"),
        (contender("a", 8.0), contender("b", 5.0), ChampionParams("opening_r", 0.1), True, "0.8 against 0.5"),
        (contender("a", 5.0), contender("b", 8.0), ChampionParams("opening_r", 0.1), False, "stays"),
        (contender("a", 3.0), Contender("b", "t", {}), HOW, False, "the champion has no lve_mm"),
    ],
)
def test_who_wins(
    new: Contender, present: Contender | None, how: ChampionParams, wins: bool, why: str
) -> None:
    won, said = verdict(new, present, how)
    assert won == wins
    assert why in said


def test_a_metric_that_is_no_score_is_refused() -> None:
    for name in ("lve", "mesh_jitter"):
        with pytest.raises(TalkmeshError, match=f"champion.metric is '{name}', which is no score; .* lve_mm"):
            params.build(ChampionParams, {"metric": name, "margin": 0.1}, "params.yaml")


def test_the_hash_of_the_test_set_follows_truth_and_sound_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_project.make(tmp_path)
    first = set_hash(TRACK, {"closure_mm": 1.0})
    assert set_hash(TRACK, {"closure_mm": 1.0}) == first
    assert set_hash(TRACK, {"closure_mm": 2.0}) != first
    truth = contracts.CLIPS / "talk_a" / "ground_truth.npz"
    kept = truth.read_bytes()
    truth.unlink()
    assert set_hash(TRACK, {"closure_mm": 1.0}) != first
    truth.write_bytes(kept)
    assert set_hash(TRACK, {"closure_mm": 1.0}) == first
    with open(contracts.clip_audio("talk_b"), "ab") as file:
        file.write(b"x")
    assert set_hash(TRACK, {"closure_mm": 1.0}) != first


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Judged test clips and a bundle, in a project of its own."""
    (tmp_path / ".dvc").mkdir()
    for name in (tracking.PARENT, tracking.SWITCH, "DVC_ROOT", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    # MLflow sets it, too: only what was set here before is taken back afterwards
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    tiny_project.make(tmp_path)
    with open("params.yaml", "a") as file:
        file.write("champion: {metric: lve_mm, margin: 0.1}\n")
    write_parts(tmp_path / "parts")
    write_model(0)
    return tmp_path


def write_model(seed: int) -> None:
    """Bundle a model that differs by `seed`."""
    parts = Path("parts/t"), Path("parts/g"), Path("parts/rig.npz")
    write_bundle(Path("models/bundles/ours"), *parts, gain=1.0 + seed, corpus="embedded")


def judged(value: float, **more: Any) -> None:
    """Write reports/metrics.json as if `ours` had been judged."""
    score = {"mean": value, "ci95": [value - 1, value + 1], "n_clips": 3, "seeds": 1}
    still = {"lve_mm": {"mean": 5.0, "ci95": None, "n_clips": 3, "seeds": 0}}
    methods = {"ours": {"lve_mm": score, "lle_px": {"mean": None}}, "still": still, "voca": {"skipped": "no"}}
    measured = {"clips": 3, "closure_mm": 1.0} | more
    results = {"corpus": "embedded", "track": "cg", "measured_on": measured, "methods": methods}
    write_json("reports/metrics.json", results)


def run_stage() -> dict[str, Any]:
    from stages.champion import main

    main()
    return json.loads(Path("reports/champion.json").read_text())


def test_the_stage_keeps_the_model_and_crowns_only_a_better_one(project: Path) -> None:
    from mlflow import MlflowClient, pyfunc, set_tracking_uri  # noqa: TID251

    client = MlflowClient(tracking_uri=tracking.store())
    judged(3.0)
    first = run_stage()
    assert first["said"] == "the first champion, lve_mm 3"
    name = "talkmesh-embedded-cg"
    version = client.get_model_version_by_alias(name, registry.ALIAS)
    assert str(version.version) == "1"

    # one parent, a child a method, the same names: the table of MLflow's compare view
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{first['run_id']}'")
    scores = {run.data.params["method"]: run.data.metrics for run in children}
    assert scores == {"ours": {"lve_mm": 3.0}, "still": {"lve_mm": 5.0}}
    assert {run.data.params["test_set"] for run in children} == {version.tags[registry.TEST_SET]}

    # whole, described, and without a pickle
    set_tracking_uri(tracking.store())
    model = pyfunc.load_model(f"models:/{name}@champion")
    wanted = load("models/bundles/ours").animate(sound(0.5), 16_000).vertices
    np.testing.assert_array_equal(model.predict(sound(0.5)), wanted)
    assert model.predict(sound(0.5), params={"rate": 8_000}).shape == (25, 60, 3)
    assert model.metadata.signature.outputs.inputs[0].shape == (-1, 60, 3)
    assert model.input_example.shape == (registry.RATE,)
    files = {p.suffix for p in (project / "mlruns").rglob("*") if p.is_file()}
    assert not files & {".pkl", ".pickle", ".pt", ".joblib"}

    # the same again, a little better, better, better but on other clips
    models = len(client.search_logged_models([experiment]))
    assert run_stage()["said"] == "it is the champion already"
    assert len(client.search_logged_models([experiment])) == models == 1
    for seed, value, more, said, champion in (
        (1, 2.95, {}, "the champion stays: lve_mm 2.95 against 3, not better by 0.1", "1"),
        (2, 2.5, {}, "the new champion: lve_mm 2.5 against 3", "2"),
        (3, 1.0, {"clips": 4}, "the champion was judged on another test set", "2"),
    ):
        write_model(seed)
        judged(value, **more)
        assert run_stage()["said"].startswith(said)
        assert str(client.get_model_version_by_alias(name, registry.ALIAS).version) == champion


def test_untracked_and_without_a_server_the_stage_ends_well(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(3.0)
    monkeypatch.setenv(tracking.SWITCH, "off")
    assert run_stage()["run_id"] is None
    monkeypatch.delenv(tracking.SWITCH)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert run_stage()["run_id"] is None


def test_what_mlflow_missed_of_a_training_is_brought_there_once(project: Path) -> None:
    from mlflow import MlflowClient  # noqa: TID251

    folder = project / "models/transcoder/full"
    rows = [(s, "score", 1.0 / s, split) for s in (5, 10, 15) for split in ("train", "val")]
    folder.mkdir(parents=True)
    write_curves(folder / "curves.csv", rows)
    with tracking.run("transcoder", "full") as log:  # went away after the first validation
        log.metrics({"train/score": 0.2, "val/score": 0.2}, 5)
    log.write_id(folder / "run.json")
    client = MlflowClient(tracking_uri=tracking.store())
    for _ in range(2):
        tracking.complete(folder, "transcoder", "full")
        for split in ("train", "val"):
            curve = client.get_metric_history(log.id, f"{split}/score")
            assert [m.step for m in curve] == [5, 10, 15]

    # a run that began without any MLflow, or in another one
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    for missing in (None, "f" * 32):
        write_json(folder / "run.json", {"run_id": missing})
        for _ in range(2):
            tracking.complete(folder, "transcoder", "full")
        runs = client.search_runs([experiment])
        assert len(runs) == 2
        made = next(run for run in runs if run.info.run_id != log.id)
        assert made.info.run_name == "transcoder@full"
        assert made.info.status == "FINISHED"
        assert [m.step for m in client.get_metric_history(made.info.run_id, "val/score")] == [5, 10, 15]
