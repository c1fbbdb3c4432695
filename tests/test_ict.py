"""ICT-FaceKit: its folder of OBJ files and its npz give the same rig; ARKit's names; the real file where it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from talkmesh.errors import TalkmeshError
from talkmesh.rig import ict
from talkmesh.rig.look import Look

SHARED = Path(os.environ.get("TALKMESH_SHARED", Path(__file__).parents[1] / "../shared"))
PACKED = SHARED / "data/ict_facekit/ict_facexmodel.npz"
NAMES = ("browInnerUp_L", "browInnerUp_R", "jawOpen", "mouthSmile_L")


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """A mesh of ICT's size in ICT's way: quads, some triangles, vertices of no face; four expressions, two people."""
    rng = np.random.default_rng(0)
    neutral = rng.normal(0, 5, (ict.COUNT, 3)).round(4)
    quads = rng.permutation(ict.COUNT)[: 4 * 300].reshape(300, 4)
    quads[::10, 3] = -1
    return {
        "neutral": neutral,
        "faces": quads,
        "expr_names": np.array(NAMES),
        "expr_deltas": rng.normal(0, 1, (4, ict.COUNT, 3)).round(4),
        "identity_deltas": rng.normal(0, 1, (2, ict.COUNT, 3)).round(4),
    }


@pytest.fixture(scope="module")
def folder(arrays, tmp_path_factory) -> Path:
    """The same as the folder FaceXModel is: full precision in text, comments, texture coordinates, a material."""
    path = tmp_path_factory.mktemp("FaceXModel")
    shapes = {ict.NEUTRAL: arrays["neutral"]}
    shapes |= {n: arrays["neutral"] + d for n, d in zip(NAMES, arrays["expr_deltas"], strict=True)}
    shapes |= {f"identity{i:03d}": arrays["neutral"] + d for i, d in enumerate(arrays["identity_deltas"])}
    faces = "".join(
        "f " + " ".join(f"{v + 1}/{v + 1}" for v in quad if v >= 0) + "\n" for quad in arrays["faces"]
    )
    for name, vertices in shapes.items():
        rows = "".join(f"v {x:.6g} {y:.6g} {z:.6g}\n" for x, y, z in vertices)
        (path / f"{name}.obj").write_text(
            f"# ICT FaceKit\nmtllib ICTFaceModelMaterial.mtl\n{rows}vt 0 0\n{faces}"
        )
    (path / "ICTFaceModelMaterial.mtl").write_text("newmtl x\n")
    (path / "vertex_indices.json").write_text("{}")
    return path


def test_folder_and_npz_are_read_alike(arrays, folder, tmp_path) -> None:
    np.savez(tmp_path / "ict.npz", **arrays)
    here, there = ict._read(folder, True), ict._read(tmp_path / "ict.npz", True)
    assert here[2] == there[2] == NAMES
    for a, b in ((0, 2e-5), (3, 5e-5), (4, 5e-5)):  # cm; text rounds to six digits
        np.testing.assert_allclose(here[a], there[a], atol=b)
    assert {frozenset(t) for t in here[1].tolist()} == {frozenset(t) for t in there[1].tolist()}
    assert len(here[1]) == 270 * 2 + 30
    assert len(ict._read(folder, False)[4]) == 0


def test_names_are_arkits_and_halves_are_added(arrays) -> None:
    names, deltas = ict.arkit(NAMES, arrays["expr_deltas"])
    assert names == ("browInnerUp", "jawOpen", "mouthSmileLeft")
    np.testing.assert_allclose(deltas[0], arrays["expr_deltas"][:2].sum(0))
    np.testing.assert_array_equal(deltas[2], arrays["expr_deltas"][3])


def test_what_is_not_icts_is_named(arrays, tmp_path) -> None:
    def refused(problem: str, **changes: np.ndarray | None) -> None:
        left = {k: v for k, v in (arrays | changes).items() if v is not None}
        np.savez(tmp_path / "bad.npz", **left)
        with pytest.raises(TalkmeshError, match=problem):
            ict.load(tmp_path / "bad.npz", ict.Shape(), Look())

    refused("lacks the array 'faces'", faces=None)
    refused("is not ICT-FaceKit's mesh", neutral=arrays["neutral"][:100])
    refused("is not ICT-FaceKit's mesh", expr_names=np.array(NAMES[:2]))
    with pytest.raises(TalkmeshError, match="not found"):
        ict.load(tmp_path / "none", ict.Shape(), Look())
    (tmp_path / "empty").mkdir()
    with pytest.raises(TalkmeshError, match=r"generic_neutral_mesh.obj cannot be read"):
        ict.load(tmp_path / "empty", ict.Shape(), Look())


@pytest.mark.slow
@pytest.mark.skipif(not PACKED.exists(), reason="ICT-FaceKit's npz is not here (TALKMESH_SHARED)")
def test_the_real_face() -> None:
    face = ict.load(PACKED, ict.Shape("face"), Look())
    assert len(face.neutral) < ict.KEPT - 1000
    assert 130 < np.ptp(face.neutral[:, 0]) < 220  # mm
    assert {"jawOpen", "mouthClose", "mouthSmileLeft", "browInnerUp", "eyeBlinkRight"} <= set(face.names)
    assert not any(n.endswith(("_L", "_R")) for n in face.names)
    smile = np.abs(face.deltas[face.names.index("mouthSmileLeft")]).max(1)
    assert (smile @ face.neutral[:, 0]) > 0  # the person's left, the viewer's right
    other = ict.load(PACKED, ict.Shape("face", 5, 0.7), Look())
    np.testing.assert_array_equal(face.faces, other.faces)
    assert np.linalg.norm(face.neutral - other.neutral, axis=1).mean() > 2
    lips, skin = face.colours[face.lips].mean(0), face.colours[face.upper].mean(0)
    assert lips[0] - lips[1] > skin[0] - skin[1]  # redder
    assert len(set(face.landmarks.tolist())) == 40
