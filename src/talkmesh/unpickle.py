"""Pickles of arrays, opened without running anything that they name.

FLAME and VOCASET come as pickles, some written by Python 2, and a pickle may name any function to be called. Here
every name that such files need is answered with a stand-in of this module, and every other name is refused: nothing
foreign is ever called. NumPy's own classes are not given either: a `numpy.dtype` whose state a pickle may choose makes
NumPy take bytes of the file for addresses (it crashes; tests/test_unpickle.py has the bytes). chumpy, which old FLAME
files name, is not needed.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from talkmesh.errors import TalkmeshError

LARGEST = 100_000_000  # numbers of a sparse matrix, zeros counted: it is made a dense one
KINDS = "biuf"  # of numbers that arrays may hold: bool, integers, floats
NUMPY = (
    "numpy",
    "numpy.core.multiarray",
    "numpy._core.multiarray",
    "numpy.core.numeric",
    "numpy._core.numeric",
)
SPARSE = {"csc_matrix": "csc", "csr_matrix": "csr", "coo_matrix": "coo"}
SPARSE |= {"csc_array": "csc", "csr_array": "csr", "coo_array": "coo"}


class _Refused(Exception):
    """The file names or holds something that has no place in a file of arrays."""


class _Dtype:
    """In the place of `numpy.dtype`: of numbers only."""

    def __init__(self, code: Any, *_: Any) -> None:
        code = code.decode("ascii") if isinstance(code, bytes) else str(code)
        self.dtype = np.dtype(code.lstrip("|<>="))
        if self.dtype.kind not in KINDS:
            raise _Refused(f"an array of '{code}'")

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in (">", b">"):
            self.dtype = self.dtype.newbyteorder(">")


class _Array(np.ndarray):
    """In the place of `numpy.ndarray`: takes numbers only, and no more of them than there are bytes."""

    def __new__(cls, *_: Any) -> _Array:
        raise _Refused("an array made in an unknown way")

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        array = _from_bytes(raw, kind, shape, "F" if fortran else "C")
        # what is set is of ours: nothing of the file's state reaches NumPy
        super().__setstate__((1, array.shape, array.dtype, bool(fortran), array.tobytes("A")))  # type: ignore[arg-type]


class _Object:
    """In the place of a class of chumpy or scipy.sparse: keeps its state, to be read by `_plain`."""

    family, name = "", ""

    def __new__(cls, *_: Any) -> _Object:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.state = state[0] if isinstance(state, tuple) and state else state


def _from_bytes(raw: Any, kind: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """Return an array of raw bytes; Python 2 wrote them as text in Latin-1."""
    if not isinstance(kind, _Dtype):
        raise _Refused("an array of unknown type")
    if isinstance(raw, int | list):
        raise _Refused("an array without its bytes")
    data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    if not all(isinstance(n, int) for n in (shape if isinstance(shape, tuple) else (shape,))):
        raise _Refused("an array of unknown shape")
    array = np.frombuffer(data, kind.dtype).reshape(shape, order=order)
    return array.astype(kind.dtype.newbyteorder("="), order="A")


def _reconstruct(cls: Any, *_: Any) -> np.ndarray:
    if cls is not _Array:
        raise _Refused("an array of unknown class")
    return np.zeros(0, np.int8).view(_Array)


def _scalar(kind: Any, raw: Any = b"") -> Any:
    return _from_bytes(raw, kind, (1,))[0]


def _new(cls: Any, *_: Any) -> Any:
    """In the place of `copyreg._reconstructor`, by which Python 2 makes objects."""
    if not (isinstance(cls, type) and issubclass(cls, _Object)):
        raise _Refused("an object of unknown class")
    return cls.__new__(cls)


def _encode(text: str, _: Any = None) -> bytes:
    """In the place of `_codecs.encode`, by which old protocols write bytes."""
    return text.encode("latin1")


class _Function:
    """A function that a pickle may call and not change."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.call = function

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Refused("a function with a state")


BUILTINS, COPYREG = ("builtins", "__builtin__"), ("copyreg", "copy_reg")
NAMED: dict[tuple[str, str], Any] = {
    **{(module, "ndarray"): _Array for module in NUMPY},
    **{(module, "dtype"): _Dtype for module in NUMPY},
    **{(module, "_reconstruct"): _Function(_reconstruct) for module in NUMPY},
    **{(module, "scalar"): _Function(_scalar) for module in NUMPY},
    **{(module, "_frombuffer"): _Function(lambda *a: _from_bytes(*a)) for module in NUMPY},
    **{(module, "_reconstructor"): _Function(_new) for module in COPYREG},
    **{(module, "object"): _Object for module in BUILTINS},
    **{(module, "bytes"): _Function(lambda: b"") for module in BUILTINS},  # how an empty one is written
    **{(module, "set"): _Function(lambda *_: []) for module in BUILTINS},  # bookkeeping of chumpy
    ("collections", "OrderedDict"): _Function(dict),
    ("_codecs", "encode"): _Function(_encode),
}


class _Unpickler(pickle._Unpickler):  # type: ignore[misc]
    """Python's own, in Python: the one in C takes memory for as many references as a file says that it will hold."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def load_bytearray8(self) -> None:
        """As it is, but never larger than what the file holds."""
        (size,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(bytearray(self.read(size)))  # type: ignore[attr-defined]

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def find_class(self, module: str, name: str) -> Any:
        family = module.split(".")[0]
        if family == "chumpy" or (module.startswith("scipy.sparse") and name in SPARSE):
            return type(name, (_Object,), {"family": family, "name": name})
        try:
            return NAMED[module, name]
        except KeyError:
            raise _Refused(f"'{module}.{name}'") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a reference to something outside of it")


def load(path: str | Path) -> Any:
    """Read a pickle of arrays, numbers and texts in lists, tuples and dictionaries.

    Arrays of chumpy and sparse matrices of scipy become NumPy arrays and `scipy.sparse` matrices. Text and bytes of
    Python 2 are read as Latin-1.

    Raises
    ------
    TalkmeshError
        If the file is missing, broken, or names anything else; then nothing of it has been run.
    """
    try:
        with open(path, "rb") as file:
            return _plain(_Unpickler(file, encoding="latin1").load(), {})
    except FileNotFoundError:
        raise TalkmeshError(f"{path} not found") from None
    except _Refused as error:
        raise TalkmeshError(
            f"{path} holds {error}, which has no place in a file of arrays: it was not opened"
        ) from None
    except Exception as error:  # a broken pickle can fail in any way
        why = f"{type(error).__name__}: {error}"
        raise TalkmeshError(f"{path} is not a readable pickle ({why})") from None


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """Return `value` with its stand-ins replaced; `done` holds what has been seen, so that nothing is done twice."""
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, dict):
        result: Any = {k: _plain(v, done) for k, v in value.items()}
    elif isinstance(value, list | tuple):
        result = type(value)(_plain(v, done) for v in value)
    elif isinstance(value, _Array):
        result = value.view(np.ndarray)
    elif isinstance(value, _Object):
        state = getattr(value, "state", None)
        if not isinstance(state, dict):
            raise _Refused(f"an empty '{value.family}.{value.name}'")
        result = (_chumpy if value.family == "chumpy" else _sparse)(value.name, _plain(state, done))
    elif isinstance(value, _Dtype | type | _Function):
        raise _Refused("a class or function")
    else:
        result = value
    done[id(value)] = (value, result)  # keeps `value` alive, so that its id is not given to another
    return result


def _chumpy(name: str, state: dict[str, Any]) -> np.ndarray:
    """Return the values of a chumpy array: a plain one, or a selection of another's elements."""
    if "x" in state:
        return _array_of(state["x"])
    if name == "Select" and {"a", "idxs", "preferred_shape"} <= state.keys():
        return _array_of(state["a"]).ravel()[_array_of(state["idxs"])].reshape(state["preferred_shape"])
    raise _Refused(f"a chumpy '{name}', which is computed and not stored")


def _array_of(value: Any) -> np.ndarray:
    """Return an array, or a number as one. Lists are none: a short one may stand for more numbers than there is room
    for, by holding itself twice, and so on."""
    if not isinstance(value, np.ndarray | np.number | int | float):
        raise _Refused(f"a '{type(value).__name__}' in the place of an array")
    return np.asarray(value)


def _sparse(name: str, state: dict[str, Any]) -> Any:
    """Return a sparse matrix after a check of its indices: scipy follows them blindly."""
    shape = tuple(int(n) for n in state["_shape"])
    if len(shape) != 2 or shape[0] * shape[1] > LARGEST:
        raise _Refused(f"a sparse matrix of {shape}")
    form = SPARSE[name]
    if form == "coo":
        row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
        places = _array_of(row), _array_of(column)
        return sparse.coo_matrix((_array_of(state["data"]), places), shape)  # checks its indices itself
    make = {"csc": sparse.csc_matrix, "csr": sparse.csr_matrix}[form]
    matrix = make(tuple(_array_of(state[part]) for part in ("data", "indices", "indptr")), shape)
    matrix.check_format(full_check=True)
    return matrix
