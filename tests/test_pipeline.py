"""The real DAG from raw video to report, on a few seconds of generated video with tiny networks."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from talkmesh import params
from talkmesh.errors import TalkmeshError
from talkmesh.face_model import face_landmarker_path

ROOT = Path(__file__).parents[1]
TINY = {
    "sample": {"train": 4, "test": 2, "pixels": 256},
    "segment": {"val": 1, "test": "test.txt"},
    "perform": {"frames": 60},
    "transcoder": {
        "alone": 4,
        "model": {
            "encoder": [8, 8, 8, 8],
            "decoder": [8, 8, 8, 8],
            "speech": {"front_end": "log_mel", "width": 16, "layers": 1},
        },
        "batch": {"windows": 2, "window": 16, "frames": 2, "decoded": 1, "synthetic": 4, "alike": 0.5},
        "train": {"steps": 6, "validate_every": 3, "warmup": 2},
    },
    "regressor": {"model": {"batch": 8}, "train": {"steps": 4, "validate_every": 2, "warmup": 2}},
    "report": {"clips": 1, "pixels": 96},
}


def repro(folder: Path, *more: str) -> str:
    """Run `dvc repro` there and return what it prints."""
    env = os.environ | {
        "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", *more],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


def copy_code(folder: Path) -> None:
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)


def begin(folder: Path) -> None:
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with tiny numbers, a corpus of six sentences and one file that is no video."""
    if importlib.util.find_spec("anny") is None:
        pytest.skip("the extra `sample` is not installed")
    try:
        face_landmarker_path()
    except TalkmeshError as error:
        pytest.skip(str(error))
    from talkmesh.sample.corpus import SampleConfig, write_corpus

    folder = tmp_path_factory.mktemp("project")
    copy_code(folder)
    (folder / "data/rigs").mkdir(parents=True)
    (folder / "data/curves").mkdir(parents=True)
    numbers = params.merged(params.read(ROOT / "params.yaml"), TINY)
    (folder / "params.yaml").write_text(yaml.safe_dump(numbers, sort_keys=False))
    write_corpus(params.section(SampleConfig, "sample", path=folder / "params.yaml"), folder)
    speaker = next(p for p in (folder / "data/raw/embedded").iterdir() if p.is_dir())
    (speaker / "notes.mp4").write_text("this is no video")
    begin(folder)
    repro(folder)
    return folder


def test_every_method_has_a_result_and_the_page_exists(project):
    scores = json.loads((project / "reports/metrics.json").read_text())["methods"]
    assert set(scores) == {"ours", "pseudo", "ground_truth", "still", "chance"}
    for method, row in scores.items():
        assert (row["lve_mm"]["mean"] > 0) == (method != "ground_truth")
        assert row["lve_mm"]["n_clips"] == 2
    assert scores["still"]["lve_mm"]["mean"] >= 3.0  # the benchmark is not easy
    assert (project / "reports/html/index.html").stat().st_size > 2000
    assert list((project / "reports/html").rglob("*.mp4"))


def test_a_made_corpus_is_labelled_and_the_regressor_leaves_a_picture(project):
    scores = json.loads((project / "reports/metrics.json").read_text())
    assert scores["synthetic"] == (project / "data/raw/embedded/synthetic.txt").read_text().strip() != ""
    assert "synthetic benchmark" in (project / "reports/html/index.html").read_text()
    assert (project / "reports/preview/regressor.png").stat().st_size > 2000


def test_the_bad_file_is_named_and_the_rest_went_through(project):
    table = pd.read_csv(project / "data/clips/clips.csv")
    bad = table[table["source"].str.endswith("notes.mp4")]
    assert len(bad) == 1
    assert isinstance(bad["dropped_why"].iloc[0], str)
    assert table["dropped_why"].isna().sum() == 6
    assert sorted(table["split"].dropna()) == ["test"] * 2 + ["train"] * 3 + ["val"]


def test_run_ids_are_kept_and_the_bundle_animates(project):
    import numpy as np

    from talkmesh.animate import animate
    from talkmesh.bundle import load

    for folder in ("models/transcoder/full", "models/transcoder/image_only", "models/regressor/cg"):
        assert json.loads((project / folder / "run.json").read_text())["run_id"]
    bundle = load(project / "models/bundles/ours")
    samples = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    animation = animate(bundle, samples)
    assert animation.vertices.shape == (25, len(bundle.rig.neutral), 3)
    assert np.isfinite(animation.vertices).all()


def test_scores_and_model_are_in_mlflow_and_the_first_model_is_the_champion(project):
    outcome = json.loads((project / "reports/champion.json").read_text())
    assert outcome["run_id"]
    assert outcome["said"].startswith("the first champion, lve_mm")


@pytest.mark.slow
def test_two_runs_of_one_commit_give_identical_files(project, tmp_path):
    """In another folder, where nothing is kept from the first run; ids of runs are all that may differ."""
    copy_code(tmp_path)
    shutil.copy(project / "params.yaml", tmp_path)
    for name in ("raw", "ground_truth", "rigs", "curves"):
        shutil.copytree(project / "data" / name, tmp_path / "data" / name)
    begin(tmp_path)
    repro(tmp_path)
    outs = [
        out["path"]
        for stage in yaml.safe_load((project / "dvc.lock").read_text())["stages"].values()
        for out in stage["outs"]
    ]
    files = [
        path.relative_to(project)
        for out in outs
        for path in ([project / out] if (project / out).is_file() else sorted((project / out).rglob("*")))
        if path.is_file()
    ]
    named = {"run.json", "champion.json"}
    other = [f for f in files if (project / f).read_bytes() != (tmp_path / f).read_bytes()]
    assert Path("reports/metrics.json") in files
    assert {f.name for f in files if f.suffix == ".safetensors"} >= {"weights.safetensors"}
    assert [str(f) for f in other if f.name not in named] == []


def test_a_second_repro_does_nothing_and_an_edit_remakes_only_what_it_changes(project):
    assert "up to date" in repro(project)
    numbers = params.read(project / "params.yaml")
    numbers["evaluate"]["max_lag_s"] += 0.1
    (project / "params.yaml").write_text(yaml.safe_dump(numbers, sort_keys=False))
    said = repro(project, "--dry")
    ran = {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")}
    # what comes after them reads what they write, and a dry run writes nothing
    assert ran == {f"evaluate@{m}" for m in numbers["methods"]} | {"report"}


def test_the_second_topology_goes_the_same_way_and_is_judged_on_sound_it_never_saw(project):
    """Last, since it changes the project: the profile, with the test sentences' sound as the unseen corpus."""
    from talkmesh import profile

    raw, truth = project / "data/raw", project / "data/ground_truth"
    for line in (raw / "embedded/test.txt").read_text().split():
        stem = Path(line).stem
        for film in (raw / "embedded").glob(f"*/{stem}.mp4"):
            (raw / "voices" / film.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(film, raw / "voices" / film.parent.name)
        (truth / "voices").mkdir(exist_ok=True)
        shutil.copy(truth / "embedded" / f"{stem}.npz", truth / "voices")
    profile.apply("second", project / "params.yaml", ROOT / "profiles")
    repro(project)
    scores = json.loads((project / "reports/metrics.json").read_text())
    assert scores["track"] == "second"
    assert scores["measured_on"]["clips_of"] == "data/unseen/voices"
    assert set(scores["methods"]) == {"ours", "ground_truth", "still", "chance"}
    for row in scores["methods"].values():
        assert row["lve_mm"]["n_clips"] == 2
        assert "lle_px" not in row
    assert scores["methods"]["still"]["lve_mm"]["mean"] >= 3.0
    assert (project / "reports/preview/transfer.png").exists()
    assert list((project / "reports/html").rglob("*.mp4"))
