"""Rigs from files through the stage's door: each format becomes a whole rig whose lips are where they were."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import flame_file
import heads
from gltf_file import Writer
from talkmesh import params
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import opening_of_lips
from talkmesh.rig import Rig, imported, read_rig
from talkmesh.rig.imported import Reading

pytest.importorskip("anny")


@pytest.fixture(autouse=True)
def _landmarker():
    from talkmesh.face_model import face_landmarker_path

    try:
        face_landmarker_path()
    except TalkmeshError:
        pytest.skip("no face landmark model")


def as_glb(
    path: Path, rig: Rig, scale: float = 0.001, names: list[str] | None = None, keep: slice = slice(None)
) -> Path:
    writer = Writer()
    linear = np.clip(rig.colours, 0, 1) ** 2.2
    parts = writer.primitive(rig.neutral / 1000, rig.faces, rig.deltas / 1000, COLOR_0=linear)
    writer.node(mesh=writer.mesh([parts], names or [f"Face.{n}" for n in rig.names]))
    return writer.glb(path)


def like(rig: Rig, original: Rig, mm: float = 2.0) -> None:
    """Check that lips, landmarks and upper face of `rig` are where those of `original` are."""
    away = np.linalg.norm(rig.neutral[rig.landmarks] - original.neutral[original.landmarks], axis=1)
    assert away.mean() < mm  # neighbours along a lip are 3 to 6 mm apart
    assert away.max() < 8
    low, high = original.neutral[original.lips].min(0), original.neutral[original.lips].max(0)
    np.testing.assert_allclose(rig.neutral[rig.lips].min(0)[:2], low[:2], atol=5)
    np.testing.assert_allclose(rig.neutral[rig.lips].max(0)[:2], high[:2], atol=5)
    assert rig.neutral[rig.upper, 1].min() > high[1] + 20
    pose = np.zeros((2, len(rig.names)), np.float32)
    pose[1, rig.names.index("jawOpen")] = 0.5
    closed, opened = opening_of_lips(rig.vertices(pose)[:, rig.landmarks, :2] * (1, -1))
    assert opened > closed + 0.15


def test_a_head_in_metres_comes_back_from_a_glb(tmp_path):
    original = heads.plain()
    rig = imported.load("gltf", as_glb(tmp_path / "head.glb", original), Reading(), "mine")
    assert rig.name == "mine"
    assert rig.names == original.names
    np.testing.assert_allclose(
        np.ptp(rig.neutral, 0), np.ptp(original.neutral, 0), atol=1e-3
    )  # metres were told
    like(rig, original)


def test_obj_files_of_a_head_that_lies_on_its_back_in_centimetres(tmp_path):
    original = heads.woman()
    folder = tmp_path / "head"
    folder.mkdir()

    def write(name: str, vertices: np.ndarray, faces: np.ndarray | tuple = ()) -> None:
        x, y, z = (vertices / 10).T  # up is z, front is -y, as in Blender
        lines = [f"v {a:.7g} {-c:.7g} {b:.7g}" for a, b, c in zip(x, y, z, strict=True)]
        lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]
        (folder / f"{name}.obj").write_text("\n".join(lines))

    write("Neutral", original.neutral, original.faces)
    for name in ("jawOpen", "mouthPucker", "mouthSmileLeft"):
        pose = original.pose_of([name], np.ones((1, 1)))
        write(f"{name[0].upper()}{name[1:]}", original.vertices(pose)[0])
    rig = imported.load("obj", folder, Reading(up="z", front="-y"))
    assert rig.names == ("jawOpen", "mouthPucker", "mouthSmileLeft")
    np.testing.assert_allclose(rig.neutral, original.neutral, atol=2e-3)
    np.testing.assert_allclose(rig.deltas[1], original.deltas[original.names.index("mouthPucker")], atol=2e-3)
    like(rig, original, 3.0)  # without colours lips are seen less exactly
    with pytest.raises(TalkmeshError, match=r"up-axis|set these"):
        imported.load("obj", folder, Reading())


def test_flame_with_and_without_its_masks(tmp_path):
    original = heads.plain()
    flame_file.write(tmp_path / "flame.pkl", flame_file.arrays())
    (tmp_path / "FLAME_masks.pkl").write_bytes(pickle.dumps(flame_file.masks(), 2))
    for masks in ("FLAME_masks.pkl", None):
        rig = imported.load("flame", tmp_path / "flame.pkl", Reading(masks=masks, expressions=10))
        np.testing.assert_allclose(rig.neutral, original.neutral, atol=1e-4)
        assert len(rig.names) == 24
        like(rig, original, 3.0)
        assert np.array_equal(rig.lips, np.unique(original.lips)) == bool(masks)


def test_a_rig_of_visemes_only(tmp_path):
    original = heads.plain()
    index = [original.names.index(n) for n in ("jawOpen", "mouthFunnel", "mouthPucker")]
    rig = Rig(
        "v", original.neutral, original.faces, ("a", "b", "c"), original.deltas[index], original.lips,
        original.landmarks, original.upper, original.colours,
    )  # fmt: skip
    path = as_glb(tmp_path / "v.glb", rig, names=["viseme_aa", "viseme_O", "viseme_U"])
    got = imported.load("gltf", path, Reading())
    assert got.names == ("viseme_aa", "viseme_O", "viseme_U", "jawOpen", "mouthFunnel", "mouthPucker")
    np.testing.assert_array_equal(got.deltas[:3], got.deltas[3:])


def test_lips_landmarks_and_upper_face_can_be_given(tmp_path):
    original = heads.plain()
    path = as_glb(tmp_path / "head.glb", original)
    found = imported.load("gltf", path, Reading())
    for name, ids in (
        ("lips", found.lips[::2]),
        ("landmarks", found.landmarks[::-1]),
        ("upper", found.upper[:9]),
    ):
        (tmp_path / f"{name}.txt").write_text("\n".join(map(str, ids)))
    names = {name: f"{name}.txt" for name in ("lips", "landmarks", "upper")}
    rig = imported.load("gltf", path, Reading(unit_mm=1000.0, **names))
    np.testing.assert_array_equal(rig.lips, found.lips[::2])
    np.testing.assert_array_equal(rig.landmarks, found.landmarks[::-1])
    np.testing.assert_array_equal(rig.upper, found.upper[:9])


def test_the_stage_writes_the_rig_and_a_picture(tmp_path, monkeypatch):
    import yaml

    import stages.rig

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/rigs").mkdir(parents=True)
    as_glb(tmp_path / "data/rigs/head.glb", heads.plain())
    repository = Path(__file__).parents[1]
    section = params.read(repository / "params.yaml")["rig"]
    for change in ({"source": "gltf", "path": "head.glb"}, {"source": "gltf", "path": "none.glb"}):
        Path("params.yaml").write_text(yaml.safe_dump({"rig": section | change}))
        if change["path"] == "none.glb":
            with pytest.raises(TalkmeshError, match=r"data/rigs/none\.glb not found: set rig\.path"):
                stages.rig.main()
            continue
        stages.rig.main()
        assert len(read_rig(Path("models/rigs/character.npz")).names) == 52
        assert Path("reports/preview/rig.png").stat().st_size > 10_000
