"""Whether the files of DVC's cache are what their names say: ``python -m flows.cache``.

DVC trusts them: a file that a bad disk has changed would be handed out in silence. Here each is hashed again; what is
damaged is removed, and the next ``dvc repro`` makes it anew, or ``dvc pull`` fetches it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

BLOCK = 1 << 20  # bytes read at a time


def check(root: str | Path = ".") -> list[Path]:
    """Remove damaged files from the cache of the project in `root`, and return them.

    DVC's memory of hashes goes with them: it believes that what it has handed out is whole.
    """
    from dvc.repo import Repo

    with Repo(os.fspath(root)) as repo, repo.lock:
        folder = Path(repo.cache.local.path)
        files = sorted(path for path in folder.glob("[0-9a-f][0-9a-f]/*") if path.is_file())
        damaged = [path for path in files if _md5(path) != path.parent.name + path.name.removesuffix(".dir")]
        for path in damaged:
            path.unlink()
        if damaged:
            repo.state.hashes.clear()
    return damaged


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def main() -> int:
    """Print what was damaged; return 1 if anything was."""
    damaged = check()
    for path in damaged:
        print(f"damaged, removed: {path}")
    print("run `dvc repro`, or `dvc pull`" if damaged else "every file of the cache is whole")
    return 1 if damaged else 0


if __name__ == "__main__":
    sys.exit(main())
