"""Scripts in processes of their own: to be killed, or to have their memory measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python(script: str) -> subprocess.Popen[str]:
    """Start a script that can import the package and the tests; its standard output is read line by line."""
    paths = [str(ROOT / "src"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    )


def killed_when_it_says_now(script: str) -> None:
    """Run a script until it prints "now", and kill it there: no clock decides when that is."""
    with python(script) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert said == "now\n", "it came to its end, or failed"
    assert process.returncode == -signal.SIGKILL
