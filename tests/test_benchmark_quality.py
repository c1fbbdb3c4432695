"""The bars of quality: what counts, when one is met, and that a run is a clone that shares what is large."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import quality
from benchmarks.quality import Bar, judged
from talkmesh import params
from talkmesh.definitions import METRICS
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_json

RUNS = {
    "toy_1_7": {"ours": {"lve_mm": 2.0, "r": 0.9}, "other": {"r": 0.95}, "still": {"lve_mm": 4.0}},
    "toy_1_8": {"ours": {"lve_mm": 2.2, "r": 0.7}, "still": {"lve_mm": 4.0}},
    "toy_7": {"ours": {"lve_mm": 9.0}, "still": {"lve_mm": 4.0}},
}


@pytest.mark.parametrize(
    ("bar", "values", "met"),
    [
        (Bar("toy_1", ("ours",), "lve_mm", high=0.55, of="still"), {"7": 0.5, "8": 0.55}, True),
        (Bar("toy_1", ("ours",), "lve_mm", high=0.54, of="still"), {"7": 0.5, "8": 0.55}, False),  # one seed misses
        (Bar("toy_1", ("ours", "other"), "r", low=0.7), {"7": 0.95, "8": 0.7}, True),
        (Bar("toy_1", ("ours", "other"), "r", 0.94, 1.0), {"7": 0.95, "8": 0.7}, False),  # the better one counts
        (Bar("toy_1", ("other",), "r", low=0.9), {"7": 0.95}, True),
        (Bar("toy_1", ("ours",), "lve_mm", high=1.0, of="linear"), {}, None),
        (Bar("away", ("ours",), "lve_mm", high=1.0), {}, None),
    ],
)  # fmt: skip
def test_a_bar_is_met_by_every_seed_of_its_corpus(
    bar: Bar, values: dict[str, float], met: bool | None
) -> None:
    verdict = judged(bar, RUNS)
    assert verdict.values == pytest.approx(values)
    assert verdict.met is met


def test_the_bars_are_told_in_words_and_name_real_metrics() -> None:
    assert quality.told(quality.BARS[0]) == "embedded: lve_mm of ours, 0.5 or less of still"
    assert quality.told(Bar("a", ("b", "c"), "d", 1, 2)) == "a: d of b or c, 1 to 2"
    for bar in quality.BARS:
        assert bar.metric in METRICS
        assert bar.low < bar.high


def test_a_run_is_a_clone_with_its_seed_profile_recordings_and_the_same_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("profiles").mkdir()
    Path("profiles/ann.yaml").write_text("corpus: ann\n")
    Path("params.yaml").write_text(
        "corpus: embedded\ntranscoder: {train: {seed: 7}}\nregressor: {train: {seed: 7}}\n"
    )
    Path(".gitignore").write_text("/data/raw/?*\n")
    Path("dvc.yaml").write_text("stages:\n  fail:\n    cmd: exit 3\n    outs: [x]\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "a"], check=True)
    with pytest.raises(TalkmeshError, match="data/raw/ann is missing"):
        quality.make("ann", 9)
    Path("data/raw/ann").mkdir(parents=True)
    Path("data/raw/ann/a.mp4").write_text("a")

    with pytest.raises(TalkmeshError, match=r"ann_9 failed"):
        quality.make("ann", 9)
    folder = quality.RUNS / "ann_9"
    made = params.read(folder / "params.yaml")
    assert made["corpus"] == "ann"
    assert made["transcoder"]["train"]["seed"] == made["regressor"]["train"]["seed"] == 9
    assert (folder / "data/raw/ann/a.mp4").samefile("data/raw/ann/a.mp4")
    cache = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert Path(cache.stdout.strip()) == tmp_path / ".dvc/cache"

    (folder / "params.yaml").write_text("kept: 1\n")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    quality.make("ann", 9)  # goes on in the same folder
    assert (folder / "params.yaml").read_text() == "kept: 1\n"
    score = {"lve_mm": {"mean": 1.0, "ci95": None}}
    write_json(
        folder / "reports/metrics.json", {"methods": {"ours": score, "meshtalk": {"skipped": "no data"}}}
    )
    assert quality.collect() == {"ann_9": {"ours": {"lve_mm": 1.0}}}
