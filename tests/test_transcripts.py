"""Transcripts beside recordings: every form gives the same spans; broken ones are named with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from talkmesh.errors import TalkmeshError
from talkmesh.sentences import Span
from talkmesh.transcripts import find_transcript, read_transcript

SENTENCES = [Span(0.5, 1.25, "Good morning.", True), Span(1.5, 3.75, "I say, “good” morning", True)]
TEXTS = {
    "a.srt": "1\r\n00:00:00,500 --> 00:00:01,250\r\n<i>Good</i>\r\nmorning.\r\n\r\n"
    "2\r\n00:00:01,500 --> 00:00:03,750\r\n{\\an8}I say, “good” morning\r\n",
    "a.vtt": "WEBVTT\n\nNOTE nothing\n\nfirst\n00:00.500 --> 00:01.250 align:start\n<v Ann>Good morning.\n\n"
    "00:00:01.500 --> 00:00:03.750\nI say, “good” morning",
    "a.csv": 'start,end,text\n0.5,1.25,Good morning.\n1.5,3.75,"I say, “good” morning"\n',
    "b.csv": "text;end;start\nGood morning.;1.25;0.5\nI say, “good” morning;3.75;1.5\n",
    "a.txt": "0.500000\t1.250000\tGood morning.\n\\\t100\t200\n1.500000\t3.750000\tI say, “good” morning\n",
}
LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 3
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 3
            text = "x"
    item [2]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 3
        intervals: size = 11
""" + "".join(
    f'        intervals [{k + 1}]:\n            xmin = {a}\n            xmax = {b}\n            text = "{text}"\n'
    for k, (a, b, text) in enumerate(
        [(0, 0.5, ""), (0.5, 1.25, 'say ""bin""'), (1.25, 1.5, "sil")]
        + [(1.5 + k / 10, 1.6 + k / 10, "7") for k in range(8)]
    )
)
SHORT_GRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n3\n<exists>\n1\n"IntervalTier"\n"ORT"\n0\n3\n2\n'
    '0\n0.5\n""\n0.5\n1.25\n"bin."\n'
)


@pytest.mark.parametrize("name", TEXTS)
def test_sentences_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TEXTS[name], encoding="utf-8", newline="")
    found = find_transcript(tmp_path / name.replace(name[1:], ".mp4"))
    assert found == tmp_path / name
    assert read_transcript(found) == SENTENCES


def test_words_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.align").write_text("0 12500 sil\n12500 31250 bin\n31250 37500 sp\n37500 50000 blue\n")
    words = [Span(0.5, 1.25, "bin"), Span(1.5, 2.0, "blue")]
    assert read_transcript(tmp_path / "a.align") == words
    (tmp_path / "b.lab").write_text("0 5000000 sil\n5000000 12500000 bin\n15000000 20000000 blue\n")
    assert read_transcript(tmp_path / "b.lab") == words
    (tmp_path / "c.lab").write_text("0.0 0.5 sil\n0.5 1.25 bin\n1.5 2.0 blue\n")
    assert read_transcript(tmp_path / "c.lab") == words


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_textgrids_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.TextGrid").write_text(LONG_GRID, encoding=encoding)
    first, *rest = read_transcript(tmp_path / "a.TextGrid")
    assert first == Span(0.5, 1.25, 'say "bin"', True)
    assert [s.text for s in rest] == ["7"] * 8
    assert rest[-1].end_s == pytest.approx(2.3)
    (tmp_path / "b.TextGrid").write_text(SHORT_GRID, encoding=encoding)
    assert read_transcript(tmp_path / "b.TextGrid") == [Span(0.5, 1.25, "bin.", True)]
    assert find_transcript(tmp_path / "b.mov") == tmp_path / "b.TextGrid"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "just what was said, without times\n"),
        ("a.lab", "WHAT WAS SAID\n"),
        ("a.csv", "time,jawOpen,mouthClose\n0.0,0.1,0.2\n"),
        ("a.csv", "0.0,0.1,0.2\n"),
        ("a.json", "{}"),
        ("b.srt", "1\n00:00:00,500 --> 00:00:01,250\nof another\n"),
    ],
)
def test_what_says_no_times_is_no_transcript(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert find_transcript(tmp_path / "a.mp4") is None


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.srt", "1\n00:00:00,500 -> 00:00:01,250\nno arrow\n", "no line"),
        ("a.srt", "1\n00:00:00,500 --> soon\nx\n", "line 2"),
        ("a.align", "0 100 sil\n100 bin\n", "line 2"),
        ("a.csv", "0.5,1.0,one\n1.0\n", "line 2"),
        ("a.txt", "1.5 0.5 back\n", "begins at 1.5"),
        ("a.TextGrid", LONG_GRID[: len(LONG_GRID) // 2], "TextGrid"),
        ("a.TextGrid", "nothing", "no interval tier"),
        ("a.vtt", b"\xff\x00\x88", "UTF-8"),
    ],
)
def test_broken_ones_are_named(tmp_path: Path, name: str, text: str | bytes, says: str) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TalkmeshError, match=says) as caught:
        read_transcript(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
