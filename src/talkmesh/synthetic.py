"""Corpora that a program made say so, in a file that goes with their clips as far as the report."""

from __future__ import annotations

from pathlib import Path

from talkmesh.files import replacing

FILE = "synthetic.txt"  # in data/raw/<corpus>/ and beside its clips; one sentence: what is synthetic


def mark(folder: Path, what: str) -> None:
    """Write the marker of a made corpus into `folder`."""
    with replacing(folder / FILE) as temporary:
        temporary.write_text(f"{what}\n", encoding="utf-8")


def note(folder: Path) -> str:
    """Return what is synthetic about the corpus or the clips in `folder`; nothing if they were filmed."""
    path = folder / FILE
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def hand_on(corpus: Path, clips: Path) -> None:
    """Mark the clips of a corpus as the corpus is marked, if it is."""
    if what := note(corpus):
        mark(clips, what)
