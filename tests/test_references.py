"""The rows that need no training."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import reference
from talkmesh import contracts
from talkmesh.contracts import GroundTruth, read_prediction
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json
from talkmesh.judged import clip_truth, judged_clips
from talkmesh.references import lengthened, motions, wrong_sentences
from talkmesh.rig import Rig
from tiny_project import CLIPS, FPS, FRAMES, make, poses

TRACK = contracts.Track("cg", "character", "data/clips")


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    made = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return made


def predicted(method: str, clip: str, rig: Rig) -> np.ndarray:
    return read_prediction(contracts.PREDICTIONS / method / f"{clip}.npz", rig)


@given(st.sets(st.text("abc", min_size=1, max_size=4), min_size=2, max_size=30))
def test_every_sentence_gets_another_and_none_is_used_twice(names: set[str]) -> None:
    wrong = wrong_sentences(list(names))
    assert set(wrong) == set(wrong.values()) == names
    assert all(a != b for a, b in wrong.items())
    assert wrong == wrong_sentences(sorted(names, reverse=True))


@pytest.mark.parametrize(("speakers", "sentences"), [(12, 20), (2, 3), (5, 2)])
def test_no_clip_gets_its_own_sentence_from_another_mouth(speakers: int, sentences: int) -> None:
    names = [f"p{i:02d}-t{k:03d}" for i in range(speakers) for k in range(sentences)]
    wrong = wrong_sentences(names)
    assert set(wrong.values()) == set(names)
    assert all(a.split("-")[1] != b.split("-")[1] for a, b in wrong.items())
    same = [f"p{i}-t1" for i in range(4)]  # nothing else was said
    assert all(a != b for a, b in wrong_sentences(same).items())


def test_short_ones_are_played_back_and_forth() -> None:
    frames = np.arange(4)[:, None]
    assert lengthened(frames, 3).ravel().tolist() == [0, 1, 2]
    assert lengthened(frames, 9).ravel().tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert lengthened(frames[:1], 3).ravel().tolist() == [0, 0, 0]


def test_rows_are_what_they_are_called(rig: Rig) -> None:
    for method in ("still", "ground_truth", "chance"):
        reference.main(method)
    wrong = wrong_sentences(list(CLIPS))
    for clip in judged_clips(TRACK):
        assert (predicted("still", clip.name, rig) == rig.neutral).all()
        np.testing.assert_array_equal(predicted("ground_truth", clip.name, rig), clip_truth(clip, rig))
        np.testing.assert_array_equal(
            predicted("chance", clip.name, rig), rig.vertices(poses(wrong[clip.name]))
        )


def test_truth_given_as_meshes_stays_meshes_and_is_cut_to_the_clip(rig: Rig) -> None:
    meshes = rig.vertices(poses("talk_b"))[: FRAMES - 5]
    truth = GroundTruth(FPS, vertices=meshes, rig_hash=rig.hash)
    contracts.write_ground_truth(contracts.CLIPS / "talk_b" / "ground_truth.npz", truth)
    with pytest.raises(TalkmeshError, match=r"no reference 'truth'.*ground_truth, still, chance"):
        motions("truth", judged_clips(TRACK), rig)
    reference.main("chance")
    (user,) = [clip for clip, source in wrong_sentences(list(CLIPS)).items() if source == "talk_b"]
    made = predicted("chance", user, rig)
    np.testing.assert_array_equal(made, lengthened(meshes, FRAMES))
    assert len(made) == FRAMES


def test_without_truth_they_are_skipped_with_a_reason(rig: Rig) -> None:
    (contracts.CLIPS / "talk_b" / "ground_truth.npz").unlink()
    for method in ("ground_truth", "chance"):
        reference.main(method)
        note = read_json(contracts.PREDICTIONS / method / "skipped.json")
        assert note == {"reason": "clip talk_b: the corpus has no ground truth"}
    reference.main("still")
    assert not (contracts.PREDICTIONS / "still" / "skipped.json").exists()


def test_one_clip_has_no_wrong_sentence(rig: Rig) -> None:
    assert (
        motions("chance", judged_clips(TRACK)[:1], rig)
        == "there is only one test clip, and no wrong sentence"
    )


def test_truth_of_another_topology_does_not_apply(rig: Rig) -> None:
    truth = GroundTruth(FPS, vertices=np.zeros((FRAMES, 7, 3)), rig_hash="other")
    contracts.write_ground_truth(contracts.CLIPS / "talk_a" / "ground_truth.npz", truth)
    reason = motions("ground_truth", judged_clips(TRACK), rig)
    assert reason == "clip talk_a: the corpus' ground truth does not apply to the rig character"


def test_poses_are_checked_before_they_are_written(rig: Rig) -> None:
    with pytest.raises(TalkmeshError, match=r"a.npz: poses must be finite and \(T, 2\); got \(3, 4\)"):
        contracts.write_poses(Path("a.npz"), np.zeros((3, 4)), FPS, rig)
    contracts.write_npz("b.npz", fps=25.0, rig_hash=rig.hash)
    with pytest.raises(TalkmeshError, match="needs the array 'vertices' or 'weights'"):
        read_prediction(Path("b.npz"), rig)
