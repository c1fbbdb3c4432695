"""Files of named weights: clocks, names, bounds, and what is said of files that cannot be used."""

import logging

import numpy as np
import pytest

from shared import shared
from talkmesh.curves import Curves, on_shapes, plain, read_curves
from talkmesh.errors import TalkmeshError

ROTATIONS = (
    "HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
)


def live_link(path, timecodes, weights, names="JawOpen,MouthSmileLeft"):
    lines = [f"Timecode,BlendShapeCount,{names},{ROTATIONS}"]
    lines += [
        f"{code},61,{','.join(map(str, row))},{','.join(['-0.2'] * 9)}"
        for code, row in zip(timecodes, weights, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("rate", [24, 30, 60])
@pytest.mark.parametrize("start", [0.0, 86_399.2])  # also past midnight
def test_timecodes_become_seconds_at_a_rate_that_stands_nowhere(tmp_path, rate, start):
    true = np.arange(2 * rate) * 1.001 / rate
    codes = []
    for t in start + true:
        whole = int(t + 1e-9)
        frames = (t - whole) * rate
        hour, minute, second = whole // 3600 % 24, whole // 60 % 60, whole % 60
        codes.append(f"{hour:02d}:{minute:02d}:{second:02d}:{abs(frames):06.3f}")
    path = live_link(tmp_path / "a.csv", codes, np.tile([0.5, 0.1], (len(true), 1)))
    (take,) = read_curves(path)
    np.testing.assert_allclose(take.times, true, atol=2e-3 / rate)
    assert take.names == ("JawOpen", "MouthSmileLeft")  # rotations are no shapes


def test_rows_without_a_face_and_times_that_stand_still_are_passed_over(tmp_path, caplog):
    path = live_link(
        tmp_path / "a.csv", ["10:00:00:00.0", "10:00:00:01.0", "10:00:00:01.0"], [[0, 0], [1, 0], [0, 1]]
    )
    with path.open("a") as file:
        file.write("10:00:00:02.0,0,,\n10:00:00:03.0,61,0.5,0.5," + ",".join(["0"] * 9) + "\n")
    with caplog.at_level(logging.WARNING):
        (take,) = read_curves(path)
    np.testing.assert_allclose(take.weights, [[0, 0], [1, 0], [0.5, 0.5]])
    assert "1 frames whose time does not advance" in caplog.text


def test_any_csv_with_time_in_seconds(tmp_path):
    (tmp_path / "b.csv").write_text("time,jawOpen,mouthSmile_L\n5.0,0,0\n5.5,1.2,-0.1\n6.5,0.5,0.25\n")
    (take,) = read_curves(tmp_path / "b.csv")
    np.testing.assert_allclose(take.times, [0, 0.5, 1.5])
    np.testing.assert_allclose(take.weights, [[0, 0], [1, 0], [0.5, 0.25]])  # bounded
    np.testing.assert_allclose(take.at(np.array([0.25, 1.0, 9.0])), [[0.5, 0], [0.75, 0.125], [0.5, 0.25]])


def test_npz_of_one_take_and_of_several(tmp_path):
    weights = np.random.default_rng(0).random((30, 2)).astype(np.float32)
    names = np.array(["jawOpen", "tongueOut"])
    np.savez(tmp_path / "one.npz", names=names, fps=30, weights=weights)
    np.savez(tmp_path / "two.npz", names=names, fps=30, w_b=weights[:10], w_a=weights)
    (one,) = read_curves(tmp_path / "one.npz")
    assert one.name == "one"
    assert one.seconds == pytest.approx(1.0)
    two = read_curves(tmp_path / "two.npz")
    assert [t.name for t in two] == ["a", "b"]
    np.testing.assert_array_equal(two[0].weights, weights)


def test_names_are_matched_however_they_are_spelled_and_what_is_lost_is_named(caplog):
    same = ["mouthSmileLeft", "MouthSmileLeft", "mouthSmile_L", "mouth_smile_left", "MouthSmile.L"]
    assert len({plain(name) for name in same}) == 1
    assert plain("mouthLeft") != plain("mouthRight")
    weights = np.tile(np.float32([0.5, 0.25, 0.7, 0.01]), (3, 1))
    take = Curves("take", ("MouthSmile_L", "jawopen", "earWiggle", "noise"), np.arange(3.0), weights)
    with caplog.at_level(logging.WARNING):
        poses = on_shapes(take, ("jawOpen", "mouthSmileLeft", "browUp"), "rig x")
    np.testing.assert_allclose(poses, np.tile([0.25, 0.5, 0], (3, 1)))  # missing shapes are 0
    assert "rig x lacks earWiggle;" in caplog.text
    with pytest.raises(TalkmeshError, match="none of its 4 shapes"):
        on_shapes(take, ("phoneme_a",), "rig x")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("time,jawOpen\n0,50\n1,100\n", "weights must be 0 to 1; jawOpen reaches 100"),
        ("time,jawOpen\n0,nan\n", "NaN"),
        ("time,jawOpen\n0,wide\n", "not a number"),
        ("frame,jawOpen\n0,1\n", "needs a column 'Timecode'"),
        ("Timecode,jawOpen\n10:00,1\n", "'10:00' is no timecode"),
        ("time,jawOpen,JawOpen\n0,1,1\n", "appears twice"),
        ("time,jawOpen\n", "must be"),
        ("", "is empty"),
    ],
)
def test_a_csv_that_cannot_be_used_says_why(tmp_path, text, sentence):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(TalkmeshError, match=sentence):
        read_curves(tmp_path / "c.csv")


def test_other_files_say_what_is_expected(tmp_path):
    with pytest.raises(TalkmeshError, match="no such file"):
        read_curves(tmp_path / "absent.csv")
    (tmp_path / "a.txt").touch()
    with pytest.raises(TalkmeshError, match=r"\.csv .* and \.npz"):
        read_curves(tmp_path / "a.txt")
    np.savez(tmp_path / "a.npz", names=np.array(["a"]), weights=np.zeros((2, 1)))
    with pytest.raises(TalkmeshError, match="need 'names', 'fps'"):
        read_curves(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", names=np.array(["a"]), fps=30, weights=np.zeros((2, 2)))
    with pytest.raises(TalkmeshError, match=r"must be \(frames, 1\)"):
        read_curves(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", names=np.array(["a"]), fps=30, weights=np.array([[object()]]))
    with pytest.raises(TalkmeshError):  # nothing is unpickled
        read_curves(tmp_path / "c.npz")


@pytest.mark.parametrize(
    "name", ["Happy", "MySlate_161_iPhone_cal", "MySlate_162_iPhone_cal", "MySlate_163_iPhone_cal"]
)
def test_takes_of_the_live_link_app(name):
    (take,) = read_curves(shared(f"data/livelinkface/{name}.csv"))
    assert len(take.names) == 52
    assert np.diff(take.times).min() > 0.016
    assert np.diff(take.times).max() < 0.017  # 59.94 frames a second, without a jump
    assert take.weights.max() > 0.3


def test_the_curves_of_facegood():
    takes = read_curves(shared("data/facegood/weights_arkit.npz"))
    assert [t.name for t in takes] == [f"1114_2_0{i}" for i in range(1, 5)]
    assert sum(t.seconds for t in takes) == pytest.approx(446, abs=1)
    from talkmesh.sample.performance import ARKIT

    for take in takes:
        assert (on_shapes(take, ARKIT, "ARKit").max(0) > 0).sum() == (take.weights.max(0) > 0).sum()
