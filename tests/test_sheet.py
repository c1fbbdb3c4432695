"""The sheet of `talkmesh gallery`, from small models and a made-up project."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

import tiny_project
from models_on_disk import sound, talking_bundle
from talkmesh import cli, sheet
from talkmesh.bundle import load
from talkmesh.contracts import Track
from talkmesh.errors import TalkmeshError
from talkmesh.rig import write_rig


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        rig = tiny_project.make(root)
    (root / "models/bundles").mkdir(parents=True)
    talking_bundle(root / "made", rig).rename(root / "models/bundles/ours")
    return root


def test_a_sheet_of_the_test_clips(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    rigs = ["models/rigs/character.npz"] * 2
    assert cli.main(["gallery", "--sentences", "2", "--characters", *rigs]) == 0
    assert capsys.readouterr().out.split() == ["preview/gallery/sheet.png", "preview/gallery/sheet.mp4"]
    picture = np.asarray(Image.open("preview/gallery/sheet.png").convert("RGB")).astype(int)
    block = 3 * (sheet.FACE + sheet.GAP) - sheet.GAP
    assert picture.shape[1] == 2 * (block + sheet.BETWEEN) + sheet.BETWEEN
    top = 2 * sheet.LABEL + sheet.LABEL
    left, right = (
        picture[top : top + sheet.FACE, x : x + block] for x in (sheet.BETWEEN, 2 * sheet.BETWEEN + block)
    )
    np.testing.assert_array_equal(left, right)  # the same rig says the same
    first, last = left[:, : sheet.FACE], left[:, -sheet.FACE :]
    assert np.abs(first - last).max() > 50, "moments differ"
    with av.open("preview/gallery/sheet.mp4") as file:
        (video,), (audio,) = file.streams.video, file.streams.audio
        frames = sum(1 for _ in file.decode(video))
        assert video.width == 2 * (sheet.VIDEO_FACE + 4) - 4
    with av.open("preview/gallery/sheet.mp4") as file:
        heard = np.concatenate([f.to_ndarray().ravel() for f in file.decode(file.streams.audio[0])])
    assert frames == 2 * tiny_project.FRAMES
    assert abs(len(heard) / audio.rate - frames / tiny_project.FPS) < 0.1


def test_sentences_are_spread_over_what_there_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    track = Track("cg", "character", "data/clips")
    assert [line.name for line in sheet.project_lines(track, 10)] == ["talk_a", "talk_b", "talk_c"]
    assert [line.name for line in sheet.project_lines(track, 2)] == ["talk_a", "talk_c"]
    assert all(line.sound.is_file() for line in sheet.project_lines(track, 10))


def test_sounds_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(TalkmeshError, match="holds no sounds"):
        sheet.lines_in(tmp_path, 3)
    for name in ("b.wav", "a.flac"):
        soundfile.write(tmp_path / name, sound(0.5), 16_000)
    (tmp_path / "notes.txt").touch()
    assert [line.name for line in sheet.lines_in(tmp_path, 3)] == ["a", "b"]


def test_too_few_rigs_are_joined_by_people_made_up(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whom is left to `talkmesh.rig.source`: heads of the package are slow, and have tests of their own."""
    bundle, asked = load(project / "models/bundles/ours"), []

    def person(source: object, name: str) -> object:
        asked.append((source.person, name))  # type: ignore[attr-defined]
        return bundle.rig

    monkeypatch.setattr(sheet, "load", person)
    cast = sheet.actors(bundle, [], project / "models/rigs")
    assert [actor.name for actor in cast] == ["character", "person 12", "person 5"]
    assert asked == [(12, "person_12"), (5, "person_5")]
    asked.clear()
    named = [project / "models/rigs/character.npz"]
    assert [actor.name for actor in sheet.actors(bundle, named)] == ["character"]
    assert asked == []


def test_texts_and_names_stand_on_the_sheet() -> None:
    rows = [np.full((2, 3, 8, 8, 3), 90 * (k + 1), np.uint8) for k in range(2)]
    made = sheet.laid_out(rows, ["one", "two"], ["a sentence", "another"])
    bare = sheet.laid_out(rows, ["", ""], ["", ""])
    assert made.shape == bare.shape
    assert (made != bare).any()
    assert ((bare == 90).all(2).sum(), (bare == 180).all(2).sum()) == (2 * 3 * 64, 2 * 3 * 64)
    short = sheet.laid_out([rows[0], rows[1][:, :2]], ["one", "two"], ["a", "b"])
    assert short.shape == made.shape, "a still sentence has fewer moments"


def test_moments_are_the_widest_mouths_of_the_parts_of_a_sentence() -> None:
    opening = np.array([0, 3, 1, 0, 0, 5, 0, 2, 9])
    assert sheet.moments(opening, 3).tolist() == [1, 5, 8]
    assert sheet.moments(opening[:2], 3).tolist() == [0, 1]


def test_rigs_from_files(project: Path, tmp_path: Path) -> None:
    bundle = load(project / "models/bundles/ours")
    write_rig(tmp_path / "same.npz", bundle.rig)
    (actor,) = sheet.actors(bundle, [tmp_path / "same.npz"])
    assert (actor.name, actor.reach) == ("same", None)
    with pytest.raises(TalkmeshError, match="not found"):
        sheet.actors(bundle, [tmp_path / "absent.npz"])
