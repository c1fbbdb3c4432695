"""The pictures of a track: rendered by several processes into one file, and taken up again where a kill left them.

The file lies outside DVC's outs, which DVC empties before a stage runs, in a folder named by what is rendered and by
the code that renders. Beside it, `done` holds a byte for each chunk of pictures: 1 once they are on the disk.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from talkmesh import parallel
from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, replacing
from talkmesh.framing import Framing, apply_mask, window
from talkmesh.landmarks import CORNERS, LIPS
from talkmesh.render import MeshRenderer
from talkmesh.rig import Rig, read_rig

log = logging.getLogger(__name__)
CHUNK = 64  # pictures that a process makes before it notes them as done
# what decides how a picture looks; opengl is not imported here, because that opens the device
CODE = ("framing.py", "gallery.py", "landmarks.py", "light.py", "opengl.py", "render.py", "rig/__init__.py")


@dataclass(frozen=True)
class Pictures:
    """What is rendered: the file of the rig, the file of its poses (N, K), the framing, and how fine the samples are.

    supersample : pictures are made this many times larger, with four samples a pixel, and averaged
    """

    rig: Path
    poses: Path
    framing: Framing
    supersample: int

    def __post_init__(self) -> None:
        if self.supersample < 1:
            raise TalkmeshError(f"render.supersample must be 1 or more, not {self.supersample}")


def camera_of(rig: Rig, framing: Framing) -> np.ndarray:
    """Return the camera (2, 3), mm to pixels, that frames the mouth of a rig as `framing` says."""
    left, right = rig.neutral[rig.landmarks[[LIPS.index(corner) for corner in CORNERS]], :2]
    return window(left, right, framing, y_up=True)


def read_poses(pictures: Pictures) -> np.ndarray:
    """Open the poses (N, K), memory-mapped; a missing or broken file, or none at all, is an error that names it."""
    try:
        poses = np.load(pictures.poses, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise TalkmeshError(
            f"{pictures.poses} not found: run the stage that makes poses (dvc repro)"
        ) from None
    except (ValueError, EOFError, OSError) as error:
        raise TalkmeshError(f"{pictures.poses} is not a readable npy file: {error}") from None
    names = len(read_rig(pictures.rig).names)
    if poses.ndim != 2 or poses.shape[1] != names or not len(poses):
        raise TalkmeshError(
            f"{pictures.poses} must hold poses of {names} weights for {pictures.rig}; it is {poses.shape}"
        )
    return poses


def renderer_of(pictures: Pictures) -> MeshRenderer:
    """Return the renderer of these pictures."""
    rig, framing = read_rig(pictures.rig), pictures.framing
    return MeshRenderer(rig, framing.pixels, camera_of(rig, framing), pictures.supersample)


def neutral_picture(pictures: Pictures) -> np.ndarray:
    """Return the masked picture (size, size, 3) uint8 of the neutral face."""
    renderer = renderer_of(pictures)
    return apply_mask(renderer.image(renderer.rig.neutral), pictures.framing)


def render_all(pictures: Pictures, work: Path, workers: int) -> Path:
    """Render every pose that is not yet rendered; return the file of the images (N, size, size, 3) uint8.

    Bytes do not depend on the number of `workers` (processes), nor on how often the work was broken off. Folders in
    `work` of other pictures are removed in the end.

    Raises
    ------
    TalkmeshError
        If the rig or its poses do not fit, OpenGL is missing, or the disk has no room for all the pictures.
    """
    if workers < 1:
        raise TalkmeshError(f"render.workers must be 1 or more, not {workers}")
    count = len(read_poses(pictures))
    code = [Path(__file__).parent / name for name in CODE]
    folder = work / content_hash(pictures.rig, pictures.poses, pictures.framing, pictures.supersample, *code)
    images, done = folder / "images.npy", folder / "done"
    if not (done.exists() and images.exists()):
        _reserve(images, (count, pictures.framing.pixels, pictures.framing.pixels, 3))
        with replacing(done) as temporary:
            temporary.write_bytes(bytes(-(-count // CHUNK)))
    todo = [k for k, state in enumerate(done.read_bytes()) if not state]
    left = sum(len(range(count)[_span(k)]) for k in todo)
    if left < count:
        log.info("%d of %d pictures are there already", count - left, count)
    jobs = ((pictures, folder, k) for k in todo)
    with tqdm(total=count, initial=count - left, desc="render", unit="picture", mininterval=2) as progress:
        for made in parallel.ordered(_render_chunk, jobs, workers):
            progress.update(made)
    for other in work.iterdir():
        if other != folder and other.is_dir():
            shutil.rmtree(other)
    return images


def _span(chunk: int) -> slice:
    return slice(chunk * CHUNK, (chunk + 1) * CHUNK)


def _reserve(path: Path, shape: tuple[int, ...]) -> None:
    """Make a file for images of this shape, with room for all of them on the disk.

    A full disk is found here, in one sentence: writing to a memory-mapped file without room ends a process.
    """
    with replacing(path) as temporary:
        np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        with open(temporary, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


@functools.lru_cache(
    maxsize=1
)  # each process renders many chunks of the same; `folder` stands for the contents
def _renderer(pictures: Pictures, folder: Path) -> MeshRenderer:
    return renderer_of(pictures)


def _render_chunk(pictures: Pictures, folder: Path, chunk: int) -> int:
    """Render one chunk into its place, note it as done, and return how many pictures it has."""
    renderer = _renderer(pictures, folder)
    poses = np.load(pictures.poses, mmap_mode="r")[_span(chunk)]
    images = np.load(folder / "images.npy", mmap_mode="r+")
    for i, vertices in enumerate(renderer.rig.vertices(poses), chunk * CHUNK):
        images[i] = apply_mask(renderer.image(vertices), pictures.framing)
    images.flush()  # before they are noted as done
    with open(folder / "done", "r+b") as file:
        file.seek(chunk)
        file.write(b"\1")
    return len(poses)
