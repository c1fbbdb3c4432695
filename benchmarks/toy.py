"""A project of stages that do next to nothing: what orchestration costs, and what faults do, without the training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = """
import os, pathlib, sys, time
name, seconds = sys.argv[1], float(sys.argv[2])
target = pathlib.Path("out", name + ".txt")
target.parent.mkdir(exist_ok=True)
with open(target, "w") as file:  # written bit by bit, in its place: half of it is there when it is killed
    for line in range(100):
        file.write(f"{name} {line}\\n")
        file.flush()
        time.sleep(seconds / 100)
"""


def make(folder: Path, width: int, seconds: float = 0.0) -> list[str]:
    """Write a project with one stage, `width` that need it, and one that needs them all; return their names.

    seconds : that a stage takes, beside starting Python
    """
    (folder / "stages").mkdir(parents=True)
    (folder / "stages/__init__.py").touch()
    (folder / "stages/work.py").write_text(WORK)
    middle = [f"m{i}" for i in range(width)]
    needs = {"first": [], **{name: ["first"] for name in middle}, "last": middle}
    lines = ["stages:"]
    for name, deps in needs.items():
        lines += [f"  {name}:", f"    cmd: python -m stages.work {name} {seconds}"]
        lines += ["    deps: [" + ", ".join(f"out/{d}.txt" for d in deps) + "]"] if deps else []
        lines += [f"    outs: [out/{name}.txt]"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    flow = 'flow: {retries: 0, retry_delay_s: 0.0, nightly: "", watch: "", settle_s: 0.0}\n'
    (folder / "params.yaml").write_text(flow)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=folder, check=True)
    return list(needs)


def environment(**more: str) -> dict[str, str]:
    """Return the environment in which the project's stages and our flows run, untracked."""
    ours = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        "DVC_NO_ANALYTICS": "1",
        "TALKMESH_TRACKING": "off",
    }
    return os.environ | ours | more


def dvc(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run DVC there and wait for it."""
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
