"""One method judged on a made-up project: the contract of its result, what is absent, skipped or wrong."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import evaluate as evaluate_stage
from stages import reference
from talkmesh import contracts
from talkmesh.errors import TalkmeshError
from talkmesh.evaluation import read_drawn
from talkmesh.framing import Framing, window
from talkmesh.judged import clip_truth, judged_clips
from talkmesh.rig import read_rig, write_rig
from talkmesh.rig.transfer import Transfer, write_transfer
from talkmesh.scoring import NEED_FILM, NEED_TRUTH, mesh_opening
from tiny_project import CLIPS, FPS, FRAMES, make, poses

TRACK = contracts.Track("cg", "character", "data/clips")
MEASURED_ON_FILM = {
    *("lle_px", "lle_clip_px", "lle_percent", "opening_r", "opening_sd_ratio", "opening_lag_ms", "jitter_mm")
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judged(method: str) -> dict:  # type: ignore[type-arg]
    evaluate_stage.main(method)
    result = json.loads((contracts.RESULTS / f"{method}.json").read_text())
    assert set(result) == {"corpus", "track", "measured_on", "methods", "absent"}
    assert (result["corpus"], result["track"]) == ("embedded", "cg")
    return result["methods"][method] | {"absent": result["absent"]}


def test_result_follows_the_contract(project: Path) -> None:
    values = judged("ours")
    assert values.pop("absent") == {}
    assert set(values) == MEASURED_ON_FILM | set(NEED_TRUTH)
    for value in values.values():
        assert set(value) == {"mean", "ci95", "n_clips", "seeds"}
        assert value["n_clips"] == 3
        assert value["ci95"][0] <= value["mean"] <= value["ci95"][1]
    table = pd.read_csv(contracts.RESULTS / "ours.csv")
    assert list(table["clip"]) == list(CLIPS)
    for name, value in values.items():
        assert table[name].mean() == pytest.approx(value["mean"], rel=1e-4)


def test_values_are_those_of_the_construction(project: Path) -> None:
    """`ours` opens the jaw to 0.6 of the truth: every figure follows."""
    reference.main("ground_truth")
    ours, truth = judged("ours"), judged("ground_truth")
    assert ours["opening_truth_r"]["mean"] == pytest.approx(1)
    assert ours["opening_truth_sd_ratio"]["mean"] == pytest.approx(0.6, abs=0.01)
    assert ours["opening_truth_lag_ms"]["mean"] == pytest.approx(0, abs=1)
    assert ours["opening_r"]["mean"] > 0.99
    opened = np.mean([pd.read_csv(contracts.RESULTS / "ours.csv")["lve_mm"]])
    assert opened == pytest.approx(np.mean([20 * 0.4 * o for o in _jaw()]), rel=0.01)  # 20 mm at weight 1
    assert truth["lve_mm"]["mean"] == 0
    assert truth["lle_px"]["mean"] < 0.1 < ours["lle_clip_px"]["mean"]
    assert ours["lle_percent"]["mean"] == pytest.approx(100 * ours["lle_px"]["mean"] / (32 / 1.9), rel=1e-6)


def _jaw() -> np.ndarray:
    from tiny_project import opening

    return np.concatenate([opening(clip) for clip in CLIPS])


def test_still_face_is_the_floor(project: Path) -> None:
    reference.main("still")
    still, ours, pseudo = judged("still"), judged("ours"), judged("pseudo")
    assert still["lve_mm"]["mean"] > ours["lve_mm"]["mean"] > pseudo["lve_mm"]["mean"] > 0
    assert still["lle_clip_px"]["mean"] > ours["lle_clip_px"]["mean"] > pseudo["lle_clip_px"]["mean"]
    assert still["opening_r"] == {"mean": None, "ci95": [None, None], "n_clips": 0, "seeds": 0}
    assert still["opening_sd_ratio"]["mean"] == 0
    assert still["jitter_mm"]["mean"] == 0


def test_without_ground_truth_the_metrics_that_need_it_are_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, truth=False)
    monkeypatch.chdir(tmp_path)
    values = judged("ours")
    absent = values.pop("absent")
    assert set(values) == MEASURED_ON_FILM
    assert absent == {name: "the corpus has no ground truth" for name in NEED_TRUTH}
    reference.main("ground_truth")
    assert judged("ground_truth")["skipped"] == "clip talk_a: the corpus has no ground truth"


def test_a_method_that_cannot_run_is_skipped_with_its_reason(project: Path) -> None:
    assert judged("voca")["skipped"] == "predictions/voca holds no predictions"
    contracts.write_json(contracts.PREDICTIONS / "meshtalk" / "skipped.json", {"reason": "no weights"})
    assert judged("meshtalk")["skipped"] == "no weights"
    assert list(pd.read_csv(contracts.RESULTS / "meshtalk.csv").columns) == ["clip", "speaker", "frames"]


def test_a_clip_that_is_too_short_or_missing_is_an_error(project: Path) -> None:
    rig = contracts.read_npz(contracts.RIGS / "character.npz")
    path = contracts.PREDICTIONS / "ours" / "talk_b.npz"
    whole = contracts.read_npz(path)
    assert len(rig["neutral"]) == whole["vertices"].shape[1]
    contracts.write_npz(path, **{**whole, "vertices": whole["vertices"][: FRAMES - 1]})
    judged("ours")  # one frame of rounding is accepted
    contracts.write_npz(path, **{**whole, "vertices": whole["vertices"][: FRAMES - 2]})
    with pytest.raises(TalkmeshError, match=r"ours, clip talk_b.*18 predicted frames against 20"):
        judged("ours")
    path.unlink()
    with pytest.raises(TalkmeshError, match=r"talk_b.npz not found"):
        judged("ours")


def test_no_test_clip_is_an_error(project: Path) -> None:
    table = contracts.read_clips()
    contracts.write_clips(table.assign(split="train"))
    with pytest.raises(TalkmeshError, match="no test clip"):
        judged_clips(TRACK)


def test_dropped_crops_are_not_judged(project: Path) -> None:
    table = pd.read_csv(contracts.CROPS / "crops.csv")
    table["dropped_why"] = ["", "a face in 3 of 20 frames", ""]
    table.to_csv(contracts.CROPS / "crops.csv", index=False)
    assert [clip.name for clip in judged_clips(TRACK)] == ["talk_a", "talk_c"]
    assert judged_clips(TRACK)[0].fps == FPS


def test_clips_of_sound_alone_are_judged_against_meshes_and_truth_is_carried_to_another_topology(
    project: Path,
) -> None:
    """The second rig opens twice as far, and its shapes are in another order: truth reaches it through the transfer."""
    rig = read_rig(contracts.RIGS / "character.npz")
    second = dataclasses.replace(
        rig, name="second", names=("smile", "open"), deltas=rig.deltas[::-1] * np.array([1, 2])[:, None, None]
    )
    write_rig(contracts.RIGS / "second.npz", second)
    swap = np.array([[0, 1.0], [0.5, 0]])  # half the weight opens as far
    carried = Transfer(rig.names, second.names, rig.hash, second.hash, np.eye(2), swap)
    write_transfer(contracts.RIGS / "second.transfer.npz", carried)
    corners = rig.neutral[rig.landmarks[[0, 10]], :2]
    camera = window(*corners, Framing(32, 1.9, 0.5, False), y_up=True)
    picture = np.zeros((32, 32, 3), np.uint8)
    renders = contracts.Renders(picture[None], np.zeros((1, 2)), picture, camera)
    contracts.write_renders(renders, contracts.RENDERS / "second")
    shutil.copytree(contracts.CLIPS, contracts.UNSEEN / "voices")
    numbers = (project / "params.yaml").read_text()
    track = "{name: second, rig: second, clips: data/unseen/voices}"
    (project / "params.yaml").write_text(
        numbers.replace("{name: cg, rig: character, clips: data/clips}", track)
    )
    for clip in CLIPS:
        pose = np.column_stack([poses(clip)[:, 1], poses(clip)[:, 0] / 2])
        contracts.write_prediction(
            contracts.PREDICTIONS / "exact" / f"{clip}.npz", second.vertices(pose), FPS, second
        )
    evaluate_stage.main("exact")
    result = json.loads((contracts.RESULTS / "exact.json").read_text())
    values = result["methods"]["exact"]
    assert values["lve_mm"]["mean"] == pytest.approx(0, abs=1e-4)
    assert values["lve_mm"]["n_clips"] == 3
    assert set(values) == {*NEED_TRUTH, "jitter_mm"}
    assert set(result["absent"]) == set(NEED_FILM)
    assert (result["track"], result["measured_on"]["clips_of"]) == ("second", "data/unseen/voices")
    for method in ("still", "ground_truth", "chance"):
        reference.main(method)
    evaluate_stage.main("ground_truth")
    truth = json.loads((contracts.RESULTS / "ground_truth.json").read_text())["methods"]["ground_truth"]
    assert truth["lve_mm"]["mean"] == 0
    evaluate_stage.main("still")
    still = json.loads((contracts.RESULTS / "still.json").read_text())["methods"]["still"]
    assert still["lve_mm"]["mean"] > 3


def test_what_is_drawn_is_the_mean_distance_of_every_vertex_and_the_opening_of_every_clip(
    project: Path,
) -> None:
    judged("ours")
    rig, drawn, distances = read_rig(contracts.RIGS / "character.npz"), read_drawn("ours"), []
    for clip in judged_clips(TRACK):
        predicted = contracts.read_prediction(contracts.PREDICTIONS / "ours" / f"{clip.name}.npz", rig)
        np.testing.assert_allclose(drawn[f"opening/{clip.name}"], mesh_opening(predicted, rig), rtol=1e-5)
        distances.append(np.linalg.norm(predicted - clip_truth(clip, rig), axis=2))
    np.testing.assert_allclose(drawn["vertex_mm"], np.concatenate(distances).mean(0), rtol=1e-4)
    mean = json.loads((contracts.RESULTS / "ours.json").read_text())["methods"]["ours"]["mve_mm"]["mean"]
    assert drawn["vertex_mm"].mean() == pytest.approx(mean, rel=1e-4)
    assert read_drawn("nobody") == {}


def test_wrong_sentences_are_worse_than_any_prediction(project: Path) -> None:
    reference.main("chance")
    chance, ours = judged("chance"), judged("ours")
    assert chance["lve_mm"]["mean"] > ours["lve_mm"]["mean"]
    assert chance["opening_truth_r"]["mean"] < 0.5
    assert chance["opening_truth_sd_ratio"]["mean"] == pytest.approx(1, abs=0.2)
    assert chance["lve_mm"]["seeds"] == 0 < ours["lve_mm"]["seeds"]
