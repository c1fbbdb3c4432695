"""The kinds of files that a motion is written as, by their suffixes. Nothing heavy is imported: a command reads it."""

from __future__ import annotations

from pathlib import Path

from talkmesh.errors import TalkmeshError

KINDS = {".mp4": "mp4", ".glb": "glb", ".csv": "csv", ".npz": "npz", "": "obj"} | dict.fromkeys(
    (".usdc", ".usda", ".usd"), "usd"
)
SUFFIXES = {"usd": ".usdc", "obj": ""} | {
    suffix[1:]: suffix for suffix in KINDS if suffix not in ("", ".usd")
}


def kind_of(path: str | Path) -> str:
    """Return what is written at `path`: its suffix says it; without one it is a folder of OBJ files.

    Raises
    ------
    TalkmeshError
        If the suffix is unknown.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in KINDS:
        raise TalkmeshError(
            f"{path}: unknown kind of output '{suffix}'; known are {', '.join(k for k in KINDS if k)}, and a folder/ "
            "for OBJ files"
        )
    return KINDS[suffix.lower()]
