"""Disks that spoil files or are full, and clocks that jump."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import toy
from benchmarks.faults.stages import wrong


def cache(folder: Path) -> dict[str, Any]:
    """Damage the cached copy of a result that is then needed; `dvc repro` must not hand it out."""
    stages = toy.make(folder, 1, 0.0)
    assert toy.dvc(folder, "repro").returncode == 0
    target = folder / "out/m0.txt"
    text = target.read_text()
    kept = next(f for f in (folder / ".dvc/cache/files").rglob("*") if f.is_file() and f.read_text() == text)
    mode = kept.stat().st_mode
    kept.chmod(0o644)
    kept.write_text(text.replace("m0 50", "m0 5x"))
    kept.chmod(mode)
    target.unlink()
    toy.dvc(folder, "repro")
    handed_out = bool(wrong(folder, stages))
    found: dict[str, Any] = {"handed_out_by_repro": handed_out}
    if handed_out:
        done = subprocess.run(
            [sys.executable, "-m", "flows.cache"],
            cwd=folder,
            env=toy.environment(),
            capture_output=True,
            text=True,
        )
        found["check_says"] = done.stdout.strip()
        toy.dvc(folder, "repro")
    return {"ok": not wrong(folder, stages), **found}


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Have `folder` on a disk of its own, which holds no more than `size` (as mount has it); wants root.

    Raises
    ------
    PermissionError
        If no disk can be mounted here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        raise PermissionError(mounted.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def grow(folder: Path, size: str) -> None:
    """Make the disk of `small_disk` larger, as if somebody had tidied up."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def full(folder: Path) -> dict[str, Any]:
    """Let the disk fill up while a stage writes, and while DVC puts results into its cache; then make room."""
    found: dict[str, Any] = {}
    for name in ("out", ".dvc/cache"):
        project = folder / name.strip(".").replace("/", "_")
        stages = toy.make(project, 3)
        place = project / name
        try:
            with small_disk(place, "8k"):  # two of the five files of about 1 kB
                first = toy.dvc(project, "repro")
                stale = toy.dvc(project, "status", "--json").stdout
                half = [stage for stage in wrong(project, stages) if f'"{stage}"' not in stale]
                grow(place, "1m")
                again = toy.dvc(project, "repro")
                found[name] = {
                    "exit_code": first.returncode,
                    "said": _last_line(first.stderr),
                    "half_taken_for_whole": half,
                    "exit_code_with_room": again.returncode,
                    "wrong_results": wrong(project, stages),
                }
        except PermissionError as error:
            return {"ok": False, "not_tried": str(error)}
    fine = [
        f["exit_code"]
        and not f["half_taken_for_whole"]
        and not f["exit_code_with_room"]
        and not f["wrong_results"]
        for f in found.values()
    ]
    return {"ok": all(fine), **found}


def clock(folder: Path) -> dict[str, Any]:
    """Date a file years back and ahead; only what it holds may count."""
    toy.make(folder, 1)
    assert toy.dvc(folder, "repro").returncode == 0
    (folder / "dvc.yaml").write_text(
        (folder / "dvc.yaml").read_text().replace("deps: [out/first.txt]", "deps: [out/first.txt, given.txt]")
    )
    given, found = folder / "given.txt", {}
    given.write_text("one")
    assert toy.dvc(folder, "repro").returncode == 0
    for name, text, year in (
        ("ahead", "one", 130),
        ("back", "one", 1),
        ("changed_and_dated_back", "two", 2),
        ("changed_and_dated_ahead", "six", 130),
    ):
        given.write_text(text)
        os.utime(given, (year * 365 * 86_400,) * 2)
        found[name] = "m0" in toy.dvc(folder, "status", "--json").stdout
        assert toy.dvc(folder, "repro").returncode == 0
    ok = list(found.values()) == [False, False, True, True]
    return {"ok": ok, **{f"{name}_is_stale": value for name, value in found.items()}}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
