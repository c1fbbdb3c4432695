"""Contracts: what is written is read back, what does not fit is refused with the file's name."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from rigs import tiny_rig
from talkmesh import contracts as c
from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig, read_rig, write_rig


def table(*clips):
    rows = [(n, "demo", "ann", f"demo/ann/{n}.mp4", 0.0, 1.0, 25.0, 25, s, "", why) for n, s, why in clips]
    return pd.DataFrame(rows, columns=list(c.CLIP_COLUMNS))


def test_clip_table_round_trip_and_filters(tmp_path):
    c.write_clips(table(("b", "test", ""), ("a", "train", ""), ("x", "", "no sound")), tmp_path)
    assert list(c.read_clips(tmp_path)["clip"]) == ["a", "b"]
    assert list(c.read_clips(tmp_path, "test")["clip"]) == ["b"]
    assert list(c.read_clips(tmp_path, kept=False)["dropped_why"]) == ["", "", "no sound"]


def test_clip_names_that_look_like_numbers_stay_names(tmp_path):
    c.write_clips(table(("001", "train", "")), tmp_path)
    assert list(c.read_clips(tmp_path)["clip"]) == ["001"]


def test_clip_table_problems_are_named(tmp_path):
    with pytest.raises(TalkmeshError, match=r"clips\.csv not found"):
        c.read_clips(tmp_path)
    c.write_clips(table(("a", "train", ""), ("a", "test", "")), tmp_path)
    with pytest.raises(TalkmeshError, match="unique"):
        c.read_clips(tmp_path)


def test_crops_round_trip_and_shape_check(tmp_path):
    rng = np.random.default_rng(0)
    crops = c.Crops(
        rng.integers(0, 255, (4, 8, 8, 3), dtype=np.uint8),
        rng.random((4, 478, 2), dtype=np.float32),
        rng.random((4, 2, 3), dtype=np.float32),
        np.array([True, True, False, True]),
    )
    c.write_crops("a", crops, tmp_path)
    back = c.read_crops("a", tmp_path)
    assert isinstance(back.images, np.memmap)
    for name in ("images", "landmarks", "transforms", "good"):
        np.testing.assert_array_equal(getattr(back, name), getattr(crops, name))
    c.write_crops("a", dataclasses.replace(crops, good=np.ones(3, bool)), tmp_path)
    with pytest.raises(TalkmeshError, match=r"good must be \(4,\)"):
        c.read_crops("a", tmp_path)


def test_ground_truth_by_weights_applies_to_any_rig_with_those_shapes(tmp_path):
    rig = tiny_rig()
    weights = np.array([[0.5], [1.0]], np.float32)
    c.write_ground_truth(tmp_path / "a.npz", c.GroundTruth(25.0, weights, ("jawOpen",)))
    truth = c.read_ground_truth(tmp_path / "a.npz")
    np.testing.assert_allclose(truth.on(rig)[1], rig.neutral + rig.deltas[0], atol=1e-5)
    other = c.GroundTruth(25.0, weights, ("tongueOut",))
    assert other.on(rig) is None


def test_ground_truth_by_vertices_needs_the_same_rig():
    rig = tiny_rig()
    truth = c.GroundTruth(25.0, vertices=rig.neutral[None], rig_hash=rig.hash)
    assert truth.on(rig) is not None
    assert dataclasses.replace(truth, rig_hash="other").on(rig) is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"weights": np.zeros((2, 3)), "names": np.array(["a"]), "fps": 25},
            r"weights must be \(frames, 1\)",
        ),
        ({"vertices": np.zeros((2, 3)), "fps": 25}, r"vertices must be"),
        ({"vertices": np.full((1, 2, 3), np.nan), "fps": 25}, "NaN"),
        ({"vertices": np.zeros((1, 2, 3))}, "needs 'fps'"),
    ],
)
def test_wrong_ground_truth_is_named(tmp_path, arrays, message):
    from talkmesh.files import write_npz

    write_npz(tmp_path / "a.npz", **arrays)
    with pytest.raises(TalkmeshError, match=rf"a\.npz.*{message}"):
        c.read_ground_truth(tmp_path / "a.npz")


def test_rig_round_trip_keeps_the_hash(tmp_path):
    rig = tiny_rig()
    write_rig(tmp_path / "r.npz", rig)
    back = read_rig(tmp_path / "r.npz")
    assert back.hash == rig.hash
    assert back.names == rig.names
    assert back.uv is None
    picture = np.random.default_rng(0).integers(0, 256, (8, 4, 3)).astype(np.uint8)
    skin = dataclasses.replace(
        rig, uv=np.random.default_rng(1).random((60, 2)).astype(np.float32), texture=picture
    )
    write_rig(tmp_path / "r.npz", skin)
    back = read_rig(tmp_path / "r.npz")
    np.testing.assert_array_equal(back.texture, picture)
    np.testing.assert_array_equal(back.uv, skin.uv)
    assert back.hash == rig.hash  # the look is not part of it: meshes fit all the same


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"landmarks": np.arange(39)}, r"landmarks must be \(40,\)"),
        ({"lips": np.array([999])}, "lips name vertices outside 0..59"),
        ({"lips": np.array([], int)}, "lip set is empty"),
        ({"neutral": np.full((60, 3), np.nan, np.float32)}, "finite"),
        ({"names": ("a", "a", "b")}, "unique"),
        ({"colours": np.zeros((3, 3))}, "colours"),
        ({"uv": np.zeros((60, 2), np.float32)}, "a texture needs uv"),
        ({"uv": np.zeros((60, 2)), "texture": np.zeros((4, 4, 3))}, "a texture needs uv .* uint8"),
        ({"uv": np.zeros((59, 2)), "texture": np.zeros((4, 4, 3), np.uint8)}, "a texture needs uv .60, 2."),
    ],
)
def test_a_rig_that_does_not_fit_is_refused(change, message):
    rig = tiny_rig()
    fields = {f.name: getattr(rig, f.name) for f in dataclasses.fields(Rig) if f.init}
    with pytest.raises(TalkmeshError, match=message):
        Rig(**(fields | change))


def test_vertices_equal_the_slow_sum():
    rig = tiny_rig()
    poses = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    slow = np.stack([rig.neutral + sum(w * d for w, d in zip(p, rig.deltas, strict=True)) for p in poses])
    np.testing.assert_allclose(rig.vertices(poses), slow, atol=1e-5)
    with pytest.raises(TalkmeshError, match="no blendshape 'nope'"):
        rig.pose_of(["nope"], np.zeros((1, 1)))


def test_predictions_must_be_of_the_rig_and_finite(tmp_path):
    rig = tiny_rig()
    c.write_prediction(tmp_path / "a.npz", rig.neutral[None], 25.0, rig)
    np.testing.assert_array_equal(c.read_prediction(tmp_path / "a.npz", rig), rig.neutral[None])
    with pytest.raises(TalkmeshError, match="finite"):
        c.write_prediction(tmp_path / "b.npz", np.full((1, 60, 3), np.nan), 25.0, rig)
    assert not (tmp_path / "b.npz").exists()
    fields = {f.name: getattr(rig, f.name) for f in dataclasses.fields(Rig) if f.init}
    other = Rig(**(fields | {"neutral": rig.neutral + 1, "name": "other"}))
    with pytest.raises(TalkmeshError, match="is not of the rig other"):
        c.read_prediction(tmp_path / "a.npz", other)
