"""Geometry of meshes against closed forms and another library."""

import numpy as np
import pytest
import trimesh

from talkmesh.errors import TalkmeshError
from talkmesh.rig import surface, wavefront


def test_closest_points_are_those_of_trimesh() -> None:
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=10.0)
    points = np.random.default_rng(0).normal(0, 8, (200, 3))
    triangle, weights = surface.closest(points, mesh.triangles)
    found = np.einsum("nk,nkd->nd", weights, mesh.triangles[triangle])
    every = trimesh.triangles.closest_point(
        np.tile(mesh.triangles, (len(points), 1, 1)), np.repeat(points, len(mesh.faces), 0)
    )
    distance = np.linalg.norm(every.reshape(len(points), -1, 3) - points[:, None], axis=-1).min(1)
    np.testing.assert_allclose(np.linalg.norm(found - points, axis=1), distance, atol=1e-6)


def test_distance_along_a_strip_and_pieces() -> None:
    vertices = np.array(
        [[x, y, 0] for x in range(5) for y in (0, 1)] + [[9, 9, 9], [9, 8, 9], [8, 9, 9]], float
    )
    faces = np.array([[2 * i, 2 * i + 2, 2 * i + 1] for i in range(4)] + [[10, 11, 12]])
    links = surface.edges(vertices, faces)
    np.testing.assert_allclose(
        surface.distance_from(links, np.array([0]))[[0, 2, 4, 8]], [0, 1, 2, 4], atol=1e-4
    )
    assert np.isinf(surface.distance_from(links, np.array([0]), 2.5)[[8, 10]]).all()
    assert len(np.unique(surface.pieces(links))) == 3  # vertex 9 is alone


def test_vertices_split_by_a_seam_are_joined_but_not_those_of_two_lips() -> None:
    corner = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    vertices = np.concatenate([corner, corner * (1, -1, 1)])
    faces = np.array([[0, 1, 2], [3, 5, 4]])
    assert len(np.unique(surface.pieces(surface.edges(vertices, faces, vertices)))) == 1
    moved = np.column_stack([vertices, [0, 0, 0, 5, 5, 5]])  # the jaw takes one of them along
    assert len(np.unique(surface.pieces(surface.edges(vertices, faces, moved)))) == 2


def test_inside_and_depth_of_a_square() -> None:
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    points = np.array([[2, 2], [1, 2], [5, 2], [-3, -4]], float)
    np.testing.assert_array_equal(surface.inside(points, square), [True, True, False, False])
    np.testing.assert_allclose(surface.depth_inside(points, square), [2, 1, -1, -5])


def test_obj_keeps_the_order_of_vertices_and_cuts_polygons(tmp_path) -> None:
    path = tmp_path / "a.obj"
    path.write_text(
        "# x\nv 1 2 3\nv 0 0 0 0.5 0.5 0.5\nv 1 2 3\nv 4 5 6\nvt 0 0\nf 1/1 2/1 3/1 4/1\nf -1 -2 -3\n"
    )
    vertices, triangles = wavefront.read(path)
    np.testing.assert_array_equal(vertices, [[1, 2, 3], [0, 0, 0], [1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(triangles, [[0, 1, 2], [0, 2, 3], [3, 2, 1]])


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "no vertices"), ("v 1 2 x\n", "no OBJ file"), ("v 1 2 3\nf 1 2 3\n", "is not among its 1"),
     ("v 1 2 nan\n", "not finite")],
)  # fmt: skip
def test_broken_obj_files_are_named(tmp_path, text, problem) -> None:
    path = tmp_path / "a.obj"
    path.write_text(text)
    with pytest.raises(TalkmeshError, match=problem):
        wavefront.read(path)
    with pytest.raises(TalkmeshError, match="cannot be read"):
        wavefront.read(tmp_path / "no.obj")
