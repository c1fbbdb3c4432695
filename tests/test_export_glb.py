"""GLB: read again by pygltflib, trimesh, the project's own reader and the Khronos validator."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh

import heads
from benchmarks import readers
from motions import FPS, FRAMES, assert_lips_agree, nameless, poses
from talkmesh.errors import TalkmeshError
from talkmesh.export.glb import glb, write_animation_glb
from talkmesh.export.shapes import shapes_of
from talkmesh.rig import Rig, gltf
from talkmesh.rig.units import VISEMES
from tiny_project import tiny_rig


def textured() -> Rig:
    rig = tiny_rig()
    picture = np.random.default_rng(0).integers(0, 255, (16, 8, 3)).astype(np.uint8)
    uv = ((rig.neutral[:, :2] - rig.neutral[:, :2].min(0)) / np.ptp(rig.neutral[:, :2], 0)).astype(np.float32)
    return dataclasses.replace(rig, uv=uv, texture=picture)


@pytest.mark.parametrize(
    "rig", [tiny_rig(), nameless(tiny_rig()), textured()], ids=["arkit", "compressed", "textured"]
)
def test_ten_seconds_are_played_back_by_another_reader(tmp_path: Path, rig: Rig) -> None:
    vertices = rig.vertices(poses(rig))
    shapes = write_animation_glb(tmp_path / "a.glb", vertices, FPS, rig)
    pytest.importorskip("pygltflib")
    times, found = readers.glb(tmp_path / "a.glb")
    assert len(times) == FRAMES
    np.testing.assert_allclose(np.diff(times), 1 / FPS, atol=1e-6)
    assert times[0] == 0
    assert (times[-1] + 1 / FPS) == pytest.approx(10.0, abs=1e-4)
    assert_lips_agree(rig, found, vertices)
    worst = np.linalg.norm(found - vertices, axis=2).max()
    assert worst <= 0.1
    assert worst == pytest.approx(shapes.deviation.max_mm, abs=1e-3)  # the error is the one that is stated


def test_the_face_is_in_metres_upright_and_looks_along_z(tmp_path: Path) -> None:
    rig = tiny_rig()
    write_animation_glb(tmp_path / "a.glb", rig.vertices(poses(rig)), FPS, rig)
    scene = trimesh.load(tmp_path / "a.glb", process=False, maintain_order=True)
    (name,) = scene.geometry
    mesh = scene.geometry[name]
    assert name == "character_face"
    np.testing.assert_allclose(mesh.vertices, rig.neutral / 1000, atol=1e-7)
    np.testing.assert_array_equal(mesh.faces, rig.faces)
    normals = mesh.vertex_normals
    assert normals[:100, 2].mean() > 0.5  # towards +z, where the rig looks; the last ring is the rim
    shown = scene.to_geometry().bounds
    np.testing.assert_allclose(shown, [rig.neutral.min(0) / 1000, rig.neutral.max(0) / 1000], atol=1e-6)


def test_colours_are_linear(tmp_path: Path) -> None:
    pygltflib = pytest.importorskip("pygltflib")
    rig = tiny_rig()
    write_animation_glb(tmp_path / "a.glb", rig.vertices(poses(rig)), FPS, rig)
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    found = readers.accessor(file, file.meshes[0].primitives[0].attributes.COLOR_0) / 65535
    np.testing.assert_allclose(found[0, 0], ((0.2 + 0.055) / 1.055) ** 2.4, atol=1e-4)
    np.testing.assert_allclose(found[0, 1], ((0.05 + 0.055) / 1.055) ** 2.4, atol=1e-4)
    assert (found[:, 3] == 1).all()


def test_the_texture_is_in_the_file(tmp_path: Path) -> None:
    rig = textured()
    write_animation_glb(tmp_path / "a.glb", rig.vertices(poses(rig)), FPS, rig)
    (mesh,) = trimesh.load(tmp_path / "a.glb", process=False).geometry.values()
    np.testing.assert_array_equal(
        np.asarray(mesh.visual.material.baseColorTexture.convert("RGB")), rig.texture
    )
    flipped = np.column_stack([rig.uv[:, 0], 1 - rig.uv[:, 1]])  # trimesh's v points up
    np.testing.assert_allclose(mesh.visual.uv, flipped, atol=1e-6)


def test_the_rig_comes_back_with_its_names(tmp_path: Path) -> None:
    rig = tiny_rig()
    write_animation_glb(tmp_path / "a.glb", rig.vertices(poses(rig)), FPS, rig)
    read = gltf.load(tmp_path / "a.glb")
    assert read.names == rig.names
    np.testing.assert_allclose(read.deltas * 1000, rig.deltas, atol=1e-3)


def test_equal_motions_give_equal_bytes_and_what_moves_little_is_sparse(tmp_path: Path) -> None:
    rig = tiny_rig()
    vertices = rig.vertices(poses(rig))
    shapes = shapes_of(rig, vertices)
    assert glb(rig, shapes, FPS, "a") == glb(rig, shapes_of(rig, vertices.copy()), FPS, "a")
    few = rig.deltas.copy()
    few[0, 5:] = 0
    few[1] = 0  # a shape that moves nothing
    sparse = dataclasses.replace(rig, deltas=few)
    write_animation_glb(tmp_path / "a.glb", sparse.vertices(poses(rig)), FPS, sparse)
    assert (tmp_path / "a.glb").stat().st_size < len(glb(rig, shapes, FPS, "a")) - 1500
    pytest.importorskip("pygltflib")
    _, found = readers.glb(tmp_path / "a.glb")
    np.testing.assert_allclose(found, sparse.vertices(poses(rig)), atol=0.1)


def test_a_head_of_five_thousand_vertices_takes_at_most_a_megabyte() -> None:
    rig = heads.plain()
    assert len(rig.neutral) >= 5000
    sounds = [{k: v for k, v in sound.items()} for sound in VISEMES.values()]
    rng = np.random.default_rng(0)
    keys = np.zeros((61, len(rig.names)), np.float32)
    for row in keys:  # six speech sounds a second, one blended into the next
        for unit, weight in sounds[rng.integers(len(sounds))].items():
            for name in (unit, unit + "Left", unit + "Right"):
                if name in rig.names:
                    row[rig.names.index(name)] = weight
    moves = np.stack([np.interp(np.arange(300) / 5, np.arange(61), column) for column in keys.T], 1)
    vertices = rig.vertices(moves.astype(np.float32))
    for each in (rig, nameless(rig)):
        shapes = shapes_of(each, vertices)
        assert shapes.deviation.max_mm <= 0.1
        still = shapes_of(nameless(rig), rig.neutral[None])
        size = len(glb(each, shapes, FPS, "a")) - len(glb(each, still, FPS, "a"))
        assert size <= 1_000_000


VALIDATE = """
const validator = require('gltf-validator'), fs = require('fs');
Promise.all(process.argv.slice(1).map(f => validator.validateBytes(new Uint8Array(fs.readFileSync(f)))))
  .then(reports => console.log(JSON.stringify(reports.map(r => r.issues))));
"""


def test_the_khronos_validator_finds_nothing(tmp_path: Path) -> None:
    """Needs node, and `npm install gltf-validator` in a folder whose node_modules NODE_PATH names."""
    node = shutil.which("node")
    if (
        node is None
        or subprocess.run([node, "-e", "require('gltf-validator')"], capture_output=True).returncode
    ):
        pytest.skip(
            "gltf-validator is not installed: npm install gltf-validator; export NODE_PATH=.../node_modules"
        )
    for i, rig in enumerate((tiny_rig(), nameless(tiny_rig()), textured())):
        write_animation_glb(tmp_path / f"{i}.glb", rig.vertices(poses(rig)), FPS, rig)
    write_animation_glb(tmp_path / "3.glb", rig.neutral[None], FPS, nameless(rig))
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run([node, "-e", VALIDATE, *files], capture_output=True, text=True, check=True)
    for issues in json.loads(done.stdout):
        assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]


def test_a_broken_motion_leaves_nothing(tmp_path: Path) -> None:
    rig = tiny_rig()
    vertices = rig.vertices(poses(rig))
    vertices[7, 3] = np.nan
    with pytest.raises(TalkmeshError, match="NaN"):
        write_animation_glb(tmp_path / "a.glb", vertices, FPS, rig)
    assert list(tmp_path.iterdir()) == []
