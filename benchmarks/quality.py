"""What the learned models reach, over corpora and seeds, against the bars that they are meant to pass.

    python -m benchmarks.quality [--json]                 reads the runs that are there
    python -m benchmarks.quality --make embedded:8 grid_s1:7   makes runs first, one after the other; they go on
                                                           where they were cut off

A run is a clone of this project's last commit in work/quality/<corpus>_<seed>, with the profile of the corpus, the seed
of its trainings, this project's recordings and DVC cache: what needs no training is not made twice. `dvc repro` makes
it. reports/benchmark.json gets every score of every run and what became of the bars.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from talkmesh import params, profile, scores
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, write_json

RUNS = Path("work/quality")
OUT = Path("reports/benchmark.json")
MADE = ("data/raw", "data/ground_truth")  # folders of recordings, by corpus
Scores = dict[str, dict[str, float]]  # by method and metric


@dataclass(frozen=True)
class Bar:
    """One aim. methods : of these the best counts; of : the method whose score is the unit, or empty; low, high : what
    the score must lie between."""

    corpus: str
    methods: tuple[str, ...]
    metric: str
    low: float = -np.inf
    high: float = np.inf
    of: str = ""

    def value(self, found: Scores) -> float | None:
        """Return the score that counts: the one nearest to what is allowed; None if no method has it."""
        values = [found[m][self.metric] for m in self.methods if self.metric in found.get(m, {})]
        if self.of:
            if self.metric not in found.get(self.of, {}):
                return None
            values = [value / found[self.of][self.metric] for value in values]
        return min(values, key=self.missed_by, default=None)

    def missed_by(self, value: float) -> float:
        """Return how far a score is from what is allowed; below 0 inside."""
        return max(self.low - value, value - self.high)


SPEECH = ("ours", "ours_anchored")
HALF_FRAME_MS = 20.0
BARS = (
    Bar("embedded", ("ours",), "lve_mm", high=0.5, of="still"),
    Bar("embedded", ("pseudo",), "lve_mm", high=0.3, of="still"),
    Bar("embedded", ("ours",), "opening_truth_r", low=0.8),
    Bar("embedded", ("ours",), "opening_truth_sd_ratio", 0.9, 1.1),
    Bar("embedded", ("ours",), "opening_truth_lag_ms", -HALF_FRAME_MS, HALF_FRAME_MS),
    Bar("embedded", ("ours",), "closure_percent", low=95.0),
    Bar("facegood", ("ours",), "lve_mm", high=0.75, of="still"),
    Bar("facegood", ("ours",), "lve_mm", high=1.05, of="linear"),
    Bar("grid_s1", ("pseudo",), "opening_r", low=0.9),
    Bar("grid_s1", SPEECH, "opening_r", low=0.75),
    Bar("grid_s1", ("pseudo",), "lle_clip_px", high=0.7, of="still"),
    Bar("grid_s1", SPEECH, "lle_clip_px", high=0.85, of="still"),
)


@dataclass(frozen=True)
class Verdict:
    """What became of a bar. values : one a seed; met : by every seed, None where nobody has measured it."""

    bar: str
    values: dict[str, float]
    met: bool | None


def judged(bar: Bar, runs: dict[str, Scores]) -> Verdict:
    """Compare a bar with all runs ``{"<corpus>_<seed>": scores}`` of its corpus."""
    found = {name: bar.value(run) for name, run in runs.items() if name.rpartition("_")[0] == bar.corpus}
    values = {name.rpartition("_")[2]: value for name, value in found.items() if value is not None}
    met = all(bar.missed_by(value) <= 0 for value in values.values()) if values else None
    return Verdict(told(bar), values, met)


def told(bar: Bar) -> str:
    """Return a bar in words."""
    unit = f" of {bar.of}" if bar.of else ""
    limits = {
        (True, True): f"{bar.low:g} to {bar.high:g}",
        (True, False): f"{bar.low:g} or more",
        (False, True): f"{bar.high:g} or less",
    }[bool(np.isfinite(bar.low)), bool(np.isfinite(bar.high))]
    return f"{bar.corpus}: {bar.metric} of {' or '.join(bar.methods)}, {limits}{unit}"


def collect(folder: Path = RUNS) -> dict[str, Scores]:
    """Return the scores of all finished runs by name."""
    reports = sorted(folder.glob("*/reports/metrics.json"))
    return {path.parts[-3]: scores.means(read_json(path)) for path in reports}


def make(corpus: str, seed: int) -> None:
    """Make one run, or bring it to its end.

    Raises
    ------
    TalkmeshError
        If the recordings of the corpus are not there, or a stage fails.
    """
    recordings = Path("data/raw", corpus)
    if not recordings.exists():
        raise TalkmeshError(
            f"{recordings} is missing: profiles/{corpus}.yaml and the README say how to get it"
        )
    folder = RUNS / f"{corpus}_{seed}"
    if not (folder / ".ready").exists():
        _prepare(folder, corpus, seed)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"], cwd=folder, env=_environment(folder), check=False
    )
    if done.returncode:
        raise TalkmeshError(f"`dvc repro` in {folder} failed: mend it and call this again")


def _prepare(folder: Path, corpus: str, seed: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
    cache = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    (folder / ".dvc/config.local").write_text(f"[cache]\n    dir = {Path(cache).resolve()}\n")
    for name in MADE:
        if Path(name, corpus).exists():
            # the same files under a second name: recordings are large, and nobody writes to them
            shutil.copytree(Path(name, corpus), folder / name / corpus, copy_function=os.link)
    if corpus in profile.available(folder / profile.PROFILES):
        profile.apply(corpus, folder / params.PARAMS, folder / profile.PROFILES)
    seeds = folder / "work"
    seeds.mkdir()
    (seeds / "seed.yaml").write_text(
        f"transcoder: {{train: {{seed: {seed}}}}}\nregressor: {{train: {{seed: {seed}}}}}\n"
    )
    profile.apply("seed", folder / params.PARAMS, seeds)
    (folder / ".ready").touch()


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a run: its own code, this project's MLflow."""
    from talkmesh import tracking

    paths = [str(folder.resolve() / "src"), str(folder.resolve())]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": path,
        "MLFLOW_TRACKING_URI": tracking.store(),
    }


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the bars as Markdown, the score of each seed beside it."""
    words = {True: "met", False: "missed", None: "not measured"}
    rows = []
    for verdict in verdicts:
        values = ", ".join(f"{value:.3f} ({seed})" for seed, value in verdict.values.items())
        rows.append(f"| {verdict.bar} | {values or '-'} | {words[verdict.met]} |")
    return "\n".join(["| bar | measured (seed) | |", "|---|---|---|", *rows])


def main() -> int:
    """Print the bars; return 1 if one that was measured is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--make", nargs="+", default=[], metavar="CORPUS:SEED", help="runs to make first")
    parser.add_argument("--json", action="store_true", help="one JSON object in place of the table")
    arguments = parser.parse_args()
    try:
        for text in arguments.make:
            corpus, _, seed = text.partition(":")
            if not seed.isdecimal():
                parser.error(f"--make {text}: say it as CORPUS:SEED, such as embedded:8")
            make(corpus, int(seed))
        runs = collect()
    except TalkmeshError as error:
        print(error, file=sys.stderr)
        return 2
    verdicts = [judged(bar, runs) for bar in BARS]
    result = {"runs": runs, "bars": [asdict(verdict) for verdict in verdicts]}
    write_json(OUT, result)
    print(json.dumps(result) if arguments.json else table(verdicts))
    return 1 if any(verdict.met is False for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
