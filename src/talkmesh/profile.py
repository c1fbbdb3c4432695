"""Profiles: small files of differences to ``params.yaml``, laid over it in place; comments stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing
from talkmesh.params import PARAMS, read

PROFILES = Path("profiles")
# a profile may add names to these; elsewhere keys must exist
OPEN = ("variants", "animated", "pseudo.methods", "distil.methods", "baseline.methods")


def available(folder: Path = PROFILES) -> dict[str, str]:
    """Return the names of the profiles in `folder`, each with the comment on its first line."""
    return {path.stem: _first_comment(path) for path in sorted(folder.glob("*.yaml"))}


def apply(name: str, params: Path = PARAMS, folder: Path = PROFILES) -> list[str]:
    """Lay ``profiles/<name>.yaml`` over the parameter file, in place, and return what changed.

    Mappings are merged key by key; any other value takes the old one's place.

    Returns
    -------
    list of str
        One line a changed value, such as ``"crop.pixels: 64 -> 128"``; empty if nothing was to be changed.

    Raises
    ------
    TalkmeshError
        If there is no such profile, a file is no mapping, a key is unknown, or a mapping meets a plain value.
    """
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(available(folder)) or "none"
        raise TalkmeshError(f"there is no profile '{name}' in {folder}/; known profiles are {known}")
    editor = _editor()
    values, differences = _load(editor, params), _load(editor, path)
    changed = list(_merge(values, differences, str(path), ()))
    if changed:
        with replacing(params) as temporary, open(temporary, "w", encoding="utf-8") as file:
            editor.dump(values, file)
    return changed


def _editor() -> Any:
    """Return a YAML reader and writer that keeps comments, quotes and our indentation."""
    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096  # never fold a line
    editor.indent(mapping=2, sequence=4, offset=2)
    return editor


def _load(editor: Any, path: Path) -> Any:
    """Read with comments what can be read without them: the editor alone would keep tags, and aliases of themselves."""
    read(path)
    try:
        return editor.load(path.read_text(encoding="utf-8"))
    except Exception as error:  # ruamel fails in many ways, of which YAMLError is one
        raise TalkmeshError(f"{path} is not valid YAML: {error}") from None


def _merge(old: Any, new: Any, source: str, where: tuple[str, ...]) -> Iterator[str]:
    """Lay mapping `new` over mapping `old`; yield a line for every value that changes."""
    is_open = any(".".join(where[:depth]) in OPEN for depth in range(1, len(where) + 1))
    for key, value in new.items():
        here = (*where, str(key))
        dotted = ".".join(here)
        if key not in old:
            if not is_open:
                known = ", ".join(map(str, old))
                raise TalkmeshError(f"{source}: unknown key '{dotted}'; known keys there are {known}")
            old[key] = value
            yield f"{dotted}: {_shown(value)}"
        elif isinstance(old[key], dict) and isinstance(value, dict):
            yield from _merge(old[key], value, source, here)
        elif isinstance(old[key], dict) or (isinstance(value, dict) and old[key] is not None):
            kinds = ("a mapping", "a plain value")
            is_, should = kinds if isinstance(value, dict) else kinds[::-1]
            raise TalkmeshError(f"{source}: '{dotted}' is {is_}, but params.yaml has {should} there")
        elif old[key] != value or isinstance(old[key], bool) != isinstance(value, bool):  # 1 == True
            yield f"{dotted}: {_shown(old[key])} -> {_shown(value)}"
            old[key] = value


def _shown(value: Any) -> str:
    """Return the value on one line, as YAML would have it."""
    return yaml.safe_dump(_plain(value), default_flow_style=True, width=4096).split("\n...")[0].strip()


def _plain(value: Any) -> Any:
    """Return the value without the editor's own types, which hold comments and formatting."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _first_comment(path: Path) -> str:
    line = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    return line.removeprefix("#").strip() if line.startswith("#") else ""
