"""Files that are whole or absent: temporary name, then rename; hashes; JSON without surprises."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.errors import TalkmeshError

KINDS = "biufU"  # of arrays: bool, integers, floats, text
LARGE = 1 << 30  # bytes that an npz may always expand to; beyond, so many times its own size
MOST_PACKED = 200


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place, on failure it is removed.

    The temporary name keeps the suffix, so that writers which look at it still work. Folders are replaced too.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, former = (path.with_name(f".tmp{os.getpid()}{x}.{path.name}") for x in ("", "former"))
    try:
        yield temporary
        if path.is_dir() and not path.is_symlink():
            os.replace(path, former)  # a kill while it is removed must not leave half of it under its name
        os.replace(temporary, path)
    except Exception as error:
        if _is_full(error):
            raise TalkmeshError(
                f"the disk is full while writing {path}: free some space and run again"
            ) from error
        raise
    finally:
        if former.exists() and not path.exists():
            os.replace(former, path)
        for left in (temporary, former):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _is_full(error: Exception) -> bool:
    """Return whether the disk was full; NumPy and libraries written in Rust, such as safetensors, say it in words."""
    in_words = rf"\(os error {errno.ENOSPC}\)|\d+ requested and \d+ written"
    return getattr(error, "errno", None) == errno.ENOSPC or re.search(in_words, str(error)) is not None


def clear_leftovers(folder: Path) -> None:
    """Remove what runs that were killed left half-written in `folder`; nobody may be writing there meanwhile."""
    for left in folder.glob(".tmp*"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def to_json(value: Any) -> str:
    """Return `value` as sorted, indented JSON; a NaN becomes null, so that every reader can read it."""
    return json.dumps(_plain(value), indent=2, sort_keys=True, allow_nan=False)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON; see `to_json`."""
    with replacing(path) as temporary:
        temporary.write_text(to_json(value) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def read_json(path: str | Path) -> Any:
    """Read a JSON file; a missing or broken one is an error that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TalkmeshError(f"{path} not found") from None
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, no UTF-8, a number of 5000 digits
        raise TalkmeshError(f"{path} is not valid JSON: {error}") from None


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write one array so that it can be memory-mapped."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)


def write_npz(path: str | Path, **arrays: np.ndarray | str | float | int) -> None:
    """Write a compressed npz with fixed dates, so that equal arrays give equal bytes (``np.savez`` does not)."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.save(buffer, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED, 1)


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Read an npz of numbers and texts without unpickling anything; a missing or broken one is an error that names it.

    What expands to gigabytes from almost nothing is refused before it does.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            size = sum(part.file_size for part in data.zip.infolist())
            if size > max(LARGE, MOST_PACKED * Path(path).stat().st_size):
                raise ValueError(f"{Path(path).stat().st_size} bytes would become {size}")
            return {name: _plain_array(data[name], name) for name in data.files}
    except FileNotFoundError:
        raise TalkmeshError(f"{path} not found") from None
    except Exception as error:  # a broken file can fail in any way
        raise TalkmeshError(f"{path} is not a readable npz file: {_told(error)}") from None


def read_npy(path: str | Path, mapped: bool = False) -> np.ndarray:
    """Read one array of numbers, or leave it on disk; a missing or broken file is an error that names it."""
    try:
        return _plain_array(np.load(path, "r" if mapped else None, allow_pickle=False), "it")
    except FileNotFoundError:
        raise TalkmeshError(f"{path} not found") from None
    except Exception as error:
        raise TalkmeshError(f"{path} is not a readable npy file of numbers: {_told(error)}") from None


def _plain_array(value: Any, name: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in KINDS:
        raise ValueError(f"{name} holds neither numbers nor texts")
    if value.dtype.kind == "U":  # Python takes texts of any numbers, and fails when they are used
        signs = np.frombuffer(value.astype(value.dtype.newbyteorder("=")).tobytes(), np.uint32)
        if signs.max(initial=0) > sys.maxunicode:
            raise ValueError(f"{name} holds what are no characters")
    return value


def _told(error: Exception) -> str:
    return f"{error}" or type(error).__name__


def content_hash(*parts: Any) -> str:
    """Hash of file contents (for `Path` parts), bytes, arrays and plain values: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with open(part, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        elif isinstance(part, bytes):
            digest.update(part)
        elif isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(_plain(part), sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def link_file(source: Path, target: Path) -> None:
    """Make the file `target` of `source`: a hard link where the disk allows, else a copy."""
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def link_folder(source: Path, target: Path) -> None:
    """Make the folder `target` with the files of `source`, linked."""
    with replacing(target) as temporary:
        temporary.mkdir()
        for file in sorted(source.iterdir()):
            link_file(file, temporary / file.name)
