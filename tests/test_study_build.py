"""The folder of a study: what is in it, what it gives away, and what stands in its way."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import studied
import tiny_project
from talkmesh import cli, contracts, params, profile
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_json
from talkmesh.media import read_audio, read_video
from talkmesh.study.design import Checks, Study
from talkmesh.study.folder import read_key, read_shown
from talkmesh.study.pairs import FILM
from talkmesh.study.videos import build

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pictures(folder: Path, name: str) -> np.ndarray:
    return np.stack(list(read_video(folder / f"media/{name}.mp4", tiny_project.FPS)))


def test_every_video_is_there_once_a_name_with_sound_and_of_one_form(tmp_path: Path) -> None:
    folder = studied.built(tmp_path)
    shown, key = read_shown(folder), read_key(folder)
    names = {n for t in shown.trials for n in (t.left, t.right, t.face)}
    assert {p.name for p in (folder / "media").iterdir()} == {f"{n}.mp4" for n in names}
    assert len(shown.trials) == 2 * 2 + 2 + 1
    for name in names:
        frames = pictures(folder, name)
        assert frames.shape == (tiny_project.FRAMES, 64, 64, 3)
        sound = read_audio(folder / f"media/{name}.mp4", 16_000)
        assert len(sound) / 16_000 == pytest.approx(tiny_project.FRAMES / tiny_project.FPS, abs=0.1)
        assert np.abs(sound).max() > 0.05
    for trial in shown.trials:
        for name in (trial.left, trial.right):
            moves = np.abs(np.diff(pictures(folder, name).astype(float), axis=0)).max() > 20
            assert moves == (key.methods[name] != "still")


def test_all_methods_are_seen_by_one_camera_and_the_film_is_the_film(tmp_path: Path) -> None:
    folder = studied.built(tmp_path)
    shown, key = read_shown(folder), read_key(folder)
    by_clip: dict[str, dict[str, np.ndarray]] = {}
    for trial in shown.trials:
        for name in (trial.left, trial.right, trial.face):
            by_clip.setdefault(key.pairs[trial.id].clip, {})[key.methods[name]] = pictures(folder, name)
    for clip, seen in by_clip.items():
        above = {m: frames[:, :20].astype(float) for m, frames in seen.items() if m != FILM}
        first = next(iter(above.values()))
        assert all(np.abs(frames - first).mean() < 2 for frames in above.values()), (
            "the upper face does not move"
        )
        skin = seen[FILM][:, :8].reshape(-1, 3).mean(0)
        assert skin == pytest.approx((205, 170, 150), abs=12), clip


def test_neither_names_nor_what_the_server_reads_tell_methods(tmp_path: Path) -> None:
    folder = studied.built(tmp_path)
    told = [
        *(p.relative_to(folder).as_posix() for p in folder.rglob("*")),
        (folder / "study.json").read_text(),
    ]
    words = ("ours", "pseudo", "ground", "truth", "still", "film", *tiny_project.CLIPS)
    for text in told:
        assert not any(word in text for word in words), text
    assert "ours" in (folder / "key.json").read_text()
    for video in (folder / "media").iterdir():
        content = video.read_bytes()
        assert not any(word.encode() in content for word in words)


def test_the_same_seed_builds_the_same_bytes_and_another_one_other_names(tmp_path: Path) -> None:
    folder = studied.built(tmp_path)

    def hashes(where: Path) -> dict[str, str]:
        return {
            p.relative_to(where).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in where.rglob("*")
            if p.is_file()
        }

    build(studied.study(), "embedded", tmp_path / "again")
    assert hashes(folder) == hashes(tmp_path / "again")
    build(studied.study(seed=4), "embedded", tmp_path / "other")
    assert not set(hashes(folder)) & {n for n in hashes(tmp_path / "other") if n.startswith("media")}


def test_videos_of_one_clip_last_equally_long_whatever_methods_predict(tmp_path: Path) -> None:
    studied.project(tmp_path)
    rig = tiny_project.tiny_rig()
    for clip in tiny_project.CLIPS:
        poses = tiny_project.poses(clip)[:-1]
        contracts.write_poses(Path(f"predictions/pseudo/{clip}.npz"), poses, tiny_project.FPS, rig)
    build(studied.study(), "embedded", Path("study"))
    lengths = Counter(len(pictures(Path("study"), p.stem)) for p in Path("study/media").iterdir())
    assert set(lengths) == {tiny_project.FRAMES - 1}


def test_what_has_no_predictions_is_left_out_with_its_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    studied.project(tmp_path)
    write_json("predictions/voca/skipped.json", {"reason": "the corpus has no ground truth"})
    part = studied.part(competitors=("voca", "faceformer", "pseudo"))
    key = build(studied.study(part), "embedded", Path("study"))
    assert key.left_out["filmed: voca"] == "voca: the corpus has no ground truth"
    assert "predictions/faceformer/" in key.left_out["filmed: faceformer"]
    assert {m for p in key.pairs.values() if p.kind == "pair" for m in (p.left, p.right)} == {
        "ours",
        "pseudo",
    }
    assert "left out: voca: the corpus has no ground truth" in caplog.text
    assert read_key(Path("study")) == key


def test_without_film_similarity_is_not_asked(tmp_path: Path) -> None:
    studied.project(tmp_path)
    unseen = Path("data/unseen/voices")
    unseen.parent.mkdir(parents=True)
    Path("data/clips").rename(unseen)
    for clip in tiny_project.CLIPS:
        (unseen / clip / "audio.flac").write_bytes(Path(f"data/crops/{clip}/audio.flac").read_bytes())
    key = build(studied.study(studied.part(clips=str(unseen))), "voices", Path("study"))
    shown = read_shown(Path("study"))
    assert {t.questions for t in shown.trials} == {("realism", "lip_sync")}
    assert {t.face for t in shown.trials} == {""}
    assert key.parts == {"filmed": False}


@pytest.mark.parametrize(
    ("study", "sentence"),
    [
        (studied.study(method="selftalk"), "predictions/selftalk/"),
        (studied.study(studied.part(competitors=("voca",))), "no competitor can be shown; predictions/voca/"),
        (
            studied.study(studied.part(sentences=4)),
            "asks for 4 sentences, but data/clips has only 3 test clips",
        ),
        (studied.study(checks=Checks(0, 0, 5, 0.0)), "repeats is 5, but there are only 4 pairs"),
        (studied.study(studied.part(rig="none")), "none.npz"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_sentence_and_leaves_nothing(
    study: Study, sentence: str, tmp_path: Path
) -> None:
    studied.project(tmp_path)
    with pytest.raises(TalkmeshError, match=re.escape(sentence)):
        build(study, "embedded", Path("study"))
    assert not list(tmp_path.glob("*study*"))


def test_a_broken_prediction_is_named_and_the_old_study_stays(tmp_path: Path) -> None:
    folder = studied.built(tmp_path)
    before = (folder / "study.json").read_text()
    for path in Path("predictions/pseudo").glob("*.npz"):
        path.write_bytes(b"not a zip")
    with pytest.raises(TalkmeshError, match=r"predictions/pseudo/talk_.\.npz is not a readable npz"):
        build(studied.study(), "embedded", folder)
    assert (folder / "study.json").read_text() == before
    assert not list(tmp_path.glob(".tmp*"))


def test_answers_are_never_overwritten_and_other_folders_are_not_either(tmp_path: Path) -> None:
    folder = studied.built(tmp_path)
    build(studied.study(), "embedded", folder)  # without answers: again
    studied.answer_all(folder, studied.prefers("ours", "ground_truth", "pseudo", "still"), upto=1)
    with pytest.raises(TalkmeshError, match="holds 1 answers, which building again would remove"):
        build(studied.study(), "embedded", folder)
    Path("mine").mkdir()
    Path("mine/notes.txt").touch()
    with pytest.raises(TalkmeshError, match="mine is there and is no study"):
        build(studied.study(), "embedded", Path("mine"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"parts": []}, "one or more parts"),
        ({"pixels": 8}, "study.pixels 16 or more"),
        ({"checks": {"still": -1, "max_wrong": 0, "repeats": 0, "min_consistent": 0.0}}, "0 or more"),
        ({"method": "voca"}, "compares voca with itself"),
        ({"parts": [{"questions": ["beauty"]}]}, "must be one of realism, lip_sync, similarity"),
        ({"parts": [{"questions": ["realism"]}]}, "needs the question lip_sync"),
        ({"parts": [{"competitors": ["voca", "voca"]}]}, "each once"),
        ({"parts": [{"sentences": 0}]}, "1 or more"),
    ],
)
def test_a_wrong_parameter_is_named(values: dict, sentence: str) -> None:
    default = params.read(ROOT / "params.yaml")["study"]
    if values.get("parts"):
        values = {"parts": [default["parts"][0] | change for change in values["parts"]]}
    with pytest.raises(TalkmeshError, match=re.escape(sentence)):
        params.section(Study, "study", values, ROOT / "params.yaml")


@pytest.mark.parametrize("name", [None, *profile.available(ROOT / "profiles")])
def test_the_default_is_the_paper_s_first_study_and_profile_second_its_second(
    name: str | None, tmp_path: Path
) -> None:
    copy = tmp_path / "params.yaml"
    copy.write_text((ROOT / "params.yaml").read_text())
    if name:
        profile.apply(name, copy, ROOT / "profiles")
    study = params.section(Study, "study", path=copy)
    pairs = [part.sentences * len(part.competitors) for part in study.parts]
    assert pairs == ([12, 8] if name == "second" else [60])


def test_the_command_builds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studied.project(tmp_path)
    with open("params.yaml", "a") as file:
        file.write(
            "study: {method: ours, seed: 1, pixels: 64, "
            "checks: {still: 1, max_wrong: 0, repeats: 1, min_consistent: 0}, "
            "parts: [{name: filmed, clips: data/clips, rig: character, predictions: predictions, sentences: 1, "
            "competitors: [pseudo], questions: [lip_sync]}]}\n"
        )
    assert cli.main(["study", "build", "--out", "mine"]) == 0
    said = capsys.readouterr().out
    assert "mine: 1 pairs, and as checks 1 with a still face and 1 repeated" in said
    assert "talkmesh study serve mine" in said
    assert cli.main(["study", "report", "mine"]) == 2
    assert "nobody answered yet" in capsys.readouterr().err
    assert cli.main(["study", "serve", "nowhere"]) == 2
    assert "make a study with `talkmesh study build`" in capsys.readouterr().err
