"""A made corpus says so as far as the report; a filmed one says nothing."""

from pathlib import Path

from talkmesh import synthetic


def test_the_marker_goes_with_the_clips(tmp_path: Path) -> None:
    corpus, clips = tmp_path / "raw", tmp_path / "clips"
    synthetic.mark(corpus, "The face was rendered.")
    synthetic.hand_on(corpus, clips)
    assert synthetic.note(clips) == "The face was rendered."


def test_without_a_marker_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    synthetic.hand_on(tmp_path / "raw", tmp_path / "clips")
    assert synthetic.note(tmp_path / "clips") == ""
    assert list((tmp_path / "clips").iterdir()) == []
