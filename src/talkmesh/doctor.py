"""``talkmesh doctor``: tries what the pipeline needs on this machine and says what to install."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

DEBIAN = ("libgl1", "libegl1", "libgles2", "libgl1-mesa-dri", "libglib2.0-0")
APT = f"apt install {' '.join(DEBIAN)}"
IN_CHECKOUT = (Path(__file__).parents[2] / "Makefile").exists()
REINSTALL = (
    "remove .venv and run `make setup`"
    if IN_CHECKOUT
    else "install talkmesh anew, in an environment of its own"
)
TIMEOUT = 180  # seconds, for one check in a process of its own
DISK_FAIL, DISK_WARN = 3, 15  # GB free
MEMORY_FAIL, MEMORY_WARN = 3, 7  # GB


Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What one check found; `fix` says what to do unless `status` is ok."""

    name: str
    status: Status
    found: str
    fix: str = ""


def main(as_json: bool = False) -> int:
    """Run every check and print one line each; return 1 if one failed, else 0."""
    results = []
    with ThreadPoolExecutor(2) as pool:
        for check in pool.map(_tried, CHECKS):
            results.append(check)
            if not as_json:
                print(line(check), flush=True)
    failed = [c.name for c in results if c.status == "fail"]
    if as_json:
        print(json.dumps({"ok": not failed, "checks": [asdict(c) for c in results]}, indent=2))
    else:
        print(f"talkmesh cannot run here yet: {', '.join(failed)}" if failed else "ready")
    return 1 if failed else 0


def line(check: Check) -> str:
    """Return the check as one line, and a second one with the remedy if it is not ok."""
    text = f"{check.status:<5} {check.name:<15} {check.found}"
    return text if check.status == "ok" or not check.fix else f"{text}\n{'':<21} -> {check.fix}"


def python() -> Check:
    """Python is 3.11 or newer."""
    found = f"{platform.python_version()} at {sys.executable}"
    fine = sys.version_info >= (3, 11)
    return Check("python", "ok" if fine else "fail", found, "install Python 3.11 or newer")


def torch() -> Check:
    """torch, torchvision and torchaudio come from one build: each calls into torch's libraries."""
    code = (
        "import torch, torchvision, torchaudio\n"
        "torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)\n"
        "torchaudio.functional.resample(torch.zeros(480), 48000, 16000)\n"
        "print(torch.__version__, torchvision.__version__, torchaudio.__version__)"
    )
    out, problem = _python(code)
    if problem:
        return Check("torch", "fail", problem, f"the three must be of one build: {REINSTALL}")
    return Check("torch", "ok", "torch {}, torchvision {}, torchaudio {}".format(*out.split()))


def gpu() -> Check:
    """A GPU is welcome and not needed; this says which, and what follows from it."""
    out, problem = _python(
        "import torch\n"
        "p = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None\n"
        "print(f'{p.name}, {p.total_memory / 2**30:.0f} GB: used for training' if p else '')"
    )
    cpus = os.cpu_count() or 1
    none = f"none, {cpus} CPU cores: the default parameters are made for that; paper scale would take days"
    return Check("gpu", "fail" if problem else "ok", problem or out or none, REINSTALL)


def opencv() -> Check:
    """One OpenCV only: opencv-python beside opencv-contrib-python overwrites the same folder."""
    names = ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")
    twins = [name for name in names if _version(name)]
    if twins:
        fix = f"uv pip uninstall {' '.join(twins)}, then {REINSTALL}"
        return Check("opencv", "fail", f"{twins[0]} lies over opencv-contrib-python", fix)
    out, problem = _python("import cv2; print(cv2.__version__)")
    return Check("opencv", "fail" if problem else "ok", problem or f"opencv-contrib {out}", _remedy(problem))


TRIANGLE = """
import os
os.environ["PYOPENGL_PLATFORM"] = "egl"
import numpy as np
import pyrender
from OpenGL.GL import GL_RENDERER, glGetString
corners = np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0]], np.float32)
red = pyrender.MetallicRoughnessMaterial(baseColorFactor=(1.0, 0.0, 0.0, 1.0))
scene = pyrender.Scene(bg_color=(0, 0, 0, 1), ambient_light=(1, 1, 1))
scene.add(pyrender.Mesh([pyrender.Primitive(corners, indices=np.array([[0, 1, 2]]), material=red)]))
pose = np.eye(4)
pose[2, 3] = 2
scene.add(pyrender.OrthographicCamera(1, 1), pose=pose)
image, _ = pyrender.OffscreenRenderer(32, 32).render(scene, pyrender.RenderFlags.FLAT)
assert image[16, 16, 0] > 200 and image[16, 16, 1] < 50 and image[1, 1].max() < 50, "the triangle is not red"
print(glGetString(GL_RENDERER).decode())
"""


def opengl() -> Check:
    """A red triangle, rendered without a display (EGL) as the render stage does it."""
    out, problem = _python(TRIANGLE)
    if problem:
        return Check("opengl", "fail", f"cannot render: {problem}", _remedy(problem) or APT)
    soft = ": in software, on the CPU" if "llvmpipe" in out or "softpipe" in out else ""
    return Check("opengl", "ok", f"EGL renders with {out}{soft}")


FACE = """
import sys
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
with vision.FaceLandmarker.create_from_options(options) as landmarker:
    result = landmarker.detect(mp.Image(mp.ImageFormat.SRGB, np.zeros((64, 64, 3), np.uint8)))
print(mp.__version__, len(result.face_landmarks))
"""


def landmarks() -> Check:
    """The face landmark model is there, unharmed, and MediaPipe runs it."""
    from talkmesh import face_model

    path = face_model.home() / face_model.NAME
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != face_model.SHA256:
        what = "harmed" if path.is_file() else "missing"
        return Check(
            "face landmarks", "fail", f"the model {path} is {what}", "run `talkmesh models` (3.8 MB)"
        )
    out, problem = _python(FACE, str(path))
    if problem:
        return Check("face landmarks", "fail", problem, _remedy(problem) or REINSTALL)
    return Check("face landmarks", "ok", f"MediaPipe {out.split()[0]}, model at {path}")


def media() -> Check:
    """A second of video with sound survives H.264 and AAC in an mp4, and FLAC."""
    import av
    import numpy as np
    import soundfile

    tone = (0.3 * np.sin(np.arange(16_000) * 0.1)).astype(np.float32)
    flac, mp4 = io.BytesIO(), io.BytesIO()
    soundfile.write(flac, tone, 16_000, format="FLAC")
    flac.seek(0)
    heard, _ = soundfile.read(flac)
    with av.open(mp4, "w", format="mp4") as container:
        picture = container.add_stream("libx264", rate=25, width=64, height=64, pix_fmt="yuv420p")
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        for _ in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 200, np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        samples = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        samples.sample_rate = 16_000
        for stream, last in ((picture, None), (sound, samples), (sound, None)):
            container.mux(stream.encode(last))
    mp4.seek(0)
    with av.open(mp4) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    fine = (
        len(frames) == 25 and abs(int(frames[-1][32, 32, 0]) - 200) < 12 and np.abs(heard - tone).max() < 1e-3
    )
    if not fine:
        return Check("media", "fail", "what is read is not what was written", REINSTALL)
    return Check("media", "ok", f"PyAV {av.__version__} and soundfile {soundfile.__version__} write and read")


def sample_packages() -> Check:
    """The packages of the embedded corpus and of the default speech front end."""
    absent = [name for name in ("anny", "hibari-tts", "hama") if not _version(name)]
    found = f"missing {', '.join(absent)}" if absent else "anny (faces), hibari-tts (voice), hama (phonemes)"
    return Check("built-in corpus", "warn" if absent else "ok", found, _extra("sample"))


def orchestration() -> Check:
    """DVC, Prefect and MLflow load; FastAPI is one that Prefect 3.8 can use. Outside of a project nobody needs them."""
    absent = [name for name in ("dvc", "mlflow", "prefect") if not _version(name)]
    if absent:
        found = (
            f"missing {', '.join(absent)}: nothing can be trained; animate, stream, evaluate and sample work"
        )
        return Check(
            "orchestration", "fail" if Path("dvc.yaml").exists() else "warn", found, _extra("pipeline")
        )
    out, problem = _python(
        "import dvc, fastapi, mlflow, prefect\n"
        "print(dvc.__version__, prefect.__version__, mlflow.__version__, fastapi.__version__)"
    )
    if problem:
        return Check("orchestration", "fail", problem, REINSTALL)
    dvc, prefect, mlflow, fastapi = out.split()
    if tuple(map(int, re.findall(r"\d+", fastapi)[:2])) >= (0, 155):
        found = f"FastAPI {fastapi} breaks Prefect {prefect}"
        return Check("orchestration", "fail", found, f"FastAPI must be older than 0.155: {REINSTALL}")
    return Check("orchestration", "ok", f"DVC {dvc}, Prefect {prefect}, MLflow {mlflow}")


def disk() -> Check:
    """Room for clips, crops, renders, models and DVC's cache of them."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    fix = f"a quick run needs {DISK_FAIL} GB, paper scale {DISK_WARN} GB: free some"
    return Check("disk", _graded(free, DISK_FAIL, DISK_WARN), f"{free:.0f} GB free here", fix)


def memory() -> Check:
    """Memory of the machine, or of the container if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text) / 2**30)
    fix = f"training at paper scale wants {MEMORY_WARN} GB: use a larger machine"
    return Check("memory", _graded(total, MEMORY_FAIL, MEMORY_WARN), f"{total:.0f} GB", fix)


CHECKS: tuple[Callable[[], Check], ...] = (
    python, torch, gpu, opencv, opengl, landmarks, media, sample_packages, orchestration, disk, memory,
)  # fmt: skip


def _graded(amount: float, fail: float, warn: float) -> Status:
    return "fail" if amount < fail else "warn" if amount < warn else "ok"


def _tried(check: Callable[[], Check]) -> Check:
    """Run a check; one that raises has failed."""
    try:
        return check()
    except Exception as error:
        return Check(check.__name__, "fail", f"{type(error).__name__}: {error}".splitlines()[0], REINSTALL)


def _python(code: str, *arguments: str) -> tuple[str, str]:
    """Run `code` in a process that a broken library may kill; return its last line and its problem."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {TIMEOUT} s"
    if done.returncode == 0:
        return (done.stdout.strip().splitlines() or [""])[-1], ""
    if done.returncode < 0:
        return "", f"the process was killed by signal {-done.returncode}"
    return "", (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


LIBRARIES = {
    "libGL.so": "libgl1",
    "libEGL": "libegl1",
    "libGLES": "libgles2",
    "libglib": "libglib2.0-0",
    "libgthread": "libglib2.0-0",
    "libxcb": "libxcb1",
    "EGL": "libegl1 libgl1-mesa-dri",
    "OpenGL": "libgl1",
}


def _extra(name: str) -> str:
    """Return how packages come here that are not needed everywhere."""
    return REINSTALL if IN_CHECKOUT else f"install talkmesh with its extra `{name}`"


def _remedy(problem: str) -> str:
    """Return the command that installs the library whose absence `problem` tells."""
    package = next((package for name, package in LIBRARIES.items() if name in problem), "")
    return f"apt install {package} (all of them: {APT})" if package else ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
