"""What is done to good files: a pure function of a random generator, blind changes and ones that know the format.

A file is its bytes; a folder is {relative name: bytes}. Nothing here looks at what is being tested.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePath
from random import Random

import numpy as np

from fuzz.arrays import change_npy, change_npz, change_pickle
from fuzz.blind import INTEGERS, blind
from fuzz.texts import change_json, change_words, change_yaml, nested, tree

Files = dict[str, bytes]


def _wav(rng: Random, data: bytes) -> bytes:
    place, width = rng.choice(
        [(4, 4), (16, 4), (20, 2), (22, 2), (24, 4), (28, 4), (32, 2), (34, 2), (40, 4)]
    )
    return (
        data[:place] + (rng.choice(INTEGERS) % 256**width).to_bytes(width, "little") + data[place + width :]
    )


def _glb(rng: Random, data: bytes) -> bytes:
    """Change the JSON of a GLB, with the lengths right or not, or one of its lengths."""
    length = struct.unpack_from("<I", data, 12)[0]
    text, rest = data[20 : 20 + length], data[20 + length :]
    if rng.random() < 0.15:
        place = rng.choice([4, 8, 12, 16, 20 + length])
        return data[:place] + struct.pack("<I", rng.choice(INTEGERS) % 2**32) + data[place + 4 :]
    text = nested(rng, text) if rng.random() < 0.03 else change_json(rng, text)
    text += b" " * (-len(text) % 4)
    if rng.random() < 0.2:
        rest = blind(rng, rest)
    return data[:12] + struct.pack("<I", len(text)) + data[16:20] + text + rest


def _safetensors(rng: Random, data: bytes) -> bytes:
    length = struct.unpack_from("<Q", data)[0] if data else 0
    if not length or rng.random() < 0.2:
        return struct.pack("<Q", rng.choice(INTEGERS) % 2**64) + data[8:]
    if rng.random() < 0.3:  # other numbers: NaN and the like
        place = 8 + length + 4 * rng.randrange(max((len(data) - 8 - length) // 4, 1))
        return data[:place] + struct.pack("<f", rng.choice([np.nan, np.inf, 3e38, -3e38])) + data[place + 4 :]
    head = json.dumps(tree(rng, json.loads(data[8 : 8 + length]))).encode()
    return struct.pack("<Q", len(head)) + head + data[8 + length :]


def _sqlite(rng: Random, data: bytes) -> bytes:
    """Say other things in SQL, or damage a page."""
    if rng.random() < 0.5:
        return blind(rng, data)
    said = (
        "UPDATE answers SET trial = '../../x'", "UPDATE answers SET video = X'00ff'", "DELETE FROM study",
        "UPDATE answers SET seconds = 'soon'", "UPDATE answers SET seconds = 9e999", "DROP TABLE study",
        "DROP TABLE answers", "UPDATE answers SET participant = 'x'", "UPDATE participants SET code = NULL",
        "DELETE FROM participants", "UPDATE answers SET question = 'why'", "UPDATE study SET id = 7",
        "ALTER TABLE answers RENAME COLUMN side TO sides",
        "DROP TABLE answers; CREATE VIEW answers AS WITH RECURSIVE c(id) AS (SELECT 1 UNION ALL SELECT id FROM c) "
        "SELECT id, 0 participant, '' trial, '' question, 'left' side, '' video, 1.0 seconds, '' answered FROM c",
        "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END",
        "PRAGMA user_version = 99", "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = 'x'",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "base")
        path.write_bytes(data)
        base = sqlite3.connect(path)
        try:
            base.execute("PRAGMA journal_mode = DELETE")
            base.executescript(
                "PRAGMA ignore_check_constraints = 1; PRAGMA foreign_keys = 0; " + rng.choice(said)
            )
        except sqlite3.Error:
            return blind(rng, data)
        finally:
            base.close()
        return path.read_bytes()


KNOWING: dict[str, tuple[Callable[[Random, bytes], bytes], ...]] = {
    ".json": (change_json, change_json, change_json, nested),
    ".gltf": (change_json, change_json, change_json, change_json, change_json, nested),
    ".yaml": (change_yaml, change_yaml, change_words),
    ".npy": (change_npy,),
    ".npz": (change_npz,),
    ".pkl": (change_pickle,),
    ".wav": (_wav,),
    ".glb": (_glb,),
    ".safetensors": (_safetensors,),
    ".sqlite": (_sqlite,),
}
TEXT = (".obj", ".csv", ".txt", ".srt", ".vtt", ".lab", ".align", ".textgrid", ".yaml", ".ids")


def changed(rng: Random, name: str, data: bytes) -> bytes:
    """Change a good file: seven times of ten as its suffix suggests."""
    suffix = PurePath(name).suffix.lower()
    ways = KNOWING.get(suffix, ()) + ((change_words,) * 2 if suffix in TEXT else ())
    try:
        if ways and rng.random() < 0.7:
            return rng.choice(ways)(rng, data)
    except RecursionError:  # so deep that it cannot be written
        pass
    return blind(rng, data)


def mutated(rng: Random, files: Files) -> Files:
    """Change one file of a folder, seldom two; or take one away, or exchange two."""
    files, good = dict(files), files
    names = sorted(files)
    for _ in range(rng.choice([1, 1, 1, 2])):
        name = rng.choice(names)
        if len(names) > 1 and rng.random() < 0.04:
            other = rng.choice(names)
            files[name], files[other] = files.get(other, b""), files.get(name, b"")
        elif len(names) > 1 and rng.random() < 0.03:
            files.pop(name, None)
        elif files.get(name) == good[name]:
            files[name] = changed(rng, name, good[name])
        elif name in files:
            files[name] = blind(rng, files[name])
    return files
