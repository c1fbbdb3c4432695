"""Sections of ``params.yaml`` as frozen dataclasses: an unknown or wrongly typed key is an error that names it."""

from __future__ import annotations

import dataclasses
import math
import reprlib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from talkmesh.errors import TalkmeshError

PARAMS = Path("params.yaml")
T = TypeVar("T")
MOST_VALUES = 100_000  # in a file of parameters
LARGEST = 1e100  # of numbers: whole ones in a file may be larger than any float
QUOTED = reprlib.Repr()  # a short form of what is quoted in errors, however large or deep it is
QUOTED.maxstring = QUOTED.maxother = 100


def read(path: str | Path = PARAMS) -> dict[str, Any]:
    """Return the whole parameter file as a dictionary."""
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TalkmeshError(f"{path} not found: run this from the folder that holds it") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, an impossible date
        raise TalkmeshError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise TalkmeshError(
            f"{path} must hold keys and values, a section per stage; found {type(values).__name__}"
        )
    _check_values(values, path)
    return values


def _check_values(values: Any, path: str | Path) -> None:
    """Raise a `TalkmeshError` unless a file holds plain values under text keys, and not more than anybody writes.

    Aliases of YAML can make a few lines stand for a billion values, or for themselves.
    """
    todo, count = [values], 0
    while todo:
        value = todo.pop()
        count += 1
        if count > MOST_VALUES:
            raise TalkmeshError(f"{path} holds more than {MOST_VALUES} values: write it without aliases")
        if isinstance(value, dict):
            if strange := [key for key in value if not isinstance(key, str)]:
                raise TalkmeshError(f"{path}: the key {_shown(strange[0])} is no text: put it in quotes")
            todo += value.values()
        elif isinstance(value, list):
            todo += value
        elif not isinstance(value, str | int | float | None):
            raise TalkmeshError(f"{path}: {_shown(value)} is neither text nor a number: put it in quotes")


def section(cls: type[T], name: str, overrides: dict[str, Any] | None = None, path: str | Path = PARAMS) -> T:
    """Read section `name` into the dataclass `cls`, with `overrides` laid over it.

    Raises
    ------
    TalkmeshError
        If the section is missing, a key is unknown or missing, or a value has the wrong type.
    """
    values = read(path).get(name)
    if not isinstance(values, dict):
        raise TalkmeshError(f"{path}: section '{name}' is missing or is not a mapping")
    return build(cls, merged(values, overrides or {}), f"{path}: {name}")


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid over it, mapping by mapping."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def build(cls: type[T], values: dict[str, Any], where: str) -> T:
    """Make a `cls` of `values`; `where` names their origin in errors. Nested dataclasses are built likewise."""
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    if not isinstance(values, dict):
        raise TalkmeshError(f"{where} must hold keys and values; found {_shown(values)}")
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise TalkmeshError(
            f"{where}: unknown key '{unknown[0]}'; known keys are {', '.join(sorted(fields))}"
        )
    missing = [
        n
        for n, f in fields.items()
        if n not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise TalkmeshError(f"{where}: key '{missing[0]}' is missing")
    return cls(**{k: _checked(hints[k], v, f"{where}.{k}") for k, v in values.items()})


def _checked(hint: Any, value: Any, where: str) -> Any:
    """Return `value` as the annotated type `hint`, or raise an error naming `where`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return build(typing.cast(type, hint), value, where)
    if origin in (typing.Union, types.UnionType):
        for option in args:
            try:
                return _checked(option, value, where)
            except TalkmeshError:
                continue
    elif origin is typing.Literal:
        if value in args:
            return value
        raise TalkmeshError(f"{where} must be one of {', '.join(map(str, args))}; got {_shown(value)}")
    elif origin is tuple and isinstance(value, list | tuple):
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_checked(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(args) == len(value):
            return tuple(
                _checked(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True))
            )
    elif origin is dict and isinstance(value, dict):
        return {_checked(args[0], k, where): _checked(args[1], v, f"{where}.{k}") for k, v in value.items()}
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) < math.inf or abs(value) > LARGEST:
            raise TalkmeshError(f"{where} must be a number that is not infinite; got {_shown(value)}")
        return float(value)
    elif hint is Any or (isinstance(hint, type) and type(value) is hint):
        return value
    name = getattr(hint, "__name__", str(hint)) if not args else str(hint)
    raise TalkmeshError(f"{where} must be {name}; got {_shown(value)}")


def _shown(value: Any) -> str:
    return QUOTED.repr(value)
