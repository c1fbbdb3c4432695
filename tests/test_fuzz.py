"""A short run of the fuzzer, always the same, and that it notices what it is there for."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fuzz.targets import Target
from talkmesh.errors import TalkmeshError

ROOT = Path(__file__).parents[1]
QUICK = ("sound", "piped", "transcript", "rig", "obj", "gltf", "flame", "ids", "vocaset", "pickle", "curves", "truth",
         "prediction", "evaluate", "parts", "manifest", "project", "checkpoint")  # fmt: skip


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
    assert sum(total.values()) == 300
    assert set(total) == set(QUICK)
    outcomes = {name for counts in found["counts"].values() for name in counts}
    assert outcomes == {"success", "refused"}
    assert list(tmp_path.iterdir()) == []


KINDS = {
    "hang": "hang", "signal": "crash", "raise": "crash", "memory": "memory", "wide": "unclear",
    "outside": "outside", "beside": "outside", "read": "outside", "ran": "ran", "refuse": "refused",
    "fine": "success",
}  # fmt: skip


def bad(given: Path, out: Path) -> None:
    """A loader that does what its file says."""
    kind = (given / "a").read_text()
    if kind == "hang":
        time.sleep(60)
    if kind == "signal":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "raise":
        raise KeyError("x")
    if kind == "memory":
        bytearray(400 << 20)
    if kind == "wide":
        error = TalkmeshError("")
        error.args = ("a" * 900,)
        raise error
    if kind == "outside":
        Path("../../../outside/pwned").write_text("x")
    if kind == "beside":
        (given / "more").write_text("x")
    if kind == "read":
        Path("../../../outside/secret").read_text()
    if kind == "ran":
        os.system("true")
    if kind == "refuse":
        raise TalkmeshError("no")


def test_the_driver_notices_every_kind_of_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the driver would set it for all tests after this one
    from benchmarks import fuzz as driver

    files = [{"a": kind.encode()} for kind in KINDS]
    monkeypatch.setitem(driver.TARGETS, "bad", Target(lambda: files, bad, 1))
    monkeypatch.setattr(driver, "SECONDS", 5.0)
    monkeypatch.setattr(driver, "MEMORY", 256 << 20)
    found = driver.batch("bad", [-1 - k for k in range(len(files))], 1, files)
    assert dict(zip(KINDS, (result.outcome for result in found), strict=True)) == KINDS
    with pytest.raises(RuntimeError, match="bad: good files 0 are refused: no"):
        driver.check_good("bad", [{"a": b"refuse"}])


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
