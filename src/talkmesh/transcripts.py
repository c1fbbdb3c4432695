"""What was said when, from a file beside the recording: words or sentences with their times."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from talkmesh.errors import TalkmeshError
from talkmesh.sentences import Span

GRID_UNITS = 25_000.0  # a second, in the .align files of the GRID corpus
HTK_UNITS = 1e7  # a second, in HTK's .lab files
SILENCE = {"", "sil", "sp", "pau", "<sil>", "<eps>", "h#", "#", "_", "(...)"}
ENDING = re.compile(r"[.!?…。\uff01\uff1f]['\"”\u2019»)]*$")
TIME = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
TIER = ("sentence", "utterance", "phrase", "segment", "word")  # of a TextGrid, the first that is there

Entry = tuple[float, float, str]


def find_transcript(recording: Path) -> Path | None:
    """Return the file beside a recording, of its name, that says when what was said; None if there is none.

    Texts and tables of another kind are none: in a .txt, .lab or .csv the first lines must be two numbers and a word.
    """
    beside = {p.suffix.lower(): p for p in sorted(recording.parent.glob("*")) if p.stem == recording.stem}
    for suffix in READERS:
        path = beside.get(suffix)
        if path and path.is_file() and (suffix not in (".txt", ".lab", ".csv") or _timed(path)):
            return path
    return None


def read_transcript(path: Path) -> list[Span]:
    """Read a transcript; silences are left out.

    Raises
    ------
    TalkmeshError
        If it cannot be read; the sentence names the line.
    """
    read, sentences = READERS[path.suffix.lower()]
    spans = []
    for start, end, text in read(path):
        if not 0 <= start <= end < math.inf:
            raise TalkmeshError(
                f"{path}: '{text}' begins at {start:g} s and ends at {end:g} s; mend it or take it away"
            )
        if text.strip().lower() not in SILENCE:
            ends = sentences or " " in text.strip() or bool(ENDING.search(text.strip()))
            spans.append(Span(start, end, text.strip(), ends))
    return sorted(spans, key=lambda s: (s.start_s, s.end_s))


def _lines(path: Path) -> list[str]:
    data = path.read_bytes()
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")  # Praat's, where a text is not ASCII
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise TalkmeshError(f"{path} is not text in UTF-8; convert it or take it away") from None


def _wrong(path: Path, number: int, what: str) -> TalkmeshError:
    return TalkmeshError(f"{path}, line {number}: {what}; mend it or take the file away")


def _timed(path: Path) -> bool:
    """Say whether a file's first lines (one may be a heading) are two numbers and a word."""
    try:
        lines = [line for line in _lines(path) if line.strip() and not line.startswith("#")][:2]
    except TalkmeshError:
        return False
    if lines and {"start", "end", "text"} <= set(re.split(r"[\s,;]+", lines[0].strip().lower())):
        return True
    return any(re.match(r'["\s]*[\d.]+["\s,;]+[\d.]+["\s,;].*[^\W\d_]', line) for line in lines)


def _columns(path: Path, unit: Callable[[str], float]) -> Iterator[Entry]:
    """Start, end and text in columns; backslash lines are Audacity's frequencies."""
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.startswith(("\\", "#")):
            continue
        parts = line.split(None, 2)
        try:
            start, end = (float(p) / unit(p) for p in parts[:2])
        except ValueError:
            raise _wrong(path, number, "is not 'start end text'") from None
        yield start, end, parts[2] if len(parts) > 2 else ""


def _align(path: Path) -> Iterator[Entry]:
    return _columns(path, lambda _: GRID_UNITS)


def _lab(path: Path) -> Iterator[Entry]:
    return _columns(path, lambda text: 1.0 if "." in text else HTK_UNITS)


def _audacity(path: Path) -> Iterator[Entry]:
    return _columns(path, lambda _: 1.0)


def _csv(path: Path) -> Iterator[Entry]:
    """Columns start, end, text in seconds; a heading may name them in another order."""
    lines = _lines(path)
    rows = csv.reader(lines, delimiter=";" if lines and ";" in lines[0] and "," not in lines[0] else ",")
    order = [0, 1, 2]
    number = 0
    try:
        for number, row in enumerate(rows, 1):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if number == 1 and {"start", "end", "text"} <= {c.lower() for c in cells}:
                order = [[c.lower() for c in cells].index(name) for name in ("start", "end", "text")]
                continue
            start, end, text = (cells[k] for k in order)
            yield float(start), float(end), text
    except (ValueError, IndexError, csv.Error):
        raise _wrong(path, number, "is not 'start,end,text'") from None


def _seconds(match: re.Match[str]) -> float:
    hours, minutes, seconds, fraction = match.groups()
    return float(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _captions(path: Path) -> Iterator[Entry]:
    """Cues of SubRip and WebVTT: a line with two times, then text up to an empty line; tags are taken out."""
    times: tuple[float, float] | None = None
    text: list[str] = []
    found = False
    for number, line in enumerate([*_lines(path), ""], 1):
        if "-->" in line:
            both = [TIME.match(part.strip()) for part in line.split("-->")]
            if len(both) != 2 or both[0] is None or both[1] is None:
                raise _wrong(path, number, "is not 'time --> time'")
            times, found = (_seconds(both[0]), _seconds(both[1])), True
        elif line.strip() and times:
            text.append(re.sub(r"<[^<>]*>|\{\\[^{}]*\}", "", line).strip())
        elif not line.strip():
            if times:
                yield *times, " ".join(text)
            times, text = None, []
    if not found:
        raise TalkmeshError(f"{path} has no line 'time --> time'; mend it or take it away")


def _textgrid(path: Path) -> Iterator[Entry]:
    """One interval tier of a Praat TextGrid, long or short form: of sentences if there is one, else of words."""
    text = "\n".join(_lines(path))
    # both forms are the same numbers and "texts" in the same order; the long one has names before them
    tokens = [
        (quoted.replace('""', '"'), True)
        if quoted is not None and match.group(0)[0] == '"'
        else (number, False)
        for match in re.finditer(
            r'"((?:[^"]|"")*)"|(?<![\w\[.])(-?\d+(?:\.\d+)?(?:[eE]-?\d+)?)(?![\w\]])', text
        )
        for quoted, number in [match.groups()]
    ]
    tiers: dict[str, list[Entry]] = {}
    at = 0
    try:
        while at < len(tokens):
            if tokens[at] != ("IntervalTier", True):
                at += 1
                continue
            name, count = tokens[at + 1][0], int(tokens[at + 4][0])
            if count < 0:
                raise ValueError("fewer than no intervals")
            cells = [tokens[k][0] for k in range(at + 5, at + 5 + 3 * count)]
            tiers[name] = [
                (float(a), float(b), c) for a, b, c in zip(cells[::3], cells[1::3], cells[2::3], strict=True)
            ]
            at += 5 + 3 * count
    except (ValueError, IndexError):
        raise TalkmeshError(f"{path} is not a TextGrid that can be read; mend it or take it away") from None
    if not tiers:
        raise TalkmeshError(f"{path} has no interval tier; mend it or take it away")
    best = next((n for kind in TIER for n in tiers if kind in n.lower()), next(iter(tiers)))
    yield from tiers[best]


# By suffix, the first that is there: how it is read, and whether each entry is a sentence.
READERS: dict[str, tuple[Callable[[Path], Iterator[Entry]], bool]] = {
    ".textgrid": (_textgrid, False),
    ".align": (_align, False),
    ".srt": (_captions, True),
    ".vtt": (_captions, True),
    ".csv": (_csv, True),
    ".txt": (_audacity, True),
    ".lab": (_lab, False),
}
