"""A short run of the fuzzer, always the same, and that it notices what it is there for."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUICK = ("sound", "piped", "transcript", "rig", "obj", "gltf", "flame", "ids", "vocaset", "pickle", "curves", "truth",
         "prediction", "evaluate", "params", "parts", "manifest", "project", "checkpoint")  # fmt: skip


def fuzz(tmp_path: Path, *words: str) -> tuple[int, dict]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "benchmarks.fuzz", "--json", "--keep", str(tmp_path), *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_some_hundred_damaged_files_end_in_success_or_one_sentence(tmp_path: Path) -> None:
    code, found = fuzz(tmp_path, "--count", "300", "--seed", "11", *QUICK)
    assert found["failures"] == []
    assert code == 0
    total = {name: sum(counts.values()) for name, counts in found["counts"].items()}
    assert sum(total.values()) >= 290
    outcomes = {name for counts in found["counts"].values() for name in counts}
    assert outcomes == {"success", "refused"}
    assert list(tmp_path.iterdir()) == []


BROKEN = """
import os, sys, time
from pathlib import Path
from benchmarks import fuzz
from fuzz import targets
def bad(given, out):
    kind = next(given.iterdir()).read_text()
    if kind == "hang": time.sleep(60)
    if kind == "signal": os.abort()
    if kind == "raise": raise KeyError("x")
    if kind == "memory": held = bytearray(1200 << 20)
    if kind == "wide": fuzz.TalkmeshError.__init__ = Exception.__init__; raise fuzz.TalkmeshError("a" * 900)
    if kind == "outside": Path("../../../outside/pwned").write_text("x")
    if kind == "beside": (given / "more").write_text("x")
    if kind == "read": Path("../../../outside/secret").read_text()
    if kind == "ran": os.system("true")
    if kind == "refuse": raise fuzz.TalkmeshError("no")
kinds = "hang signal raise memory wide outside beside read ran refuse fine".split()
fuzz.TARGETS["bad"] = targets.Target(lambda: [], bad, 1)
fuzz.files_of = lambda target, case, seed, seeds: {"a": kinds[case].encode()}
fuzz.SECONDS = 1.0
for result in fuzz.batch("bad", list(range(len(kinds))), 1, []):
    print(kinds[result.case], result.outcome)
"""


def test_the_driver_notices_every_kind_of_failure() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", BROKEN], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    found = dict(line.split() for line in done.stdout.splitlines())
    assert found == {
        "hang": "hang", "signal": "crash", "raise": "crash", "memory": "memory", "wide": "unclear",
        "outside": "outside", "beside": "outside", "read": "outside", "ran": "ran", "refuse": "refused",
        "fine": "success",
    }, done.stderr  # fmt: skip


def test_hostile_pickles_of_the_fuzzer_do_run_where_pickle_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would prove nothing that they run nothing here."""
    import random

    from fuzz.arrays import hostile
    from fuzz.blind import CANARY

    monkeypatch.chdir(tmp_path)
    for seed in range(20):
        data = pickle.dumps(hostile(random.Random(seed)))
        Path(CANARY).unlink(missing_ok=True)
        pickle.loads(data)
        assert Path(CANARY).exists()
