"""`talkmesh evaluate` on folders of meshes, as other repositories write them, and on the project's own clips."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import evaluate as evaluate_stage
from talkmesh import cli, contracts
from talkmesh.errors import TalkmeshError
from talkmesh.foreign import Request, read_meshes, score
from talkmesh.rig import write_rig
from tiny_project import CLIPS, FPS, make, poses, tiny_rig

RIG = tiny_rig()


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somewhere without a project: truth, and predictions that open the jaw to a half."""
    monkeypatch.chdir(tmp_path)
    write_rig(Path("rig.npz"), RIG)
    for name, gain in (("truth", 1.0), ("mine", 0.5)):
        Path(name).mkdir()
        for clip in CLIPS:
            np.save(Path(name) / f"{clip}.npy", RIG.vertices(poses(clip) * (gain, 1.0)))
    return tmp_path


def request(**changes: object) -> Request:
    given = {"predictions": Path("mine"), "rig": "rig.npz", "truth": Path("truth"), "fps": FPS}
    return Request(**{**given, **changes})  # type: ignore[arg-type]


def test_the_command_prints_and_writes_the_same_numbers(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--predictions", "mine", "--truth", "truth", "--rig", "rig.npz", "--fps", "25"]
    assert cli.main([*words, "--json", "--csv", "out/clips.csv"]) == 0
    result = json.loads(capsys.readouterr().out)
    table = pd.read_csv("out/clips.csv")
    assert list(table["clip"]) == list(CLIPS)
    assert result["metrics"]["lve_mm"]["mean"] == pytest.approx(table["lve_mm"].mean(), rel=1e-4)
    assert result["metrics"]["opening_truth_sd_ratio"]["mean"] == pytest.approx(0.5, abs=0.01)
    assert result["metrics"]["lve_mm"]["n_clips"] == 3
    assert "lle_px" in result["absent"]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "lve_mm" in text
    assert "3 clips" in text
    assert "not measured, for want of truth or film: lle_px" in text


def test_the_project_s_own_predictions_score_as_in_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    evaluate_stage.main("ours")
    piped = json.loads((contracts.RESULTS / "ours.json").read_text())["methods"]["ours"]
    result, _ = score(Request(Path("predictions/ours"), "character"))
    assert {n: v["mean"] for n, v in result["metrics"].items()} == {n: v["mean"] for n, v in piped.items()}
    assert result["absent"] == []
    (contracts.PREDICTIONS / "ours" / "talk_b.npz").unlink()
    with pytest.raises(TalkmeshError, match="no file for the test clip talk_b"):
        score(Request(Path("predictions/ours"), "character"))


def test_flat_arrays_metres_other_names_and_twice_the_rate(folders: Path) -> None:
    """What FaceFormer and its descendants write: (T, 3V) in metres, truth at 60 frames a second, names with styles."""
    expected, _ = score(request())
    for name in ("truth", "mine"):
        Path(f"{name}_m").mkdir()
    for clip in CLIPS:
        truth, mine = (np.load(f"{name}/{clip}.npy") / 1000 for name in ("truth", "mine"))
        np.save(f"truth_m/{clip}.npy", truth.repeat(2, axis=0).reshape(2 * len(truth), -1))
        np.savez(f"mine_m/{clip}_condition_anna.npz", fps=25.0, verts=mine, faces=RIG.faces)
    result, table = score(
        request(predictions=Path("mine_m"), truth=Path("truth_m"), unit="m", fps=None, truth_fps=50.0)
    )
    assert list(table["clip"]) == [f"{clip}_condition_anna" for clip in CLIPS]
    for name, value in expected["metrics"].items():
        assert result["metrics"][name]["mean"] == pytest.approx(value["mean"], rel=1e-3, abs=1e-3)


def test_weights_are_read_too(folders: Path) -> None:
    contracts.write_ground_truth(Path("a.npz"), contracts.GroundTruth(FPS, poses("talk_a"), RIG.names))
    contracts.write_poses(Path("b.npz"), poses("talk_a"), FPS, RIG)
    for path in ("a.npz", "b.npz"):
        meshes, fps = read_meshes(Path(path), RIG, 1.0)
        np.testing.assert_array_equal(meshes, RIG.vertices(poses("talk_a")))
        assert fps == FPS


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda: np.save("mine/talk_b.npy", np.load("mine/talk_b.npy") / 1000),
            "clip talk_b.*looks like metres",
        ),
        (
            lambda: np.save("mine/talk_b.npy", np.load("mine/talk_b.npy")[:, :-1]),
            "clip talk_b.*another topology",
        ),
        (lambda: np.save("mine/talk_b.npy", np.full((20, 120, 3), np.nan)), "clip talk_b.*NaN"),
        (
            lambda: np.save("mine/talk_b.npy", np.load("mine/talk_b.npy")[:12]),
            "clip talk_b.*12 predicted frames",
        ),
        (lambda: np.save("mine/talk_b.npy", np.load("mine/talk_b.npy")[:0]), "clip talk_b.*no frames"),
        (lambda: np.save("mine/talk_b.npy", np.zeros((0, 360))), "clip talk_b.*no frames"),
        (
            lambda: np.save("mine/talk_b.npy", np.float32(7)),
            "talk_b.npy: meshes must be numbers, frame by frame",
        ),
        (lambda: np.save("mine/talk_b.npy", np.array([{}])), "talk_b.npy is not a readable npy file"),
        (lambda: np.save("mine/talk_b.npy", np.array(["a"])), "talk_b.npy: meshes must be numbers"),
        (lambda: Path("mine/talk_b.npy").write_text("x"), "talk_b.npy is not a readable npy file"),
        (lambda: Path("truth/talk_b.npy").unlink(), "truth has no truth for talk_b.npy"),
        (lambda: np.savez("mine/talk_b.npz", a=1), "are of one name"),
        (
            lambda: np.savez("mine/other.npz", a=np.zeros(3), b=np.zeros(4)),
            "truth has no truth for other.npz",
        ),
    ],
)
def test_errors_name_the_clip_or_the_file(folders: Path, spoil: object, message: str) -> None:
    spoil()  # type: ignore[operator]
    with pytest.raises(TalkmeshError, match=message):
        score(request())


def test_other_errors_say_what_to_give(folders: Path) -> None:
    with pytest.raises(TalkmeshError, match=r"talk_a.npy does not say its frames a second: give --fps"):
        score(request(fps=None))
    with pytest.raises(TalkmeshError, match="no multiple of the prediction's 25"):
        score(request(truth_fps=60.0))
    with pytest.raises(TalkmeshError, match="nowhere: no such folder"):
        score(request(predictions=Path("nowhere")))
    with pytest.raises(TalkmeshError, match=r"there is no params.yaml here: give --truth"):
        score(request(truth=None))
    np.savez("mine/talk_a2.npz", a=np.zeros((4, 3)), b=np.zeros((4, 3)))
    with pytest.raises(TalkmeshError, match="cannot tell which of a, b holds meshes of 120 vertices"):
        read_meshes(Path("mine/talk_a2.npz"), RIG, 1.0)


def test_outside_of_a_project_the_numbers_are_those_that_talkmesh_comes_with(folders: Path) -> None:
    (folders / "params.yaml").write_text(
        "evaluate: {max_lag_s: 0.4, closure_mm: 1.0, bootstrap: {resamples: 10000, seed: 7}}\n"
    )
    inside = score(request())[0]["metrics"]
    (folders / "params.yaml").unlink()
    assert score(request())[0]["metrics"] == inside
