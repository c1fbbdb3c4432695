"""The recordings of a corpus: data/raw/<corpus>/<speaker>/<video>."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from talkmesh.errors import TalkmeshError

log = logging.getLogger(__name__)

# What people keep beside their videos; everything else in a speaker's folder is taken for a recording.
COMPANIONS = (
    *(".align", ".lab", ".srt", ".textgrid", ".txt", ".vtt"),
    *(".csv", ".dvc", ".json", ".md", ".npy", ".npz", ".pdf", ".tsv", ".yaml", ".yml"),
    *(".flac", ".mp3", ".wav", ".jpeg", ".jpg", ".png"),
)


@dataclass(frozen=True)
class Recording:
    """One raw video. name : unique among the corpus, the stem of its clips' names."""

    path: Path
    speaker: str
    name: str

    @property
    def stem(self) -> str:
        """The file name without its suffix: the sentence's name, the same for all who speak it."""
        return self.path.stem


def slug(text: str) -> str:
    """Return `text` in small letters, digits, dots, dashes and underscores: safe as a folder name."""
    return re.sub(r"[^\w.]+", "-", text.lower()).strip("-.") or "clip"


def find_recordings(folder: Path) -> list[Recording]:
    """Return the recordings in `folder`/<speaker>/, sorted by path.

    Raises
    ------
    TalkmeshError
        If there is none.
    """
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    loose = _recordings_in(entries)
    found = [path for entry in entries if entry.is_dir() for path in _recordings_in(sorted(entry.iterdir()))]
    if not found:
        lying = f" ({len(loose)} files lie beside the folders: move them into one)" if loose else ""
        raise TalkmeshError(
            f"no recording in {folder}: make a folder for each speaker, with the videos in it{lying}"
        )
    if loose:
        log.warning("left out, as they lie in no speaker's folder: %s", ", ".join(p.name for p in loose))
    taken: dict[str, int] = {}
    recordings = []
    for path in found:
        name = slug(f"{path.parent.name}-{path.stem}")
        taken[name] = taken.get(name, 0) + 1
        recordings.append(
            Recording(path, path.parent.name, name if taken[name] == 1 else f"{name}.{taken[name]}")
        )
    return recordings


def _recordings_in(paths: list[Path]) -> list[Path]:
    """Return the files that are neither hidden nor companions of recordings."""
    return [
        p for p in paths if p.is_file() and not p.name.startswith(".") and p.suffix.lower() not in COMPANIONS
    ]
