"""Who is tested on what."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkmesh.errors import TalkmeshError
from talkmesh.splits import split

NOWHERE = Path("nowhere")


def clips(recordings: dict[str, int]) -> pd.DataFrame:
    """`recordings`: speaker/stem to number of clips."""
    rows = [(f"{r}-{n}", Path(r).name, n) for r, count in recordings.items() for n in range(count)]
    return pd.DataFrame(rows, columns=["clip", "stem", "number"])


@settings(deadline=None)
@given(st.integers(3, 60), st.integers(0, 5), st.integers(0, 5), st.integers(0, 99))
def test_counts_are_met_exactly_where_sentences_are_single(
    number: int, test: int, val: int, seed: int
) -> None:
    table = clips({f"a/s{i}": 1 for i in range(number)})
    if test + val >= number:
        with pytest.raises(TalkmeshError, match="none is left for training"):
            split(table, test, val, seed, NOWHERE)
        return
    counts = split(table, test, val, seed, NOWHERE).value_counts().to_dict()
    assert (counts.get("test", 0), counts.get("val", 0)) == (test, val)


def test_the_seed_decides_and_order_does_not() -> None:
    table = clips({f"a/s{i}": 1 for i in range(40)})
    first = split(table, 10, 5, 7, NOWHERE)
    shuffled = table.sample(frac=1, random_state=0)
    assert split(shuffled, 10, 5, 7, NOWHERE).sort_index().tolist() == first.tolist()
    assert split(table, 10, 5, 8, NOWHERE).tolist() != first.tolist()


def test_a_new_recording_moves_at_most_one_clip_between_splits() -> None:
    before = clips({f"a/s{i}": 1 for i in range(40)})
    after = clips({f"a/s{i}": 1 for i in range(41)})
    old = split(before, 10, 0, 7, NOWHERE).to_numpy()
    new = split(after, 10, 0, 7, NOWHERE).to_numpy()[:40]
    assert (old != new).sum() <= 1


def test_a_sentence_of_several_speakers_is_in_one_split() -> None:
    table = clips({f"{speaker}/s{i}": 2 for i in range(10) for speaker in "abc"})
    chosen = split(table, 0.3, 0.2, 7, NOWHERE)
    assert set(chosen) == {"train", "val", "test"}
    assert (chosen.groupby([table["stem"], table["number"]]).nunique() == 1).all()


def test_fractions() -> None:
    table = clips({f"a/s{i}": 1 for i in range(50)})
    assert split(table, 0.2, 0.1, 7, NOWHERE).value_counts().to_dict() == {"train": 35, "test": 10, "val": 5}
    for wrong in (1.0, -0.1, -1):
        with pytest.raises(TalkmeshError, match="fraction below 1"):
            split(table, wrong, 0, 7, NOWHERE)


def test_list_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = clips({"a/one": 1, "a/two.x": 1, "a/three": 2, "b/three": 1, "a/four": 1})
    (tmp_path / "test.txt").write_text("a/three.mp4\ntwo.x\n\n gone.mp4 \n")
    chosen = split(table, "test.txt", 1, 7, tmp_path)
    assert set(table["stem"][chosen == "test"]) == {"three", "two.x"}
    assert (chosen == "test").sum() == 4
    assert (chosen == "val").sum() == 1
    assert "gone" in caplog.text
    with pytest.raises(TalkmeshError, match=r"other\.txt not found"):
        split(table, "other.txt", 1, 7, tmp_path)
    (tmp_path / "wrong.txt").write_text("nothing\nhere\n")
    with pytest.raises(TalkmeshError, match="lists no recording"):
        split(table, "wrong.txt", 1, 7, tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(TalkmeshError, match=r"latin\.txt is no text in UTF-8"):
        split(table, "latin.txt", 1, 7, tmp_path)
