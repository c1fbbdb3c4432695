"""OBJ sequences: read again by trimesh, whole or absent, and never in place of somebody's files."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh

from motions import FPS, assert_lips_agree, poses
from talkmesh.errors import TalkmeshError
from talkmesh.export.obj import write_animation_obj
from tiny_project import tiny_rig


def test_ten_seconds_come_back_in_the_rigs_order(tmp_path: Path) -> None:
    rig = tiny_rig()
    vertices = rig.vertices(poses(rig))
    write_animation_obj(tmp_path / "seq", vertices, FPS, rig)
    said = json.loads((tmp_path / "seq/sequence.json").read_text())
    files = sorted((tmp_path / "seq").glob("*.obj"))
    assert (said["frames"], said["fps"], said["unit"]) == (len(files), FPS, "mm")
    assert len(files) / said["fps"] == 10.0
    meshes = [trimesh.load(file, process=False, maintain_order=True) for file in files[::10]]
    np.testing.assert_array_equal(meshes[3].faces, rig.faces)
    found = np.stack([mesh.vertices for mesh in meshes])
    np.testing.assert_allclose(found, vertices[::10], atol=1e-4)
    assert_lips_agree(rig, found, vertices[::10])


def test_a_sequence_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    rig = tiny_rig()
    vertices = rig.vertices(poses(rig, 5))
    write_animation_obj(tmp_path / "seq", vertices, FPS, rig)
    write_animation_obj(tmp_path / "seq", vertices[:2], FPS, rig)
    assert len(list((tmp_path / "seq").glob("*.obj"))) == 2
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").touch()
    with pytest.raises(TalkmeshError, match="name a new folder"):
        write_animation_obj(tmp_path / "photos", vertices, FPS, rig)
    with pytest.raises(TalkmeshError, match="is a file"):
        write_animation_obj(tmp_path / "photos/cat.jpg", vertices, FPS, rig)
    assert (tmp_path / "photos/cat.jpg").exists()


ENDLESS = """
import sys, numpy as np
from talkmesh.export.command import stopping_cleanly
from talkmesh.export.obj import write_animation_obj
from rigs import tiny_rig
rig = tiny_rig()
with stopping_cleanly():
    write_animation_obj(sys.argv[1], np.broadcast_to(rig.neutral, (10**5, *rig.neutral.shape)), 30.0, rig)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_export_leaves_no_half_sequence(tmp_path: Path, how: signal.Signals) -> None:
    target = tmp_path / "seq"
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(target)], cwd=Path(__file__).parent)
    try:
        until = time.monotonic() + 300  # starting takes long where many share a machine
        while not list(tmp_path.glob(".tmp*/*.obj")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(how)
        process.wait(120)
    finally:
        process.kill()
    assert process.returncode in (-how, 128 + how)
    assert not target.exists()
    if how == signal.SIGTERM:  # asked politely, it also cleans up
        assert list(tmp_path.iterdir()) == []
