"""Every command, name and link in the pages is right.

PARSED here, cheaply and without running anything: each line of each block without a language (a line that is no known
command fails) and each command within a sentence, of README, CONTRIBUTING, CHANGELOG, docs/ and data/*/README.md:

- ``talkmesh``: the real parser takes it, in the examples of its own help too; within a sentence the names of command and
  options are enough; profiles that are named exist
- ``make``: the target exists, and ``make -n`` can plan it
- ``dvc``: DVC's own parser takes it; targets are stages or outs of dvc.yaml, ``-S`` sets a key that params.yaml has
- ``python -m``: the module exists and can be run; if it parses arguments, its own parser takes them
- ``python -c``: compiles, and what it imports exists
- blocks of YAML are laid over params.yaml as a profile is; blocks of Python compile and what they import exists
- links and anchors, paths of the repository, paths of results, keys of params.yaml, modules and functions: they exist

EXECUTED, in tests/test_docs_run.py, on a small project: ``talkmesh animate``, ``stream``, ``evaluate``, ``profile``,
``make help`` and Python of the pages. The chain itself (``talkmesh sample``, ``dvc repro`` with and without the profile
`second`) is run by tests/test_pipeline.py, ``dvc push`` and ``pull`` by tests/test_remote.py, studies by
tests/test_study_*.py, flows and schedules by tests/test_flow.py. Commands of other programs (`pages.OTHERS`) are not
checked.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import importlib.util
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import licences, made, metrics, site
from pages import OTHERS, PROGRAMS, ROOT, Page, pages, simple
from talkmesh import cli, definitions, params, profile

PAGES = pages()
LANGUAGES = {"", "text", "yaml", "python", "ini", "math", "bibtex"}
FILES = re.compile(
    r"\.(png|csv|json|npz|npy|md|py|ya?ml|txt|flac|mkv|mp4|glb|sqlite|js|css|html|db|wav|pkl)$"
)
SOURCES = ("src/", "docs/", "tests/", "stages/", "flows/", "profiles/", "benchmarks/", ".ci/")
RESULTS = ("reports/", "models/", "predictions/", "data/")
INPUTS = ("data/raw", "data/ground_truth", "data/curves", "data/rigs")
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))


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


# ------------------------------------------------------------------------------------------------- commands


def problem(words: list[str], seen: pytest.CaptureFixture[str] | None = None) -> str:
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
    if words[0] != "talkmesh" or not problem(words):
        return problem(words)
    parser, rest = cli.parser(), words[1:]
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


def dvc_problem(words: list[str]) -> str:
    from dvc.cli import DvcParserError
    from dvc.cli.parser import get_main_parser

    try:
        found = get_main_parser().parse_args(words)
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
    with pytest.MonkeyPatch.context() as patch:
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


@by_page
def test_every_block_says_what_it_is_and_every_command_is_taken(page: Page) -> None:
    assert {language for language, _ in page.blocks()} <= LANGUAGES
    wrong = [(" ".join(words), said) for words in page.commands() if (said := problem(words))]
    wrong += [(" ".join(words), said) for words in page.mentions() if (said := mentioned(words))]
    assert wrong == []


def test_so_many_commands_are_found_and_wrong_ones_are_told() -> None:
    every = [words for page in PAGES for words in [*page.commands(), *page.mentions()]]
    found = {tuple(words) for words in every if words[0] in PROGRAMS}
    assert len(found) > 90
    assert {words[1] for words in found if words[0] == "talkmesh"} >= {
        "sample",
        "animate",
        "study",
        "vocaset",
    }
    for line, said in {
        "talkmesh animate line.wav": "its parser does not take this",
        "talkmesh profile nowhere": "there is no profile nowhere",
        "make tea": "the Makefile has no tea",
        "make setup PYTHN=python3": "the Makefile has no PYTHN=python3",
        "dvc repro crops": "dvc.yaml has no crops",
        "dvc repro animate@nobody": "dvc.yaml has no animate@nobody",
        "dvc exp run -S transcoder.train.stops=1": "params.yaml has no transcoder.train.stops=1",
        "dvc reproduce": "DVC's parser does not take this",
        "python -m flows.nothing": "there is no module flows.nothing",
        "python -m talkmesh.metrics": "talkmesh.metrics cannot be run",
        "python -m flows.dag --dips": "the parser of flows.dag does not take this",
        "python -c 'from talkmesh.metrics import lve_cm'": "cannot import lve_cm",
        "python -c 'x ='": "is no Python: invalid syntax",
    }.items():
        (words,) = simple(line)
        assert problem(words).startswith(said), line
    assert mentioned(["talkmesh", "evaluate", "--rig"]) == ""
    assert mentioned(["talkmesh", "evaluate", "--rug"]) == "has no --rug"
    assert mentioned(["talkmesh", "study", "watch"]) == "has no watch"
    with pytest.raises(ValueError, match="no command that is known: tlakmesh"):
        simple("tlakmesh doctor")


def test_examples_of_the_help_are_taken_as_well() -> None:
    texts, todo = [], [cli.parser()]
    while todo:
        parser = todo.pop()
        texts.append(parser.description or "")
        todo += subcommands(parser).values()
    examples = re.findall(r"^ +((?:\w+ .*\| )?(?:talkmesh|dvc) .*)$", "\n".join(texts), re.MULTILINE)
    assert len(examples) > 25
    for example in examples:
        line = re.split(r"   +", example)[0].split(", ")[0]  # a remark may follow
        assert [problem(words) for words in simple(line)] == [""] * (
            line.count("|") + line.count("&&") + 1
        ), line


def test_make_can_plan_every_target() -> None:
    for target in sorted(targets() - {"help"}):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------------- blocks


@by_page
def test_blocks_of_yaml_fit_params_yaml_and_python_finds_what_it_imports(page: Page, tmp_path: Path) -> None:
    for language, text in page.blocks():
        if language == "python":
            assert python_problem(text) == ""
        if language == "yaml":
            (tmp_path / "block.yaml").write_text(text, encoding="utf-8")
            (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
            profile.apply("block", tmp_path / "params.yaml", tmp_path)


# ------------------------------------------------------------------------------------------- links and names


@by_page
def test_links_and_anchors_lead_somewhere(page: Page) -> None:
    for link in page.links():
        path, _, anchor = link.partition("#")
        if ":" in path:
            assert path.startswith("https://"), link
            continue
        there = Path(os.path.normpath(page.path.parent / path)) if path else page.path
        assert (ROOT / there).exists(), link
        if anchor:
            assert anchor in Page(there).anchors(), link


def known_result(path: str) -> bool:
    """Return whether a path is an out of a stage, lies in one, or leads to one."""
    parts = re.sub(r"<[^>]*>", "*", path).rstrip("/").split("/")
    for out in outs():
        other = out.split("/")
        common = list(zip(parts, other, strict=False))
        if all(a == b or "*" in a or "*" in b or "{" in a for a, b in common):
            return True
    return path.startswith(INPUTS) or path == "data"


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


@by_page
def test_paths_keys_and_modules_exist(page: Page) -> None:
    wrong = []
    for span in page.spans():
        word = span.split()[0]
        if (
            re.fullmatch(r"[\w.{}*<>/-]+(::\w+)?", span)
            and span.startswith(SOURCES)
            and not set(span) & set("*{<")
        ):
            path, _, name = span.partition("::")
            if any(part.isupper() for part in re.split(r"\W|_", path) if len(part) > 1):
                continue  # a recipe's placeholder
            if not (ROOT / path).exists() or (name and name not in names_in(ROOT / path)):
                wrong.append(span)
        elif re.fullmatch(r"[\w.{}*<>/,-]+", span) and span.startswith(RESULTS) and not known_result(span):
            wrong.append(span)
        elif (key := re.fullmatch(r"([a-z_]+(?:\.[a-z0-9_]+)+)(?::.*)?", span)) and not FILES.search(key[1]):
            top = key[1].split(".")[0]
            if top in numbers() and not has_key(key[1]) and not known_name(f"talkmesh.{key[1]}"):
                wrong.append(span)
            if top in ("talkmesh", "flows", "stages", "benchmarks", "docs") and not known_name(key[1]):
                wrong.append(span)
        if (setting := re.match(r"(TALKMESH_[A-Z]+)", word)) and setting[1] not in settings():
            wrong.append(span)
    assert wrong == []


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


# ------------------------------------------------------------------------------------------------ made parts


def test_the_page_of_metrics_is_current_and_has_a_formula_for_each() -> None:
    assert set(metrics.FORMULAE) == set(definitions.METRICS)
    assert set(metrics.NOTES) <= set(definitions.METRICS)
    page = metrics.PAGE.read_text(encoding="utf-8")
    assert made.put(page, "metrics", metrics.text()) == page, "run `python -m docs.metrics --write`"
    contracts = (ROOT / "docs/contracts.md").read_text(encoding="utf-8")
    assert [name for name in definitions.METRICS if f"`{name}`" not in contracts] == []


def test_a_page_without_its_comments_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the comments of docs"):
        made.put("# Metrics\n", "metrics", "text")


def test_every_licence_is_known_and_goes_with_ours() -> None:
    found = licences.by_licence(licences.locked())
    assert licences.problems(found) == []
    listed = re.findall(r"^\| .* \| (.*) \|$", licences.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in listed for name in row.split(", ")}
    assert [name for name in licences.locked() if name not in named] == [], (
        "run `python -m docs.licences --write`"
    )
    used = {part for expression in found for part in re.split(r" AND | OR ", expression)}
    assert set(licences.EXCEPTIONS) <= used  # no exception outlives its package


@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("MIT", True), ("GPL-3.0-only", False), ("", False), ("Proprietary", False),
        ("MIT AND GPL-3.0-only", False), ("GPL-2.0-or-later OR Apache-2.0", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True), ("MPL-2.0 AND (GPL-3.0-only OR AGPL-3.0-only)", False),
        ("Apache-2.0 WITH LLVM-exception", True), ("GPL-2.0-only WITH linking-exception", True), ("MIT AND", False),
        ("(MIT", False), ("MIT BSD-3-Clause", False),
    ],
)  # fmt: skip
def test_licences_with_a_choice_and_without(expression: str, fine: bool) -> None:
    assert licences.accepted(expression) is fine


# -------------------------------------------------------------------------------------------------- the site


def test_links_become_those_of_the_site() -> None:
    assert site.rewritten("[a](docs/contracts.md#rig)", "index.md") == "[a](contracts.md#rig)"
    assert site.rewritten("![a](docs/images/demo.png)", "index.md") == "![a](images/demo.png)"
    assert site.rewritten("[a](../../README.md)", "decisions/scores.md") == "[a](../index.md)"
    assert site.rewritten("[a](../data/rigs/README.md)", "contracts.md") == "[a](data/rigs.md)"
    assert site.rewritten("[a](../../docs/contracts.md#rig)", "data/rigs.md") == "[a](../contracts.md#rig)"
    assert site.rewritten("[`dvc.yaml`](../dvc.yaml)", "scaling.md") == "`dvc.yaml`"
    assert (
        site.rewritten("[a](https://x.org) [b](#c) [d](no.md)", "index.md")
        == "[a](https://x.org) [b](#c) [d](no.md)"
    )
    kept = "```\n[a](../README.md)\n```\n"
    assert site.rewritten(kept, "scaling.md") == kept


def test_the_site_is_built_without_a_warning_and_asks_nothing_of_other_servers(tmp_path: Path) -> None:
    for package in ("material", "latex2mathml", "pymdownx"):
        pytest.importorskip(package)
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {str(p.relative_to(tmp_path / "site")) for p in (tmp_path / "site").rglob("*.html")}
    assert names >= {
        "index.html",
        "tutorial.html",
        "data/rigs.html",
        "contributing.html",
        "decisions/docs.html",
    }
    for name in names:
        text = (tmp_path / "site" / name).read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source|video)[^>]*\ssrc=\"?([^\"\s>]+)", text)
        loaded += re.findall(r"<link(?![^>]*canonical)[^>]*\shref=\"?([^\"\s>]+)", text)
        assert [url for url in loaded if re.match(r"(https?:)?//", url)] == [], name
    assert "<math" in (tmp_path / "site/metrics.html").read_text(encoding="utf-8")
    assert "docs.metrics" not in (tmp_path / "site/index.html").read_text(encoding="utf-8")
