"""USD: opened again with usd-core, whose own queries say which shape has which weight when."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import readers
from motions import FPS, FRAMES, assert_lips_agree, nameless, poses
from talkmesh.errors import TalkmeshError
from talkmesh.export.usd import write_animation_usd
from talkmesh.rig import Rig
from tiny_project import tiny_rig


@pytest.mark.parametrize("rig", [tiny_rig(), nameless(tiny_rig())], ids=["arkit", "compressed"])
def test_ten_seconds_are_played_back_by_usd(tmp_path: Path, rig: Rig) -> None:
    pytest.importorskip("pxr")
    from pxr import UsdGeom, UsdSkel

    vertices = rig.vertices(poses(rig))
    shapes = write_animation_usd(tmp_path / "a.usdc", vertices, FPS, rig)
    stage, found = readers.usd(tmp_path / "a.usdc")
    assert stage.GetTimeCodesPerSecond() == FPS
    assert len(found) == FRAMES
    assert (stage.GetEndTimeCode() - stage.GetStartTimeCode() + 1) / stage.GetTimeCodesPerSecond() == 10.0
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert_lips_agree(rig, found, vertices)
    worst = np.linalg.norm(found - vertices, axis=2).max()
    assert worst <= 0.1
    assert worst == pytest.approx(shapes.deviation.max_mm, abs=1e-3)
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/character/face"))
    np.testing.assert_array_equal(np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), rig.faces)
    motion = UsdSkel.Animation(stage.GetPrimAtPath("/character/skeleton/motion"))
    assert list(motion.GetBlendShapesAttr().Get()) == list(shapes.names)
    assert motion.GetBlendShapeWeightsAttr().GetNumTimeSamples() == FRAMES


def test_names_that_usd_does_not_take_are_spelled_out(tmp_path: Path) -> None:
    pytest.importorskip("pxr")
    import dataclasses

    rig = dataclasses.replace(tiny_rig(), name="my face", names=("jaw.Open", "mouthSmile_L"))
    write_animation_usd(tmp_path / "a.usda", rig.vertices(poses(rig, 3)), FPS, rig)
    text = (tmp_path / "a.usda").read_text()
    assert '"jaw_Open"' in text
    assert 'SkelRoot "my_face"' in text


def test_without_usd_core_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    rig = tiny_rig()
    with pytest.raises(TalkmeshError, match=r"needs the package usd-core: pip install 'talkmesh\[usd\]'"):
        write_animation_usd(tmp_path / "a.usdc", rig.vertices(poses(rig, 3)), FPS, rig)
    assert list(tmp_path.iterdir()) == []
