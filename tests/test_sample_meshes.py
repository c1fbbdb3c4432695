"""The corpus of speech and meshes: who speaks, what lies where, no sentence in both splits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkmesh import contracts, synthetic
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json
from talkmesh.params import section
from talkmesh.rig import read_rig
from talkmesh.sample import sentences
from talkmesh.sample.corpus import Meshes, SampleConfig
from talkmesh.sample.meshes import people, write_meshes
from talkmesh.sample.performance import ARKIT
from talkmesh.sample.voice import Timbre, Voice, another

CONFIG = replace(
    section(SampleConfig, "sample", path=Path(__file__).parents[1] / "params.yaml"),
    workers=1,
    meshes=Meshes(2, 2, 1, "anny"),
)


def wanting(**values):
    return replace(CONFIG, meshes=replace(CONFIG.meshes, **values))


def test_nobody_says_a_test_sentence_in_training():
    some = people(wanting(speakers=12, train=40, test=20))
    train = {text for p in some for name, text in p.texts.items() if name.startswith("s")}
    test = {text for p in some for name, text in p.texts.items() if name.startswith("t")}
    assert not train & test
    assert test == set(sentences.TEST)
    assert len(train) > 100  # each makes a choice of his or her own
    assert all(len(p.texts) == 60 for p in some)
    known = {}
    for person in some:
        for name, text in person.texts.items():
            assert known.setdefault(name, text) == text  # a name is a sentence, whoever says it


def test_speakers_differ_and_more_of_them_begin_with_the_same():
    some = people(wanting(speakers=12))
    assert people(wanting(speakers=5)) == some[:5]
    assert (
        len({p.name for p in some}) == len({p.identity for p in some}) == len({p.timbre for p in some}) == 12
    )
    assert people(replace(wanting(speakers=5), seed=8))[0].identity != some[0].identity
    men = [p for p in some if p.identity.gender > 0.5]
    women = [p for p in some if p.identity.gender <= 0.5]
    assert len(men) == len(women) == 6
    assert max(p.timbre.pitch for p in men) < min(p.timbre.pitch for p in women)
    assert np.mean([p.timbre.tract for p in men]) > np.mean([p.timbre.tract for p in women]) + 0.05


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"train": 129}, "sample.meshes.train must be 0 to 128; got 129"),
        ({"test": 21}, "sample.meshes.test must be 0 to 20"),
        ({"speakers": 0}, "sample.meshes.speakers must be 1 or more"),
        ({"topology": "nowhere"}, r"there is no module talkmesh\.rig\.nowhere"),
        ({"topology": "units"}, r"talkmesh\.rig\.units makes no heads"),
        ({"topology": "../anny"}, "there is no module"),
    ],
)
def test_what_cannot_be_made_says_why(values, sentence, tmp_path):
    for package in ("anny", "hibari", "onnx"):
        pytest.importorskip(package)
    with pytest.raises(TalkmeshError, match=sentence):
        write_meshes(wanting(**values), tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_voice_is_as_loud_and_changes_pitch_and_resonances():
    pytest.importorskip("hibari")
    voice = Voice()
    own = voice("Move over.", 1)
    low = voice("Move over.", 1, Timbre(pitch=0.5))
    assert len(low.sound) == len(own.sound)
    assert low.phones == own.phones
    rms = [np.sqrt((s.sound**2).mean()) for s in (own, low)]
    assert 0.6 < rms[1] / rms[0] < 1.6
    np.testing.assert_array_equal(voice("Move over.", 1, Timbre(pitch=0.5)).sound, low.sound)
    flat = tuple(np.zeros((601, 3), np.float32) for _ in range(5))
    hill = np.exp(-(((np.arange(601) - 300) / 20) ** 2)).astype(np.float32)[:, None].repeat(3, 1)
    parts = (hill, flat[1], hill, hill, flat[4], np.full(3, 100, np.float32))
    moved = another(parts, Timbre(pitch=1.0, tract=1.2))
    assert [int(m[:, 0].argmax()) for m in (moved[0], moved[2], moved[3])] == pytest.approx([250] * 3, abs=3)
    np.testing.assert_allclose(another(parts, Timbre(pitch=0.6))[5], 60)


def test_files_of_the_corpus(tmp_path):
    for package in ("anny", "hibari", "onnx"):
        pytest.importorskip(package)
    folder = write_meshes(CONFIG, tmp_path)
    assert folder == tmp_path / "data/raw/voices"
    assert (folder / "test.txt").read_text() == "t001\n"
    assert "were made by talkmesh sample" in synthetic.note(folder)
    rigs = []
    for person in people(CONFIG):
        rigs.append(read_rig(folder / person.name / "rig.npz"))
        assert {f.stem for f in (folder / person.name).glob("*.flac")} == set(person.texts)
        for name in person.texts:
            truth = contracts.read_ground_truth(
                tmp_path / f"data/ground_truth/voices/{person.name}/{name}.npz"
            )
            sound, rate = soundfile.read(folder / person.name / f"{name}.flac")
            assert truth.names == ARKIT
            assert len(sound) / rate == pytest.approx(len(truth) / CONFIG.fps)
            assert truth.rig_hash == rigs[-1].hash
            assert truth.on(rigs[-1]).shape == (len(truth), *rigs[-1].neutral.shape)
            assert np.abs(sound).max() > 0.05
    np.testing.assert_array_equal(rigs[0].faces, rigs[1].faces)  # one topology
    assert np.linalg.norm(rigs[0].neutral - rigs[1].neutral, axis=1).mean() > 1  # mm, two people
    assert set(read_json(folder / "speakers.json")) == {p.name for p in people(CONFIG)}

    before = {str(p): p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()}
    lost = folder / people(CONFIG)[1].name / "t001.flac"
    lost.unlink()
    write_meshes(CONFIG, tmp_path)
    assert {str(p): p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()} == before
    write_meshes(wanting(speakers=1), tmp_path)
    assert not list((folder / people(CONFIG)[1].name).iterdir())  # who is no longer wanted leaves
