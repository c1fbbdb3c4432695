"""Changes of arrays in npy, npz and pickles; pickles that run something, zips that expand to gigabytes."""

from __future__ import annotations

import functools
import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from fuzz.blind import CANARY, FLOATS, INTEGERS, TEXTS, blind, climbing, odd
from fuzz.texts import spots_of, tree

BOMB = 64 << 20  # bytes of zeros in a piece of a zip bomb


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


def hostile(rng: Random) -> Any:
    """An object whose pickle runs something, if anybody lets it."""
    call = Call(
        *rng.choice(
            [
                (os.system, f"touch {CANARY}"),
                (eval, f"open('{CANARY}', 'w')"),
                (exec, f"open('{CANARY}', 'w')"),
            ]
        )
    )
    return rng.choice([call, {"v_template": call}, [np.zeros(3), call], np.array([call], object)])


def _doubling() -> list[Any]:
    value: list[Any] = [0]
    for _ in range(40):
        value = [value, value]
    return value


@np.errstate(all="ignore")
def array(rng: Random, value: np.ndarray) -> Any:
    """Change an array: its type, its shape, or some of its values."""
    what = rng.randrange(5)
    if what == 0:
        kind = rng.choice(["f8", ">f4", "f2", "i1", "u8", "?", "c16", "U3", "S2", "M8[s]", "V4", "O"])
        try:
            return value.astype(kind)
        except (TypeError, ValueError):
            return np.array(["x"])
    if what == 1 and value.ndim:
        turned = value.T, value[None], value.ravel(), value[..., None], value[:0], value[:1], np.zeros(())
        return rng.choice([*turned, np.zeros((0, *value.shape)), np.repeat(value[:1], 3, 0)])
    if value.dtype.kind in "fiu" and value.size:
        out = value.copy()
        for _ in range(rng.choice([1, 3, 100])):
            limits = (
                [0.0, 1.0] if out.dtype.kind == "f" else [np.iinfo(out.dtype).max, np.iinfo(out.dtype).min]
            )
            out.flat[rng.randrange(out.size)] = rng.choice(
                [*limits, *(FLOATS if out.dtype.kind == "f" else ())]
            )
        return out if what < 4 else np.full_like(value, rng.choice(out.ravel()[:50].tolist()))
    return rng.choice([np.array(rng.choice(TEXTS)), np.zeros(0), np.repeat(value.ravel()[:1], 5)])


def _npy_bytes(value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=True)
    return buffer.getvalue()


def _npy_head(rng: Random, data: bytes) -> bytes:
    """Write another header before the same numbers."""
    shapes = (
        "()",
        "(0,)",
        "(-1,)",
        "(1000000000000,)",
        "(3, 1000000000)",
        "(9223372036854775807, 2)",
        "(1,) * 9",
        "'x'",
        "(" * 300,
    )
    kinds = (
        "|O",
        "<U9",
        "<f8",
        ">i2",
        "|V16",
        "<M8[s]",
        "3,f4",
        "[('a', 'f4')]",
        "__import__('os').system('touch pwned')",
    )
    kind, shape, order = rng.choice(kinds), rng.choice(shapes), rng.choice(["True", "False", "2"])
    kind = repr(kind) if rng.random() < 0.7 else kind
    head = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text = head.encode().ljust(rng.choice([len(head), 118, 9000])) + b"\n"
    return (
        b"\x93NUMPY"
        + bytes([rng.choice([1, 1, 2, 3, 9]), 0])
        + struct.pack("<H", len(text) % 65536)
        + text
        + data[128:]
    )


def change_npy(rng: Random, data: bytes) -> bytes:
    if rng.random() < 0.4:
        return _npy_head(rng, data)
    return _npy_bytes(array(rng, np.load(io.BytesIO(data))))


@functools.cache
def _zeros() -> bytes:
    """Raw deflated zeros, `BOMB` bytes, to be repeated."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    return press.compress(bytes(BOMB)) + press.flush(zlib.Z_FULL_FLUSH)


def bomb(pieces: int = 64, name: str = "neutral.npy") -> bytes:
    """A zip with one npy of `pieces` times 64 MiB of zeros in some tens of kilobytes each; its checksum is wrong."""
    head = _npy_bytes(np.zeros(0, np.uint8)).replace(b"(0,)", b"(%d,)" % (pieces * BOMB)).ljust(128)
    head = (
        b"\x93NUMPY\x01\0v\0"
        + (b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % (pieces * BOMB)).ljust(117)
        + b"\n"
    )
    first = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = first.compress(head) + first.flush(zlib.Z_FULL_FLUSH) + _zeros() * pieces + b"\x03\x00"
    size = len(head) + pieces * BOMB
    sizes = struct.pack("<III", 0, len(packed), min(size, 2**32 - 1))
    local = (
        b"PK\3\4"
        + struct.pack("<HHHHH", 20, 0, 8, 0, 33)
        + sizes
        + struct.pack("<HH", len(name), 0)
        + name.encode()
    )
    entry = b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 33) + sizes
    entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name.encode()
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local) + len(packed), 0)
    return local + packed + entry + end


def change_npz(rng: Random, data: bytes) -> bytes:
    """Change, drop, add or rename an array of an npz, or how it is packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(parts))
    what = rng.randrange(10)
    if what <= 4:
        parts[name] = change_npy(rng, parts[name])
    elif what == 5:
        del parts[name]
    elif what == 6:
        parts[rng.choice([climbing(rng), name.upper(), "", "x.txt"])] = parts.pop(name)
    elif what == 7:
        parts[name] = rng.choice(
            [_npy_bytes(np.array([hostile(rng)], object)), pickle.dumps(hostile(rng)), b""]
        )
    elif what == 8:
        parts[name] = blind(rng, parts[name])
    elif rng.random() < 0.3:
        return bomb(rng.choice([2, 40]), name)
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
    ) as out:
        for key, value in parts.items():
            out.writestr(zipfile.ZipInfo(key or "x"), value)
    packed = buffer.getvalue()
    return _zip_field(rng, packed) if rng.random() < 0.3 else packed


def _zip_field(rng: Random, data: bytes) -> bytes:
    """Make a field of a local or central header of a zip extreme."""
    signs = [
        k for sign in (b"PK\3\4", b"PK\1\2", b"PK\5\6") for k in range(len(data)) if data.startswith(sign, k)
    ]
    place = rng.choice(signs) + rng.randrange(4, 46, 2)
    return (
        data[:place]
        + struct.pack("<I", rng.choice(INTEGERS) % 2**32)[: rng.choice([2, 4])]
        + data[place + 4 :]
    )


def change_pickle(rng: Random, data: bytes) -> bytes:
    """Write another pickle: hostile, huge, deep, or with some of its arrays changed."""
    what = rng.randrange(8)
    protocol = rng.randrange(6)
    if what == 0:
        return pickle.dumps(hostile(rng), protocol)
    if what == 1:
        names = [
            "posix\nsystem",
            "builtins\neval",
            "numpy\nfromfile",
            "os\nsystem",
            "numpy\ndtype",
            "chumpy.ch\nCh",
        ]
        return (
            b"c"
            + rng.choice(names).encode()
            + b"\n"
            + rng.choice([b"(S'touch pwned'\ntR.", b")R}b.", b"(N(d}tb.", b"."])
        )
    if what == 2:
        return rng.choice(
            [
                b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of two thousand million entries
                b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",  # bytes that are not there
                b"\x80\x02]" + b"(" * 50_000,
                b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
            ]
        )
    try:
        value = pickle.loads(data)  # ours, without chumpy
    except Exception:
        return blind(rng, data)
    if what == 3 and isinstance(value, dict):
        value[rng.choice(list(value))] = rng.choice(
            [_doubling(), odd(rng), hostile(rng), list(range(9)), set("x")]
        )
        return pickle.dumps(value, protocol)
    spots = [(box, key) for box, key in spots_of(value) if isinstance(box[key], np.ndarray)]
    if what <= 5 and spots:
        box, key = rng.choice(spots)
        box[key] = array(rng, box[key])
        return pickle.dumps(value, protocol)
    return pickle.dumps(tree(rng, value), protocol)
