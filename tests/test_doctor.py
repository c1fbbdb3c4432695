"""The doctor finds what is broken and names the remedy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from talkmesh import doctor, face_model
from talkmesh.doctor import Check


def test_light_checks_pass_here() -> None:
    for check in (doctor.python, doctor.media, doctor.sample_packages, doctor.memory):
        assert check().status != "fail", check()


def test_a_triangle_is_rendered() -> None:
    check = doctor.opengl()
    assert check.status == "ok", check
    assert check.found.startswith("EGL renders with ")


def test_an_unharmed_and_a_harmed_landmark_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKMESH_HOME", str(tmp_path))
    missing = doctor.landmarks()
    assert (missing.status, "missing" in missing.found) == ("fail", True)
    assert "talkmesh models" in missing.fix
    (tmp_path / face_model.NAME).write_bytes(b"half a download")
    assert "harmed" in doctor.landmarks().found


@pytest.mark.parametrize(
    ("problem", "package"),
    [
        ("ImportError: libGL.so.1: cannot open shared object file: No such file or directory", "libgl1"),
        ("OSError: libGLESv2.so.2: cannot open shared object file: No such file or directory", "libgles2"),
        ("ImportError: libgthread-2.0.so.0: cannot open shared object file", "libglib2.0-0"),
        ("('Unable to load EGL library', \"EGL: cannot open shared object file\")", "libegl1"),
    ],
)
def test_a_missing_library_is_named_by_its_package(problem: str, package: str) -> None:
    assert f"apt install {package}" in doctor._remedy(problem)


def test_a_process_that_dies_is_a_problem_and_not_a_crash() -> None:
    assert doctor._python("import os; os.kill(os.getpid(), 11)")[1] == "the process was killed by signal 11"
    assert doctor._python("raise ImportError('libGL.so.1: gone')") == ("", "ImportError: libGL.so.1: gone")
    assert doctor._python("import sys; print('a'); print(sys.argv[1])", "b") == ("b", "")


def test_thresholds_and_a_second_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [doctor._graded(x, 3, 15) for x in (2.9, 3, 15)] == ["fail", "warn", "ok"]
    monkeypatch.setattr(doctor, "_version", lambda name: "4.0" if name == "opencv-python" else None)
    assert doctor.opencv().status == "fail"
    assert doctor.sample_packages().status == "warn"


def broken() -> Check:
    raise RuntimeError("no such thing")


def test_exit_code_lines_and_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warned = Check("disk", "warn", "9 GB free here", "free some")
    monkeypatch.setattr(doctor, "CHECKS", (doctor.python, lambda: warned))
    assert doctor.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok    python")
    assert (lines[1].split()[:2], lines[2].split()) == (["warn", "disk"], ["->", "free", "some"])
    monkeypatch.setattr(doctor, "CHECKS", (doctor.python, broken))
    assert doctor.main(as_json=True) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert [c["status"] for c in report["checks"]] == ["ok", "fail"]
    assert report["checks"][1]["found"] == "RuntimeError: no such thing"


@pytest.mark.slow
def test_the_whole_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "talkmesh.cli", "doctor", "--json"], capture_output=True, text=True
    )
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    assert len(report["checks"]) == len(doctor.CHECKS)
