"""The wheel: it holds all that it needs, and works in an environment that has never seen the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

import models_on_disk
import tiny_project
from talkmesh import defaults
from talkmesh.errors import TalkmeshError
from talkmesh.face_model import NAME, home

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/talkmesh"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by what is installed, without isolation and so without a network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def install(wheel: Path, folder: Path) -> Path:
    """Put the wheel into a new environment that borrows the packages of this one, and return its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python3.*/site-packages")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    # a plain path: files .pth there, such as that of an editable talkmesh, are not read
    borrowed = next(p for p in sys.path if p.endswith("site-packages"))
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    program = folder / "bin/talkmesh"
    program.write_text(
        f"#!{folder}/bin/python\nimport sys\nfrom talkmesh.cli import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"  # processes of a pool import this file, too
    )
    program.chmod(0o755)
    return folder / "bin"


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("fresh"))


def run(programs: Path, folder: Path, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run `talkmesh` in a folder, without what points to the repository, and return what it prints."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env["PATH"] = f"{programs}{os.pathsep}{env['PATH']}"
    done = subprocess.run(
        [programs / "talkmesh", *words], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode in codes, done.stdout + done.stderr
    assert str(ROOT) not in done.stderr
    return done.stdout


def voice(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((models_on_disk.sound(0.6) * 32767).astype("<i2").tobytes())
    return path


def test_the_wheel_holds_every_file_of_the_package_and_the_numbers(wheel: Path) -> None:
    source = {
        p.relative_to(PACKAGE) for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    }
    assert {p.suffix for p in source} >= {".py", ".css", ".js", ".html"}
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        held = {Path(name).relative_to("talkmesh") for name in names if name.startswith("talkmesh/")}
        assert held == source | {Path("params.yaml")}
        assert file.read("talkmesh/params.yaml") == (ROOT / "params.yaml").read_bytes()
        assert {name.split("/")[0] for name in names} == {
            "talkmesh",
            next(n for n in names if "dist-info" in n).split("/")[0],
        }
        info = next(name for name in names if name.endswith("METADATA"))
        assert b"License-Expression: Apache-2.0" in file.read(info)
        assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_answers_and_animates_where_there_is_no_repository(programs: Path, tmp_path: Path) -> None:
    assert "talkmesh doctor" in run(programs, tmp_path, "--help")
    assert run(programs, tmp_path, "--version").startswith("talkmesh 0.")
    bundle = models_on_disk.talking_bundle(tmp_path, tiny_project.tiny_rig())
    words = [
        "animate",
        str(voice(tmp_path / "line.wav")),
        "--bundle",
        str(bundle),
        "-o",
        "a.npz",
        "-o",
        "a.csv",
    ]
    (said,) = json.loads(run(programs, tmp_path, *words, "--json"))
    assert said["frames"] == 15
    with np.load(tmp_path / "a.npz") as made:
        assert np.isfinite(made["vertices"]).all()


@pytest.mark.slow
def test_it_makes_a_speaker_and_examines_the_machine(programs: Path, tmp_path: Path) -> None:
    pytest.importorskip("anny")
    run(programs, tmp_path, "sample", "--first")
    assert len(list(tmp_path.glob("data/raw/embedded/*/*.mp4"))) == 1
    if (home() / NAME).exists():
        report = json.loads(run(programs, tmp_path, "doctor", "--json", codes=(0, 1)))
        failed = [check for check in report["checks"] if check["status"] == "fail"]
        # a busy machine may not answer in time, which says nothing of the wheel
        assert [check for check in failed if not check["found"].startswith("no answer")] == []


@pytest.mark.slow
def test_it_works_with_nothing_but_what_it_asks_for(wheel: Path, tmp_path: Path) -> None:
    """A full installation from the registry, or what uv has of it: without DVC, MLflow and Prefect."""
    uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
    if not Path(uv).exists():
        pytest.skip("uv is not here")
    fresh = tmp_path / "fresh"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(fresh)], check=True)
    command = [uv, "pip", "install", "--quiet", "--python", fresh / "bin/python", "--constraints"]
    constraints = tmp_path / "locked.txt"
    constraints.write_text("\n".join(plain((ROOT / "requirements.lock").read_text())))
    done = subprocess.run([*command, constraints, f"{wheel}[sample]"], capture_output=True, text=True)
    if done.returncode and ("network" in done.stderr or "fetch" in done.stderr):
        pytest.skip(f"the registry does not answer: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    assert "talkmesh doctor" in run(fresh / "bin", tmp_path, "--help")
    run(fresh / "bin", tmp_path, "sample", "--first")
    bundle = models_on_disk.talking_bundle(tmp_path, tiny_project.tiny_rig())
    words = [
        "animate",
        str(voice(tmp_path / "line.wav")),
        "--bundle",
        str(bundle),
        "-o",
        "a.glb",
        "-o",
        "a.mp4",
    ]
    run(fresh / "bin", tmp_path, *words)
    report = json.loads(run(fresh / "bin", tmp_path, "doctor", "--json"))
    status = {check["name"]: check for check in report["checks"]}
    assert status["orchestration"]["status"] == "warn"
    assert "extra `pipeline`" in status["orchestration"]["fix"]


def plain(lock: str) -> list[str]:
    """The lock without its hashes, as constraints."""
    return [line.split(" \\")[0] for line in lock.splitlines() if line[:1].isalnum()]


def test_numbers_come_from_here_or_from_what_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert defaults.parameters() == ROOT / "params.yaml"  # of the checkout
    monkeypatch.setattr(defaults, "HERE", tmp_path / "lib/talkmesh")
    with pytest.raises(TalkmeshError, match=r"params\.yaml not found"):
        defaults.parameters()
    (tmp_path / "lib/talkmesh").mkdir(parents=True)
    packed = tmp_path / "lib/talkmesh/params.yaml"
    packed.touch()
    assert defaults.parameters() == packed  # of the wheel
    (tmp_path / "params.yaml").touch()
    assert defaults.parameters() == Path("params.yaml")  # the folder's own comes first
