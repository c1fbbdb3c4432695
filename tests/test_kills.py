"""A few of the kill drills; `python -m benchmarks.kills` does twenty of each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_exports_and_answers_survive_kills() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "benchmarks.kills", "--json", "--kills", "3"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert done.returncode == 0, found
    assert found["export"]["half_files"] == []
    assert found["export"]["kills"] + found["export"]["came_to_its_end_before"] == 3
    assert found["study"]["lost"] == 0
    assert found["study"]["acknowledged"] > 3
