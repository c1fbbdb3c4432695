"""Sound of a corpus that no model learns from becomes clips: which, how long, with what truth, and what is dropped."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkmesh import contracts, synthetic
from talkmesh.contracts import GroundTruth
from talkmesh.errors import TalkmeshError
from talkmesh.unseen import Unseen, read_unseen

ALL = Unseen((), (), "test.txt")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two speakers, two sentences each at 24 kHz; truth of one sentence in each of the two places."""
    for speaker in ("ann", "bob"):
        for sentence, seconds in (("s1", 1.0), ("s2", 1.52)):
            path = tmp_path / "raw/voices" / speaker / f"{sentence}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * np.sin(np.arange(int(24_000 * seconds)) / 9), 24_000)
    (tmp_path / "raw/voices/ann/rig.npz").write_bytes(b"no sound")
    weights = np.linspace(0, 1, 31, dtype=np.float32)[:, None]
    for name in ("ann/s1", "s2"):
        contracts.write_ground_truth(
            tmp_path / f"truth/voices/{name}.npz", GroundTruth(30.0, weights * 2, ("jawOpen",))
        )
    return tmp_path


def read(root: Path, how: Unseen) -> list[str]:
    table = read_unseen("voices", how, 25.0, root / "raw", root / "truth", root / "out")
    return list(table["clip"][table["dropped_why"] == ""])


def test_every_sound_is_a_test_clip_of_whole_frames(corpus) -> None:
    read_unseen("voices", ALL, 25.0, corpus / "raw", corpus / "truth", corpus / "out")
    table = contracts.read_clips(corpus / "out", "test")
    assert list(table["clip"]) == ["ann-s1", "bob-s1"]  # the truth of s2 is half a second too short
    assert list(table["frames"]) == [25, 25]
    dropped = contracts.read_clips(corpus / "out", kept=False)["dropped_why"]
    assert sum("ground truth ends" in why for why in dropped) == 2
    samples, rate = soundfile.read(contracts.clip_audio("ann-s1", corpus / "out"))
    assert (len(samples), rate) == (16_000, 16_000)
    truth = contracts.read_ground_truth(corpus / "out/ann-s1/ground_truth.npz")
    assert truth.weights is not None
    np.testing.assert_allclose(
        truth.weights[:, 0], np.arange(25) / 25 * 2, atol=1e-5
    )  # at 25 frames a second
    assert not (corpus / "out/bob-s1/ground_truth.npz").exists()


def test_made_voices_stay_marked_as_such(corpus) -> None:
    read(corpus, ALL)
    assert synthetic.note(corpus / "out") == ""
    synthetic.mark(corpus / "raw/voices", "Nobody real speaks.")
    read(corpus, ALL)
    assert synthetic.note(corpus / "out") == "Nobody real speaks."


def test_speakers_and_lists_choose(corpus) -> None:
    assert read(corpus, Unseen((), ("bob",), "test.txt")) == ["bob-s1"]
    (corpus / "raw/voices/test.txt").write_text("s1\n")
    assert read(corpus, ALL) == ["ann-s1", "bob-s1"]


def test_nothing_to_hear_is_an_error(corpus) -> None:
    with pytest.raises(TalkmeshError, match="holds no sound"):
        read(corpus, Unseen((), ("nobody",), "test.txt"))
    for path in (corpus / "raw/voices").glob("*/*.wav"):
        path.write_text("no sound")
    with pytest.raises(TalkmeshError, match=r"holds no sound.*the first: .*s1\.wav"):
        read(corpus, ALL)
