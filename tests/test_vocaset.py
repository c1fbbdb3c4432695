"""VOCASET's layout, built tiny: what is read, at which rate, which split, and what is refused."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import flame_file
from rigs import tiny_rig
from talkmesh import contracts, unseen, vocaset
from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig, imported, read_rig

PEOPLE = vocaset.SUBJECTS[:3]
LENGTH = 61  # frames of a sentence: a second and one frame
SOUND_RATE = 22_000


def motion(subject: str, sentence: int, times: np.ndarray) -> np.ndarray:
    """The vertices (T, 60, 3) in metres: a template that sways along x, straight within a second."""
    sway = (1 + sentence) * 1e-3 * times[:, None, None] * np.array([1, 0, 0])
    return template(subject) + sway


def template(subject: str) -> np.ndarray:
    return tiny_rig().neutral.astype(np.float64) / 1000 * (1.01 + 0.01 * PEOPLE.index(subject))


def tone(sentence: int, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * (300 + 10 * sentence) * np.arange(round(LENGTH / 60 * rate)) / rate)


def same_sound(got: np.ndarray, want: np.ndarray) -> None:
    assert abs(len(got) - len(want)) <= 1
    inner = slice(500, min(len(got), len(want)) - 500)  # filters ring at the ends
    np.testing.assert_allclose(got[inner], want[inner], atol=0.01)


def build(folder: Path, sentences: int = 6, shuffled: bool = True) -> Path:
    """Write the folder: sentences lie in the array in no order, and frames of one are not always neighbours."""
    folder.mkdir(parents=True, exist_ok=True)
    total = len(PEOPLE) * sentences * LENGTH
    places = np.random.default_rng(0).permutation(total) if shuffled else np.arange(total)
    vertices = np.zeros((total, 60, 3), np.float32)
    index: dict = {}
    sounds: dict = {}
    row = iter(places.tolist())
    for subject in PEOPLE:
        for number in range(sentences):
            name = f"sentence{number + 1:02d}"
            ids = [next(row) for _ in range(LENGTH)]
            vertices[ids] = motion(subject, number, np.arange(LENGTH) / 60)
            index.setdefault(subject, {})[name] = dict(enumerate(ids))
            audio = np.round(tone(number, SOUND_RATE) * 32767).astype(np.int16)
            sounds.setdefault(subject, {})[name] = {"audio": audio, "sample_rate": SOUND_RATE}
    np.save(folder / "data_verts.npy", vertices)
    templates = {s: template(s) for s in PEOPLE}
    for name, value in {"subj_seq_to_idx": index, "templates": templates, "raw_audio_fixed": sounds}.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value, 2))
    return folder


def rig_of(subject: str, neutral: np.ndarray) -> Rig:
    return replace(tiny_rig(subject), neutral=(neutral * 1000).astype(np.float32))


def test_twelve_subjects():
    assert len(set(vocaset.SUBJECTS)) == 12
    assert all(s.startswith("FaceTalk_") and s.endswith("_TA") for s in vocaset.SUBJECTS)


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
def test_meshes_and_sound_at_the_rate_of_the_track(tmp_path, fps):
    data = vocaset.open_vocaset(build(tmp_path / "v"))
    assert isinstance(data.vertices, np.memmap)
    raw = vocaset.write_corpus(data, rig_of, fps, PEOPLE[0], root=tmp_path)
    for subject in PEOPLE:
        rig = read_rig(raw / subject / "rig.npz")
        np.testing.assert_allclose(rig.neutral, template(subject) * 1000, atol=1e-4)
        for number in range(6):
            name = f"{subject}_sentence{number + 1:02d}"
            truth = contracts.read_ground_truth(
                tmp_path / "data/ground_truth/vocaset" / subject / f"{name}.npz"
            )
            assert truth.fps == fps
            assert len(truth) == round(LENGTH / 60 * fps)
            times = np.minimum(np.arange(len(truth)) / fps, (LENGTH - 1) / 60)
            np.testing.assert_allclose(truth.on(rig), motion(subject, number, times) * 1000, atol=1e-3)
            assert truth.on(tiny_rig()) is None  # another face's
            sound, rate = soundfile.read(raw / subject / f"{name}.flac")
            assert rate == 16_000
            same_sound(sound, tone(number, 16_000))
    track = imported.load("npz", tmp_path / "data/rigs/vocaset.npz", imported.Reading(), "second")
    assert track.hash == read_rig(raw / PEOPLE[0] / "rig.npz").hash
    assert track.name == "second"
    table = unseen.read_unseen(
        "vocaset", unseen.Unseen(("vocaset",), (), "test.txt"), fps, tmp_path / "data/raw",
        tmp_path / "data/ground_truth", tmp_path / "clips",
    )  # fmt: skip
    assert len(table) == 4
    assert set(table["speaker"]) == {PEOPLE[0]}
    clip = contracts.read_ground_truth(tmp_path / "clips" / table["clip"][0] / "ground_truth.npz")
    assert clip.on(track) is not None
    assert (raw / "test.txt").read_text().splitlines() == [
        f"{PEOPLE[0]}/{PEOPLE[0]}_sentence{n:02d}" for n in (3, 4, 5, 6)
    ]


def test_36_and_4_of_one_speaker_and_all_of_the_others(tmp_path):
    data = vocaset.open_vocaset(build(tmp_path, sentences=40))
    parts = vocaset.split(data, PEOPLE[1])
    assert [len(parts[PEOPLE[1]][s]) for s in ("train", "test")] == [36, 4]
    assert parts[PEOPLE[1]]["test"] == ["sentence37", "sentence38", "sentence39", "sentence40"]
    for other in (PEOPLE[0], PEOPLE[2]):
        assert [len(parts[other][s]) for s in ("train", "test")] == [40, 0]
    with pytest.raises(TalkmeshError, match="nobody must have more than 4 sentences; there are FaceTalk"):
        vocaset.split(data, "nobody")


@pytest.mark.parametrize("layout", ["wav/{}_{}.wav", "audio/{}/{}.wav"])
def test_sound_from_a_folder_of_wav_files(tmp_path, layout, caplog):
    build(tmp_path / "v", sentences=5)
    (tmp_path / "v/raw_audio_fixed.pkl").unlink()
    with pytest.raises(TalkmeshError, match="has no sound: raw_audio_fixed"):
        vocaset.open_vocaset(tmp_path / "v")
    for subject in PEOPLE:
        for number in range(5 if subject != PEOPLE[2] else 4):
            path = tmp_path / "v" / layout.format(subject, f"sentence{number + 1:02d}")
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, tone(number, 22_050), 22_050)
    data = vocaset.open_vocaset(tmp_path / "v")
    raw = vocaset.write_corpus(data, rig_of, 30.0, PEOPLE[0], root=tmp_path)
    sound, _ = soundfile.read(raw / PEOPLE[1] / f"{PEOPLE[1]}_sentence02.flac")
    same_sound(sound, tone(1, 16_000))
    assert "no sound: 1 sentences, FaceTalk_170725_00137_TA_sentence05 first" in caplog.text
    assert not (raw / PEOPLE[2] / f"{PEOPLE[2]}_sentence05.flac").exists()


class Hostile:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_what_does_not_fit_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def fails(words: str, **changes) -> None:
        build(Path("v"), sentences=5)
        for name, value in changes.items():
            if name == "data_verts":
                np.save("v/data_verts.npy", value)
            else:
                Path(f"v/{name}.pkl").write_bytes(pickle.dumps(value, 2))
        with pytest.raises(TalkmeshError, match=words):
            vocaset.write_corpus(vocaset.open_vocaset(Path("v")), rig_of, 30.0, PEOPLE[0])

    with pytest.raises(TalkmeshError, match=r"nowhere/data_verts\.npy not found: give VOCASET's folder"):
        vocaset.open_vocaset(Path("nowhere"))
    fails("posix.*system.*not opened", templates={PEOPLE[0]: Hostile()})
    fails(r"must be \(frames, vertices, 3\)", data_verts=np.zeros((5, 60)))
    fails("is not a readable npy", data_verts=np.array([None]))
    fails(r"templates\.pkl has no face \(60, 3\) of FaceTalk", templates={})
    fails(r"templates\.pkl has no face", templates={p: np.zeros((9, 3)) for p in PEOPLE})
    fails("sentence01 has frames beyond", data_verts=np.zeros((100, 60, 3), np.float32))
    fails("is not VOCASET's", subj_seq_to_idx=[1, 2])
    fails("sounds by subject and sentence", raw_audio_fixed=[1, 2])
    fails("the sound of .* is broken", raw_audio_fixed={PEOPLE[0]: {"sentence01": {"audio": np.zeros(9)}}})
    build(Path("v"), sentences=5)
    small = tiny_rig()
    small = Rig(
        "small", small.neutral[:59], small.faces[:-1], small.names, small.deltas[:, :59], small.lips, small.landmarks,
        small.upper[:-1], small.colours[:59],
    )  # fmt: skip
    with pytest.raises(TalkmeshError, match="meshes of 60 vertices do not fit a rig of 59"):
        vocaset.write_corpus(vocaset.open_vocaset(Path("v")), lambda *_: small, 30.0, PEOPLE[0])
    assert not Path("pwned").exists()


def test_rigs_of_subjects_on_flame_share_lips_and_landmarks(tmp_path):
    pytest.importorskip("anny")

    from talkmesh.face_model import face_landmarker_path

    try:
        face_landmarker_path()
    except TalkmeshError:
        pytest.skip("no face landmark model")
    values = flame_file.arrays()
    model = flame_file.write(tmp_path / "flame.pkl", values)
    (tmp_path / "masks.pkl").write_bytes(pickle.dumps(flame_file.masks(), 2))
    make = vocaset.on_flame(model, tmp_path / "masks.pkl", 3)
    faces = [values["v_template"] * (s, 1, 1) for s in (1.0, 1.05)]
    one, other = (make(f"s{i}", face) for i, face in enumerate(faces))
    assert (one.name, other.name) == ("s0", "s1")
    np.testing.assert_allclose(other.neutral, faces[1] * 1000, atol=1e-4)
    for part in ("faces", "lips", "landmarks", "upper", "colours"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert one.hash != other.hash
