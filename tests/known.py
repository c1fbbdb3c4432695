"""What a page may name: commands as their own parsers take them, stages, results, keys, modules: tests/test_docs.py."""

from __future__ import annotations

import argparse
import ast
import fnmatch
import functools
import importlib
import importlib.util
import re
import runpy
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from pages import OTHERS, ROOT
from talkmesh import cli, definitions, params

FILES = re.compile(
    r"\.(png|csv|json|npz|npy|md|py|ya?ml|txt|flac|mkv|mp4|glb|sqlite|js|css|html|db|wav|pkl)$"
)
PACKAGES = ("talkmesh", "flows", "stages", "benchmarks", "docs")
SOURCES = ("src/", "docs/", "tests/", "stages/", "flows/", "profiles/", "benchmarks/", ".ci/")
RESULTS = ("reports/", "models/", "predictions/", "data/")
INPUTS = ("data/raw", "data/ground_truth", "data/curves", "data/rigs")


@functools.cache
def dag() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


@functools.cache
def outs() -> list[str]:
    """Outs of all stages, `*` for what params.yaml fills in."""
    found = []
    for stage in dag().values():
        body = stage.get("do", stage)
        for out in [*body.get("outs", ()), *body.get("metrics", ())]:
            found.append(re.sub(r"\$\{[^}]*\}", "*", out if isinstance(out, str) else next(iter(out))))
    return found


@functools.cache
def numbers() -> dict[str, Any]:
    """params.yaml with every profile over it: all keys that there are."""
    values = params.read(ROOT / "params.yaml")
    for path in sorted((ROOT / "profiles").glob("*.yaml")):
        values = params.merged(values, yaml.safe_load(path.read_text(encoding="utf-8")))
    return values


def has_key(dotted: str) -> bool:
    if dotted.startswith("rig.file."):  # empty by default; what may be in it is a dataclass
        return dotted.rpartition(".")[2] in names_in(ROOT / "src/talkmesh/rig/imported.py")
    here: Any = numbers()
    for part in dotted.split("."):
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True


def known_result(path: str) -> bool:
    """Return whether a path is an out of a stage, lies in one, or leads to one; `<name>` stands for any name."""
    parts = re.sub(r"<[^>]*>|\{[^}]*\}", "*", path).rstrip("/").split("/")
    for out in outs():
        both = zip(parts, out.split("/"), strict=False)
        if all(fnmatch.fnmatchcase(a, b) or fnmatch.fnmatchcase(b, a) for a, b in both):
            return True
    return path.startswith(INPUTS)


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = {node.name for node in tree.body if isinstance(node, kinds)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            found |= {t.id for t in node.targets if isinstance(t, ast.Name)}
            if any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
                found |= set(ast.literal_eval(node.value))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name for a in node.names}
    return found


def known_name(dotted: str) -> bool:
    """Return whether a dotted name is a module of the project, or something in one."""
    parts = dotted.split(".")
    base = ROOT / "src" if parts[0] == "talkmesh" else ROOT
    for cut in range(len(parts), 0, -1):
        path = base.joinpath(*parts[:cut])
        file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        if file.is_file():
            return all(part in names_in(file) for part in parts[cut : cut + 1])
        if path.is_dir():
            return cut == len(parts)
    return False


def known_span(span: str) -> bool:
    """Return whether what stands between backquotes exists, if it is the name of something that can be looked up."""
    if setting := re.match(r"TALKMESH_[A-Z]+", span):
        return setting[0] in settings()
    if re.fullmatch(r"[\w./-]+(::\w+)?", span) and span.startswith(SOURCES):
        path, _, name = span.partition("::")
        capitals = [part for part in re.split(r"\W|_", path) if len(part) > 1 and part.isupper()]
        there = (ROOT / path).exists() and (not name or name in names_in(ROOT / path))
        return there or bool(capitals)  # a recipe's names are the reader's
    if re.fullmatch(r"[\w.{}*<>/,-]+", span) and span.startswith(RESULTS):
        return known_result(span)
    dotted = re.fullmatch(r"([a-z_]+(?:\.[a-z0-9_]+)+)(?::.*)?", span)
    if not dotted or FILES.search(dotted[1]):
        return True
    top = dotted[1].split(".")[0]
    if top in numbers():
        return has_key(dotted[1]) or known_name(f"talkmesh.{dotted[1]}")
    return top not in PACKAGES or known_name(dotted[1])


@functools.cache
def settings() -> str:
    """The text of all modules, in which settings of the environment are read."""
    files = [
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("flows/*.py"),
        *ROOT.glob("tests/*.py"),
        ROOT / "prefect.yaml",
    ]
    return "\n".join(f.read_text(encoding="utf-8") for f in files if f.name != "test_docs.py")


# ------------------------------------------------------------------------------------------------- commands


def problem(words: list[str]) -> str:
    """Return what is wrong with a command, or nothing."""
    match words:
        case ["talkmesh", *rest]:
            return talkmesh_problem(rest)
        case ["make", *rest]:
            return make_problem(rest)
        case ["dvc", *rest] | ["python", "-m", "dvc", *rest]:
            return dvc_problem(rest)
        case ["python", "-m", module, *rest]:
            return module_problem(module, rest)
        case ["python", "-c", code]:
            return python_problem(code)
        case [program, *_] if program in OTHERS:
            return ""
    return "nobody knows how to check this"


def parsed(parser: argparse.ArgumentParser, words: list[str]) -> str:
    try:
        parser.parse_args(words)
    except SystemExit as end:
        return "" if end.code == 0 else "its parser does not take this"
    return ""


def talkmesh_problem(words: list[str]) -> str:
    if words[:1] == ["profile"] and words[1:] and not (ROOT / f"profiles/{words[1]}.yaml").exists():
        return f"there is no profile {words[1]}"
    return parsed(cli.parser(), words)


def mentioned(words: list[str]) -> str:
    """Return what is wrong with the name of a command, or with those of its options."""
    if words[0] not in ("talkmesh", "dvc") or not problem(words):
        return problem(words)
    parser, rest = cli.parser() if words[0] == "talkmesh" else dvc_parser(), words[1:]
    while rest and (below := subcommands(parser).get(rest[0])):
        parser, rest = below, rest[1:]
    unknown = [word for word in rest if word not in parser._option_string_actions]
    return f"has no {', '.join(unknown)}" if unknown else ""


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0]) if found else {}


@functools.cache
def targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))


def make_problem(words: list[str]) -> str:
    wanted = [word for word in words if "=" not in word]
    unknown = [word for word in wanted if word not in targets()]
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    unset = [w for w in words if "=" in w and not re.search(rf"^{w.split('=')[0]} \?=", text, re.MULTILINE)]
    return f"the Makefile has no {', '.join(unknown + unset)}" if unknown or unset else ""


@functools.cache
def dvc_parser() -> argparse.ArgumentParser:
    from dvc.cli.parser import get_main_parser

    return get_main_parser()


def dvc_problem(words: list[str]) -> str:
    from dvc.cli import DvcParserError

    try:
        found = dvc_parser().parse_args(words)
    except (DvcParserError, SystemExit):
        return "DVC's parser does not take this"
    named = getattr(found, "targets", None) or []
    if words[0] in ("repro", "pull", "push", "status"):
        for target in [named] if isinstance(named, str) else named:
            stage, _, item = target.partition("@")
            if stage in dag() and (not item or knows_item(dag()[stage], item)):
                continue
            if not target.endswith(".dvc") and not known_result(target):
                return f"dvc.yaml has no {target}"
    for setting in getattr(found, "set_param", None) or []:
        if not has_key(setting.partition("=")[0]):
            return f"params.yaml has no {setting}"
    return ""


def knows_item(stage: dict[str, Any], item: str) -> bool:
    """Return whether a stage of many has one named so, in params.yaml or a profile."""
    each = stage.get("foreach")
    if isinstance(each, list):
        return item in {str(numbers()["track"]["name"]), "cg"}
    here: Any = numbers()
    for part in str(each).strip("${}").split("."):
        here = here[part]
    return item in here or (str(each) == "${methods}" and item in definitions.METHODS)


class Taken(Exception):
    """A module's parser has taken its words."""


def module_problem(module: str, words: list[str]) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None:
        return f"there is no module {module}"
    if spec.submodule_search_locations is not None:
        return "" if importlib.util.find_spec(f"{module}.__main__") else f"{module} cannot be run"
    source = Path(str(spec.origin)).read_text(encoding="utf-8")
    if '__name__ == "__main__"' not in source:
        return f"{module} cannot be run"
    if not words or "argparse" not in source:
        return ""

    def parse(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        real(self, args, namespace)
        raise Taken

    real = argparse.ArgumentParser.parse_args
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a module that is imported already is run once more
        patch.setattr(argparse.ArgumentParser, "parse_args", parse)
        patch.setattr(sys, "argv", [module, *words])
        try:
            runpy.run_module(module, run_name="__main__")
        except Taken:
            return ""
        except SystemExit as end:
            return "" if end.code == 0 else f"the parser of {module} does not take this"
    return f"{module} parsed nothing"


def python_problem(code: str) -> str:
    """Return what does not compile or cannot be imported."""
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        return f"is no Python: {error}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            absent = [a.name for a in node.names if importlib.util.find_spec(a.name) is None]
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            absent = [a.name for a in node.names if not hasattr(module, a.name)]
        else:
            continue
        if absent:
            return f"cannot import {', '.join(absent)}"
    return ""
