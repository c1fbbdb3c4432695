"""Cameras against pictures, light against arrays, textures, compositing, and a machine without OpenGL."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import heads
from rigs import tiny_rig
from talkmesh import render as r
from talkmesh.errors import TalkmeshError
from talkmesh.framing import Framing, window
from talkmesh.light import Light, shade

WHITE = (1.0, 1.0, 1.0)


def octahedron(centre, radius: float) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
    faces = [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    return np.asarray(centre) + radius * corners, np.array(faces)


def centroid(image: np.ndarray) -> np.ndarray:
    """Centre (x, y) of what is bright, in continuous pixels."""
    weight = image[..., 0].astype(float)
    y, x = np.indices(weight.shape) + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def blob(centre, projection: np.ndarray, size: tuple[int, int], radius: float = 3.0) -> np.ndarray:
    vertices, faces = octahedron(centre, radius)
    return r.render(vertices, faces, np.ones((6, 3)), projection, size, background=(0, 0, 0), supersample=4)


@pytest.mark.parametrize("point", [(0.0, 0.0, 0.0), (18.0, -22.0, 60.0), (-24.5, 13.25, -40.0)])
def test_a_point_appears_where_the_orthographic_camera_says(point):
    camera = window((-26.0, -4.0), (27.0, -4.0), Framing(64, 1.9, 0.5, False), y_up=True)
    wanted = camera[:, :2] @ point[:2] + camera[:, 2]
    projection = r.orthographic(camera, 64, 64)
    np.testing.assert_allclose(r.project(projection, np.array(point), 64, 64), wanted, atol=1e-9)
    np.testing.assert_allclose(centroid(blob(point, projection, (64, 64))), wanted, atol=0.05)


@pytest.mark.parametrize("point", [(0.0, 0.0, 0.0), (40.0, 20.0, 80.0), (-30.0, -55.0, -60.0)])
def test_a_point_appears_where_the_perspective_camera_says(point):
    width, height, focal, distance = 120, 90, 200.0, 600.0
    projection = r.perspective(focal, distance, width, height, centre=(50.0, 40.0))
    x, y, z = point
    wanted = (50 + focal * x / (distance - z), 40 - focal * y / (distance - z))  # a pinhole
    np.testing.assert_allclose(r.project(projection, np.array(point), width, height), wanted, atol=1e-9)
    found = centroid(blob(point, projection, (width, height), radius=6))
    np.testing.assert_allclose(found, wanted, atol=0.15)


def test_nearer_surfaces_hide_farther_ones():
    near, faces = octahedron((0, 0, 50), 5)
    far, _ = octahedron((0, 0, 0), 10)
    colours = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], 6, 0)
    camera = np.array([[1.0, 0, 16], [0, -1.0, 16]])
    for order in ((0, 1), (1, 0)):
        vertices = np.concatenate([(near, far)[i] for i in order])
        image = r.render(
            vertices,
            np.concatenate([faces, faces + 6]),
            colours.reshape(2, 6, 3)[list(order)].reshape(-1, 3),
            r.orthographic(camera, 32, 32),
            (32, 32),
        )
        assert image[16, 16].tolist() == [255, 0, 0]
        assert image[16, 23].tolist() == [0, 255, 0]


def test_a_picture_behind_the_mesh_shows_where_the_mesh_does_not_cover():
    behind = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    vertices, faces = octahedron((0, 0, 0), 6)
    camera = np.array([[1.0, 0, 20], [0, -1.0, 16]])
    image = r.render(
        vertices, faces, np.ones((6, 3)), r.orthographic(camera, 48, 32), (48, 32), background=behind
    )
    assert image.shape == (32, 48, 3)
    inside = np.abs(np.indices((32, 48)) + 0.5 - np.array([16, 20])[:, None, None]).sum(0)
    np.testing.assert_array_equal(image[inside > 7.5], behind[inside > 7.5])
    assert (image[inside < 4.5] == 255).all()
    plain = r.render(
        vertices, faces, np.ones((6, 3)), r.orthographic(camera, 48, 32), (48, 32), background=(0.2, 0.4, 0.6)
    )
    assert plain[0, 0].tolist() == [51, 102, 153]


def test_vertex_normals_match_a_slow_loop():
    random = np.random.default_rng(1)
    vertices, faces = random.normal(size=(30, 3)), random.integers(0, 30, (60, 3))
    wanted = np.zeros((30, 3))
    for face in faces:
        a, b, c = vertices[face]
        for corner in face:
            wanted[corner] += np.cross(b - a, c - a)
    wanted /= np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(r.vertex_normals(vertices, faces), wanted, atol=1e-5)


def test_light_falls_from_its_side_and_keeps_colours_in_range():
    turn = np.deg2rad(np.arange(0, 360, 5))
    normals = np.column_stack([np.sin(turn), 0 * turn, np.cos(turn)]).astype(np.float32)
    colours = np.full((len(turn), 3), 0.6, np.float32)
    lit = shade(normals, colours, (Light((1, 0, 0), WHITE, 0.0, 0.0),), (0, 0, 0))
    assert ((lit >= 0) & (lit <= 1)).all()
    assert lit[18].max() == pytest.approx(0.6, abs=1e-3)  # a surface that faces white light keeps its colour
    assert lit[54].max() == 0  # turned away from a hard light
    assert lit[37, 0] > lit[37, 2]  # past the edge of light, red remains
    frontal = shade(normals, colours)
    np.testing.assert_allclose(frontal, frontal[np.r_[0, len(turn) - 1 : 0 : -1]], atol=1e-3)  # symmetric


def test_the_neutral_picture_is_that_of_the_zero_pose_and_of_every_renderer():
    pytest.importorskip("anny")
    rig = heads.plain()
    left, right = rig.neutral[rig.landmarks[[0, 10]], :2]
    camera = window(left, right, Framing(64, 1.9, 0.5, False), y_up=True)
    renderer = r.MeshRenderer(rig, 64, camera, supersample=3)
    neutral = renderer.image(rig.neutral)
    r.MeshRenderer(rig, 96).image(rig.neutral)  # another size in between
    np.testing.assert_array_equal(renderer.image(rig.vertices(np.zeros(52, np.float32))), neutral)
    np.testing.assert_array_equal(r.MeshRenderer(rig, 64, camera, 3).image(rig.neutral), neutral)
    opened = np.zeros(52, np.float32)
    opened[rig.names.index("jawOpen")] = 0.8
    dark = renderer.image(rig.vertices(opened))[32:44, 26:38].mean()
    assert dark < 0.75 * neutral[32:44, 26:38].mean()  # one looks into the mouth
    skin = neutral[8:20, 8:20].reshape(-1, 3).mean(0)
    assert skin[0] > skin[1] > skin[2]
    lips = neutral[34:37, 26:38].reshape(-1, 3).mean(0)
    assert lips[0] / lips[1] > 1.15 * skin[0] / skin[1]  # redder than the skin


def test_corner_landmarks_fall_on_the_pixels_of_the_contract():
    pytest.importorskip("anny")
    rig = heads.plain()
    left, right = rig.neutral[rig.landmarks[[0, 10]], :2]
    camera = window(left, right, Framing(64, 1.9, 0.5, False), y_up=True)
    for landmark, wanted in ((0, 32 - 64 / 1.9 / 2), (10, 32 + 64 / 1.9 / 2)):
        point = rig.neutral[rig.landmarks[landmark]]
        found = centroid(blob(point, r.orthographic(camera, 64, 64), (64, 64), radius=2))
        np.testing.assert_allclose(found, (wanted, 32), atol=0.1)


def lit_by_arrays(renderer: r.MeshRenderer, vertices: np.ndarray) -> np.ndarray:
    """The picture of a renderer made the long way: light on arrays, a new mesh, pyrender's own program."""
    rig, size = renderer.rig, renderer.size
    colours = shade(r.vertex_normals(vertices, rig.faces), rig.colours)
    projection = r.orthographic(renderer.camera, size, size)
    return r.render(vertices, rig.faces, colours, projection, (size, size), supersample=renderer.supersample)


def test_a_moved_mesh_looks_as_a_new_one_lit_on_arrays():
    pytest.importorskip("anny")
    rig = heads.plain()
    renderer = r.MeshRenderer(rig, 96, supersample=1)
    random = np.random.default_rng(3)
    for pose in (random.random((3, 52)) ** 4).astype(np.float32):
        vertices = rig.vertices(pose)
        wanted = lit_by_arrays(renderer, vertices)  # takes the mesh off the device in between
        difference = np.abs(renderer.image(vertices).astype(int) - wanted)
        assert wanted.std() > 20
        assert difference.max() <= 1


def sheet(n: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """A flat square of n x n vertices from -20 to 20 mm, row by row from the top, and its faces."""
    axis = np.linspace(-20, 20, n)
    x, y = np.meshgrid(axis, -axis)
    corner = np.arange(n * n).reshape(n, n)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    faces = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)]).reshape(-1, 3)
    return np.stack([x.ravel(), y.ravel(), np.zeros(n * n)], 1).astype(np.float32), faces.astype(np.int32)


def rig_of(vertices: np.ndarray, faces: np.ndarray, colour=(1.0, 1.0, 1.0), **more):
    """A rig of any mesh, which does not move unless `more` says so."""
    count = len(vertices)
    own = {"deltas": np.zeros((3, count, 3), np.float32), "landmarks": np.zeros(40, int)} | more
    return dataclasses.replace(
        tiny_rig(),
        neutral=vertices,
        faces=faces,
        lips=np.arange(3),
        upper=np.arange(3),
        colours=np.tile(np.asarray(colour, np.float32), (count, 1)),
        **own,
    )


def sheet_rig(texture: np.ndarray | None, colour=(1.0, 1.0, 1.0)):
    vertices, faces = sheet()
    uv = (vertices[:, :2] * (1, -1) / 40 + 0.5).astype(np.float32)  # (0, 0) at the upper left, as in glTF
    return rig_of(vertices, faces, colour, uv=None if texture is None else uv, texture=texture)


def test_a_texture_lies_where_uv_put_it_under_the_same_light_as_colours():
    blocks = np.random.default_rng(0).integers(40, 230, (4, 4, 3)).astype(np.uint8)
    rig = sheet_rig(blocks.repeat(32, 0).repeat(32, 1), colour=(1.0, 0.5, 1.0))
    camera = np.array([[2.0, 0, 40], [0, -2.0, 40]])  # the sheet fills the picture
    found = r.MeshRenderer(rig, 80, camera).image(rig.neutral)
    for row in range(4):
        for column in range(4):
            colour = blocks[row, column] / 255 * (1.0, 0.5, 1.0)
            plain = sheet_rig(None, colour)
            wanted = r.MeshRenderer(plain, 80, camera).image(plain.neutral)
            middle = np.s_[row * 20 + 5 : row * 20 + 15, column * 20 + 5 : column * 20 + 15]
            np.testing.assert_allclose(found[middle].astype(int), wanted[middle].astype(int), atol=2)


def test_a_cut_for_the_texture_does_not_show_as_an_edge():
    angle = np.linspace(-1.2, 1.2, 5)
    x, z = np.tile(20 * np.sin(angle), 2), np.tile(20 * np.cos(angle), 2)
    arch = np.column_stack([x, np.repeat([15.0, -15.0], 5), z]).astype(np.float32)
    whole = np.array([f for i in range(4) for f in ([i, 5 + i, i + 1], [i + 1, 5 + i, 6 + i])], np.int32)
    cut = np.vstack([arch, arch[[1, 6]]])  # the second column once more, for what is right of it
    halves = whole.copy()
    halves[2:][whole[2:] == 1], halves[2:][whole[2:] == 6] = 10, 11

    camera = np.array([[1.5, 0, 32], [0, -1.5, 32]])
    wanted = r.MeshRenderer(rig_of(arch, whole), 64, camera).image(arch)
    np.testing.assert_array_equal(r.MeshRenderer(rig_of(cut, halves), 64, camera).image(cut), wanted)
    moving = np.zeros((3, 12, 3), np.float32)
    moving[0, 10:, 0] = 5  # two sides of an opening, not of a cut: they keep normals of their own
    apart = r.MeshRenderer(rig_of(cut, halves, deltas=moving), 64, camera).image(cut)
    assert np.abs(apart.astype(int) - wanted).max() > 3


def test_nodes_added_to_the_scene_are_drawn():
    from talkmesh import opengl

    rig = sheet_rig(None)
    renderer = r.MeshRenderer(rig, 64)
    before = renderer.image(rig.neutral)
    vertices, faces = octahedron((0, 0, 30), 8)
    red = opengl.pyrender.MetallicRoughnessMaterial(baseColorFactor=(1.0, 0, 0, 1.0))
    nose = opengl.pyrender.Primitive(vertices, indices=faces, material=red)
    node = renderer.scene.add(opengl.pyrender.Mesh([nose]))
    assert renderer.image(rig.neutral)[32, 32].tolist() == [255, 0, 0]
    renderer.scene.remove_node(node)
    np.testing.assert_array_equal(renderer.image(rig.neutral), before)


def test_edges_are_smooth_with_four_samples_a_pixel():
    rig = sheet_rig(None)
    tilted = rig.neutral @ np.array([[0.96, 0.28, 0], [-0.28, 0.96, 0], [0, 0, 1]], np.float32)
    image = r.MeshRenderer(rig, 64, supersample=1).image(tilted)
    between = [level for level in np.unique(image[..., 0]) if 130 < level < image.max() - 2]
    assert len(between) == 3  # one, two or three samples of four


def test_torch_may_load_its_compiler_after_a_picture_was_made():
    pytest.importorskip("triton")
    code = """
import numpy as np
from talkmesh.render import render
render(np.eye(3), np.array([[0, 1, 2]]), np.ones((3, 3)), np.eye(4), (8, 8))
import triton
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize("missing", ["library", "device"])
def test_a_machine_without_opengl_is_told_what_to_install(monkeypatch, missing):
    def fail(*size):
        raise ImportError("Unable to load EGL library\nmore")

    if missing == "library":
        monkeypatch.setitem(sys.modules, "talkmesh.opengl", None)
        monkeypatch.delattr("talkmesh.opengl", raising=False)
    else:
        from talkmesh import opengl

        monkeypatch.setattr(opengl, "renderer", opengl.renderer.__wrapped__)
        monkeypatch.setattr(opengl.pyrender, "OffscreenRenderer", fail)
    with pytest.raises(TalkmeshError, match="libegl1 libegl-mesa0 libgl1-mesa-dri") as caught:
        r._opengl.__wrapped__()
    assert "more" not in str(caught.value)
