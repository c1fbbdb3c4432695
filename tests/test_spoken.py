"""Where meshes to learn from come from, and the stage `baseline` on the tiny project."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

import tiny_project
from talkmesh import contracts, spoken
from talkmesh.contracts import GroundTruth, Track, read_kept, write_ground_truth
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_json
from talkmesh.models.speech import SpeechConfig
from talkmesh.rig import Rig, write_rig
from talkmesh.sequences import gather

SPEECH = SpeechConfig("log_mel", "", 2, 8, 1, 2, 3, 0.0)
TRACK = Track("cg", "character", "data/clips")
TRAIN, VAL, TEST = tiny_project.CLIPS


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """The tiny project with a clip in each split, as the working folder."""
    rig = tiny_project.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    table = contracts.read_clips(kept=False)
    for clip, split in zip((TRAIN, VAL, TEST), ("train", "val", "test"), strict=True):
        table.loc[table["clip"] == clip, "split"] = split
    contracts.write_clips(table)
    return rig


def speakers(rig: Rig, folder: Path, own: Rig | None = None) -> None:
    """A corpus of speech and meshes: two speakers, two sentences, of which one is for testing."""
    for name in ("eva", "finn"):
        for sentence in ("one", "two"):
            path = folder / name / f"{sentence}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            sound = 0.1 * np.sin(np.arange(16_000) / (9 if name == "eva" else 14))
            soundfile.write(path, sound.astype(np.float32), 16_000)
            truth = GroundTruth(50.0, np.full((52, 2), 0.5, np.float32), rig.names)
            write_ground_truth(contracts.GROUND_TRUTH / folder.name / name / f"{sentence}.npz", truth)
        if own is not None:
            write_rig(folder / name / "rig.npz", own)
    (folder / "test.txt").write_text("two\n")


def taken(rig: Rig, targets: str = "data/clips", more: str = "data/clips"):
    return gather(Path(targets), Path(more), "test.txt", TRACK, rig, SPEECH, tiny_project.FPS)


def test_exact_meshes_of_clips(project: Rig) -> None:
    train, val = taken(project)
    assert [s.name for s in train + val] == [TRAIN, VAL]  # never a test clip
    for s in train + val:
        truth = project.vertices(tiny_project.poses(s.name)) - project.neutral
        np.testing.assert_allclose(s.offsets, truth, atol=1e-4)
        assert s.speaker == "anna"
        assert len(s.speech) == len(s.offsets)


def test_predictions_as_targets(project: Rig) -> None:
    train, _ = taken(project, "predictions/pseudo")
    wanted = project.vertices(tiny_project.poses(TRAIN) * (0.9, 1.0)) - project.neutral
    np.testing.assert_allclose(train[0].offsets, wanted, atol=1e-4)
    (contracts.PREDICTIONS / "pseudo" / f"{TRAIN}.npz").unlink()
    with pytest.raises(
        TalkmeshError, match=rf"{TRAIN}\.npz not found: set pseudo\.splits to \[train, val, test\]"
    ):
        taken(project, "predictions/pseudo")
    write_json(contracts.PREDICTIONS / "pseudo" / "skipped.json", {"reason": "no film"})
    with pytest.raises(spoken.NothingToLearnFrom, match="pseudo, which was skipped: no film"):
        taken(project, "predictions/pseudo")


def test_other_speakers_join(project: Rig) -> None:
    folder = contracts.RAW / "voices"
    speakers(project, folder)
    train, val = taken(project, more=str(folder))
    assert [s.name for s in train] == [TRAIN, "eva-one", "finn-one"]  # `two` is for testing
    assert [s.name for s in val] == [VAL]
    assert len(train[1].offsets) == 25  # brought from 50 to 25 frames a second
    np.testing.assert_allclose(train[1].offsets[3], project.deltas.sum(0) * 0.5, atol=1e-4)
    with pytest.raises(TalkmeshError, match="holds no recording with meshes"):
        taken(project, more=str(contracts.RAW / "nobody"))


def test_a_speaker_of_the_same_topology_keeps_the_own_face(project: Rig) -> None:
    own = Rig(**{f: getattr(project, f) for f in (
        "name", "faces", "names", "lips", "landmarks", "upper", "colours",
    )}, neutral=project.neutral * 1.1, deltas=project.deltas * 2)  # fmt: skip
    folder = contracts.RAW / "voices"
    speakers(project, folder, own)
    train, _ = taken(project, more=str(folder))
    np.testing.assert_array_equal(train[1].neutral, own.neutral)
    np.testing.assert_allclose(train[1].offsets[3], own.deltas.sum(0) * 0.5, atol=1e-4)
    other = Rig(**{f: getattr(own, f) for f in (
        "name", "neutral", "names", "deltas", "lips", "landmarks", "upper", "colours",
    )}, faces=own.faces[::-1].copy())  # fmt: skip
    speakers(project, folder, other)
    assert np.array_equal(taken(project, more=str(folder))[0][1].neutral, project.neutral)


def test_without_clips_for_validation_some_are_held_out(project: Rig) -> None:
    table = contracts.read_clips(kept=False)
    table.loc[table["clip"] == VAL, "split"] = "train"
    contracts.write_clips(table)
    train, val = taken(project)
    assert ([s.name for s in train], [s.name for s in val]) == ([VAL], [TRAIN])
    for clip in (TRAIN, VAL):
        (contracts.CLIPS / clip / "ground_truth.npz").unlink()
    with pytest.raises(spoken.NothingToLearnFrom, match="no clip has exact meshes for the rig character"):
        taken(project)


def test_truth_reaches_another_topology_as_its_renders_did(
    project: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half:
        def truth(self, truth: GroundTruth) -> GroundTruth:
            assert truth.weights is not None
            return GroundTruth(truth.fps, truth.weights / 2, truth.names)

    found = next(spoken.exact(read_kept("train"), project, Half()))  # type: ignore[arg-type]
    np.testing.assert_allclose(found.vertices, project.vertices(tiny_project.poses(TRAIN) / 2), atol=1e-4)


def params(methods: dict[str, dict[str, str]]) -> dict[str, object]:
    root = Path(__file__).parents[1]
    values = yaml.safe_load((root / "params.yaml").read_text())
    section = values["baseline"] | {"methods": methods}
    section["train"] |= {"steps": 4, "validate_every": 2, "warmup": 1}
    values["transcoder"]["model"]["speech"] |= {"front_end": "log_mel", "width": 8, "layers": 1, "heads": 2}
    own = yaml.safe_load(Path("params.yaml").read_text())
    own["segment"] = {"fps": tiny_project.FPS}
    return own | {"baseline": section, "transcoder": values["transcoder"], "unseen": values["unseen"]}


def test_the_stage_writes_a_model_and_predictions_or_a_reason(
    project: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages import baseline

    monkeypatch.setenv("TALKMESH_TRACKING", "off")
    exact = {"model": "linear", "targets": "data/clips", "more": "data/clips"}
    pseudo = exact | {"targets": "predictions/pseudo"}
    Path("params.yaml").write_text(yaml.safe_dump(params({"linear": exact, "linear_pseudo": pseudo})))
    for name in ("linear", "linear_pseudo"):
        baseline.main(name)
        written = contracts.read_prediction(contracts.PREDICTIONS / name / f"{TEST}.npz", project)
        assert written.shape == (tiny_project.FRAMES, *project.neutral.shape)
        assert [p.name for p in (contracts.PREDICTIONS / name).iterdir()] == [f"{TEST}.npz"]
        files = {p.name for p in (Path("models/baselines") / name).iterdir()}
        assert {"weights.safetensors", "config.json", "curves.csv"} <= files
    with pytest.raises(TalkmeshError, match=r"baseline\.methods has no 'voca'"):
        baseline.main("voca")
    for clip in tiny_project.CLIPS:
        (contracts.CLIPS / clip / "ground_truth.npz").unlink()
    shutil.rmtree("predictions/linear")
    baseline.main("linear")
    for folder in ("models/baselines", "predictions"):
        note = json.loads((Path(folder) / "linear/skipped.json").read_text())
        assert note["reason"] == "no clip has exact meshes for the rig character"
