"""Pickles of arrays: what they give, and that a hostile one runs nothing."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import types

import numpy as np
import pytest
from scipy import sparse

from talkmesh.errors import TalkmeshError
from talkmesh.unpickle import load


def write(path, value, protocol=2):
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["?", "i1", "<u4", ">i2", "<f4", ">f8"])
def test_arrays_come_back_whatever_protocol_order_and_type(tmp_path, protocol, dtype):
    c = (np.arange(24).reshape(2, 3, 4) * 3 % 7).astype(dtype)
    value = {
        "c": c,
        "f": np.asfortranarray(c),
        "none": c[:0],
        "zero": c[0, 0, 1],
        "more": [1, 2.5, None, "é", (True,)],
    }
    got = load(write(tmp_path / "a.pkl", value, protocol))
    for name in ("c", "f", "none"):
        np.testing.assert_array_equal(got[name], value[name])
        assert type(got[name]) is np.ndarray
        assert got[name].dtype == np.dtype(dtype).newbyteorder("=")
    assert got["zero"] == value["zero"]
    assert got["more"] == value["more"]


def python2_array(values: np.ndarray) -> bytes:
    """What Python 2 writes for an array of float64, protocol 2: the bytes as a `str`."""
    raw = values.astype("<f8").tobytes()
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R"
        b"(K\x01K" + bytes([len(values)]) + b"\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb."
    )


def test_arrays_of_python_2(tmp_path):
    values = np.array([1.5, -2e300, np.pi])
    (tmp_path / "a.pkl").write_bytes(python2_array(values))
    np.testing.assert_array_equal(load(tmp_path / "a.pkl"), values)


@pytest.mark.parametrize("form", ["csc", "csr", "coo"])
@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_sparse_matrices(tmp_path, form, kind):
    dense = np.random.default_rng(1).random((5, 9)) * (np.arange(9) % 3 == 0)
    got = load(write(tmp_path / "s.pkl", getattr(sparse, f"{form}_{kind}")(dense)))
    np.testing.assert_array_equal(got.toarray(), dense)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_chumpy_is_read_without_chumpy(tmp_path, monkeypatch, protocol):
    module = types.ModuleType("chumpy.ch")
    module.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    select = types.ModuleType("chumpy.reordering")
    select.Select = type("Select", (), {"__module__": "chumpy.reordering"})
    for name, m in {
        "chumpy": types.ModuleType("chumpy"),
        "chumpy.ch": module,
        "chumpy.reordering": select,
    }.items():
        monkeypatch.setitem(sys.modules, name, m)
    x = np.arange(6.0).reshape(2, 3)
    whole, part, sum_ = module.Ch(), select.Select(), module.Ch()
    whole.__dict__.update(x=x, _dirty_vars=set("x"), _itr=None)
    part.__dict__.update(a=whole, idxs=np.array([5, 0]), preferred_shape=(2, 1))
    sum_.__dict__.update(a=whole, b=whole)
    write(tmp_path / "c.pkl", {"whole": whole, "part": part, "again": whole}, protocol)
    write(tmp_path / "d.pkl", sum_, protocol)
    monkeypatch.undo()
    assert "chumpy" not in sys.modules
    got = load(tmp_path / "c.pkl")
    np.testing.assert_array_equal(got["whole"], x)
    np.testing.assert_array_equal(got["part"], [[5], [0]])
    assert got["again"] is got["whole"]
    with pytest.raises(TalkmeshError, match="a chumpy 'Ch', which is computed"):
        load(tmp_path / "d.pkl")


class Call:
    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (Call(os.system, "touch pwned"), "system"),
        (Call(eval, "open('pwned', 'w')"), "eval"),
        ({"v_template": [np.zeros(3), Call(exec, "open('pwned', 'w')")]}, "exec"),
        (Call(getattr, os, "system"), "getattr"),
        (Call(np.fromfile, "secret"), "fromfile"),
        (Call(np.load, "x.npy"), "load"),
        (Call(sparse.load_npz, "x.npz"), "load_npz"),
        (Call(dict, Call(__import__, "os")), "dict"),
        (np.array([Call(os.system, "touch pwned")], object), "an array of 'O8'"),
        (np.array(["text"]), "an array of 'U4'"),
        (np.zeros(2, [("a", "f4")]), "an array of"),
        (np.float64, "float64"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_hostile_pickles_are_refused_and_run_nothing(tmp_path, monkeypatch, hostile, named, protocol):
    monkeypatch.chdir(tmp_path)
    if any(part is os for part in getattr(hostile, "what", (0, ()))[1]):
        hostile = Call(getattr, "", "system")
    with pytest.raises(TalkmeshError, match=rf"^h\.pkl holds .*{named}.*not opened$"):
        load(write(tmp_path / "h.pkl", hostile, protocol).relative_to(tmp_path))
    assert not (tmp_path / "pwned").exists()


def test_a_reduction_within_allowed_calls_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # _reconstructor(os.system, object, None), then REDUCE with a command
    code = b"ccopy_reg\n_reconstructor\n(cposix\nsystem\nc__builtin__\nobject\nNtR(S'touch pwned'\ntR."
    (tmp_path / "n.pkl").write_bytes(code)
    with pytest.raises(TalkmeshError, match=r"posix\.system"):
        load("n.pkl")
    for code, word in (
        (b"cnumpy\nndarray\n(I1\ntR.", "unknown way"),  # an array of the file's own making
        (b"cnumpy\nndarray\n(I1\nt\x81.", "unknown way"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(N(d}S'__defaults__'\nNstb.", "state"),
        (b"ccopy_reg\n_reconstructor\n(cnumpy\ndtype\nNNtR.", "unknown class"),
        (b"cnumpy\ndtype\n.", "a class or function"),
        (b"P0\n.", "outside of it"),
    ):
        (tmp_path / "n.pkl").write_bytes(code)
        with pytest.raises(TalkmeshError, match=word):
            load("n.pkl")
    assert not (tmp_path / "pwned").exists()


def test_a_type_whose_state_the_file_chooses_cannot_make_numpy_follow_its_bytes(tmp_path):
    """`numpy.dtype('O')` with flags 0 makes NumPy take the array's bytes for object addresses: a crash at the least."""
    attack = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01\x85"
        b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x08AAAAAAAAtb."
    )
    (tmp_path / "o.pkl").write_bytes(attack)
    with pytest.raises(TalkmeshError, match="an array of 'O8'"):
        load(tmp_path / "o.pkl")


def test_sparse_indices_are_checked(tmp_path):
    matrix = sparse.csc_matrix(np.eye(3))
    matrix.indices[1] = 1_000_000
    with pytest.raises(TalkmeshError, match="not a readable pickle"):
        load(write(tmp_path / "s.pkl", matrix))


def test_broken_files_are_named(tmp_path):
    with pytest.raises(TalkmeshError, match=r"nothing\.pkl not found"):
        load(tmp_path / "nothing.pkl")
    whole = pickle.dumps({"a": np.arange(100)}, 2)
    for name, data in {"empty": b"", "text": b"not a pickle", "half": whole[: len(whole) // 2]}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TalkmeshError, match=f"{name} is not a readable pickle"):
            load(tmp_path / name)
    # fewer bytes than the shape needs
    short = python2_array(np.zeros(3)).replace(b"(K\x01K\x03\x85", b"(K\x01K\x09\x85")
    (tmp_path / "short").write_bytes(short)
    with pytest.raises(TalkmeshError, match="not a readable pickle"):
        load(tmp_path / "short")


def test_a_list_that_doubles_many_times_is_walked_once(tmp_path):
    value = [0]
    for _ in range(60):
        value = [value, value]
    assert load(write(tmp_path / "b.pkl", value))[0] is not None
