"""Pictures of a track: equal bytes however the work is shared or broken off, a real kill, a full disk."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from talkmesh import gallery
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_npy
from talkmesh.framing import Framing, apply_mask
from talkmesh.gallery import CHUNK, Pictures, camera_of, neutral_picture, render_all
from talkmesh.render import MeshRenderer
from talkmesh.rig import read_rig, write_rig
from tiny_project import tiny_rig


def pictures_of(folder: Path, count: int, size: int = 32, supersample: int = 1, seed: int = 0) -> Pictures:
    write_rig(folder / "rig.npz", tiny_rig())
    write_npy(folder / "poses.npy", np.random.default_rng(seed).random((count, 2)).astype(np.float32))
    return Pictures(folder / "rig.npz", folder / "poses.npy", Framing(size, 1.9, 0.5, mask=True), supersample)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pictures_are_those_of_the_renderer_whatever_the_number_of_processes(tmp_path):
    pictures = pictures_of(tmp_path, 3 * CHUNK + 5)
    alone = render_all(pictures, tmp_path / "alone", workers=1)
    shared = render_all(pictures, tmp_path / "shared", workers=2)
    assert digest(alone) == digest(shared)
    images = np.load(alone, mmap_mode="r")
    assert images.shape == (3 * CHUNK + 5, 32, 32, 3)
    rig = read_rig(pictures.rig)
    renderer = MeshRenderer(rig, 32, camera_of(rig, pictures.framing), supersample=1)
    poses = np.load(pictures.poses)
    for i in (0, CHUNK, len(images) - 1):
        wanted = apply_mask(renderer.image(rig.vertices(poses[i])), pictures.framing)
        np.testing.assert_array_equal(images[i], wanted)
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) > 0.9 * len(images)
    assert neutral_picture(pictures).shape == (32, 32, 3)


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_gallery import pictures_of, render_all
folder = Path(sys.argv[1])
render_all(pictures_of(folder, 6000, 64, 3), folder / "work", workers=2)
"""


@pytest.mark.filterwarnings("ignore:A worker")
def test_after_a_kill_only_what_is_missing_is_rendered(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), *sys.path],
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    states, patience = b"", time.monotonic() + 120
    while sum(states) < 3:  # until three chunks are done
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < patience
        for done in (tmp_path / "work").glob("*/done"):
            states = done.read_bytes()
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)  # all of its processes
    process.wait()
    process.stderr.close()
    (folder,) = (tmp_path / "work").iterdir()
    states = np.frombuffer((folder / "done").read_bytes(), np.uint8)
    kept = np.repeat(states, CHUNK)[:6000].astype(bool)
    assert 0 < kept.sum() < 6000
    images = np.load(folder / "images.npy", mmap_mode="r+")
    before = images[kept].copy()
    images[kept] = 7  # whoever renders these again wipes it out
    images.flush()
    left = list(np.flatnonzero(states == 0))
    # the last chunks, as if all but four had been done: the test need not render everything
    for chunk in left[:-4]:
        with open(folder / "done", "r+b") as file:
            file.seek(chunk)
            file.write(b"\1")
    pictures = pictures_of(tmp_path, 6000, 64, 3)
    assert render_all(pictures, tmp_path / "work", workers=1) == folder / "images.npy"
    assert (np.asarray(images[kept]) == 7).all()
    rig = read_rig(pictures.rig)
    renderer = MeshRenderer(rig, 64, camera_of(rig, pictures.framing), supersample=3)
    poses = np.load(pictures.poses)
    for i, image in [(np.flatnonzero(kept)[-1], before[-1]), (5999, images[5999]), (left[-4] * CHUNK, None)]:
        wanted = apply_mask(renderer.image(rig.vertices(poses[i])), pictures.framing)
        np.testing.assert_array_equal(images[i] if image is None else image, wanted)


def test_finished_pictures_are_not_touched_and_others_are_made_anew(tmp_path, monkeypatch):
    pictures = pictures_of(tmp_path, CHUNK + 1)
    path = render_all(pictures, tmp_path / "work", workers=1)
    inode, stamp = path.stat().st_ino, path.stat().st_mtime_ns
    monkeypatch.setattr(gallery, "_render_chunk", None)
    assert render_all(pictures, tmp_path / "work", workers=1) == path
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (inode, stamp)
    monkeypatch.undo()
    other = render_all(pictures_of(tmp_path, CHUNK + 1, seed=1), tmp_path / "work", workers=1)
    assert other != path
    assert not path.exists()  # the pictures of before are of no more use
    assert digest(other)


def test_a_full_disk_is_one_sentence_before_anything_is_rendered(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(gallery, "_render_chunk", None)
    with pytest.raises(TalkmeshError, match=r"the disk is full while writing .*images\.npy: free some space"):
        render_all(pictures_of(tmp_path, CHUNK), tmp_path / "work", workers=1)
    assert [path.name for path in (tmp_path / "work").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "poses.npy not found: run the stage"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "poses.npy is not a readable npy file"),
        (lambda path: np.save(path, np.zeros((3, 5))), "must hold poses of 2 weights for .*; it is .3, 5."),
        (lambda path: np.save(path, np.zeros((0, 2))), "must hold poses of 2 weights"),
    ],
)
def test_bad_poses_are_one_sentence(tmp_path, damage, sentence):
    pictures = pictures_of(tmp_path, 3)
    damage(pictures.poses)
    with pytest.raises(TalkmeshError, match=sentence):
        render_all(pictures, tmp_path / "work", workers=1)


def test_senseless_numbers_are_named(tmp_path):
    with pytest.raises(TalkmeshError, match=r"render\.supersample must be 1 or more, not 0"):
        pictures_of(tmp_path, 3, supersample=0)
    with pytest.raises(TalkmeshError, match=r"render\.workers must be 1 or more, not 0"):
        render_all(pictures_of(tmp_path, 3), tmp_path / "work", workers=0)


def test_a_worker_without_opengl_says_so(tmp_path, monkeypatch):
    from talkmesh import render

    def fail():
        raise TalkmeshError("no OpenGL picture could be made")

    monkeypatch.setattr(render, "_opengl", fail)
    with pytest.raises(TalkmeshError, match="no OpenGL"):
        render_all(pictures_of(tmp_path, CHUNK), tmp_path / "work", workers=1)
