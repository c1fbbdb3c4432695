"""Files are whole or absent; equal content gives equal bytes; nothing is unpickled."""

import errno
import os
import pickle
import time

import numpy as np
import pytest

from talkmesh import files
from talkmesh.errors import TalkmeshError


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half():
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_folders_are_replaced_whole(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "stale").touch()
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert os.listdir(folder) == ["new"]


def test_a_full_disk_is_said_in_one_sentence(tmp_path):
    def fill():
        with files.replacing(tmp_path / "a"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TalkmeshError, match="disk is full while writing"):
        fill()


def test_npz_bytes_do_not_depend_on_the_clock(tmp_path):
    arrays = {"b": np.arange(5), "a": np.eye(3, dtype=np.float32)}
    files.write_npz(tmp_path / "1.npz", **arrays)
    time.sleep(2.1)  # dates in zip files have a resolution of two seconds
    files.write_npz(tmp_path / "2.npz", **dict(reversed(arrays.items())))
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
    back = files.read_npz(tmp_path / "1.npz")
    assert sorted(back) == ["a", "b"]
    np.testing.assert_array_equal(back["a"], arrays["a"])


def test_a_pickle_is_refused_not_run(tmp_path):
    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    np.savez(tmp_path / "bomb.npz", a=np.array([Bomb()], dtype=object))
    with pytest.raises(TalkmeshError, match=r"bomb\.npz is not a readable npz"):
        files.read_npz(tmp_path / "bomb.npz")
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(TalkmeshError, match="not a readable npz"):
        files.read_npz(tmp_path / "plain.npz")
    assert not ran.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken"])
def test_broken_npz_and_json_are_named(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(TalkmeshError, match=r"x\.npz"):
        files.read_npz(path)
    with pytest.raises(TalkmeshError, match=r"x\.npz is not valid JSON"):
        files.read_json(path)


def test_json_writes_nan_as_null_and_sorts(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": float("nan"), "a": np.float32(0.5), "c": np.arange(2)})
    assert files.read_json(tmp_path / "a.json") == {"a": 0.5, "b": None, "c": [0, 1]}
    assert (tmp_path / "a.json").read_text().index('"a"') < (tmp_path / "a.json").read_text().index('"b"')


def test_content_hash_tells_content_apart(tmp_path):
    (tmp_path / "f").write_bytes(b"1")
    first = files.content_hash(tmp_path / "f", {"a": 1}, np.zeros(3))
    assert first == files.content_hash(tmp_path / "f", {"a": 1}, np.zeros(3))
    assert first != files.content_hash(tmp_path / "f", {"a": 2}, np.zeros(3))
    assert first != files.content_hash(tmp_path / "f", {"a": 1}, np.zeros(3, np.float32))
    assert first != files.content_hash(tmp_path / "f", {"a": 1}, np.zeros((3, 1)))
    (tmp_path / "f").write_bytes(b"2")
    assert first != files.content_hash(tmp_path / "f", {"a": 1}, np.zeros(3))
