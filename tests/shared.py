"""Data that is not in the repository: a folder `shared` beside it, or where TALKMESH_SHARED says."""

import os
from pathlib import Path

import pytest


def shared(path: str) -> Path:
    """Return a path of the shared data; skip the test where it is absent."""
    root = Path(os.environ.get("TALKMESH_SHARED", Path(__file__).parents[2] / "shared"))
    if not (root / path).exists():
        pytest.skip(f"{path} is not in the shared data ({root}); TALKMESH_SHARED names another folder")
    return root / path
