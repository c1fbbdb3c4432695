"""Every command, name and link in the pages is right.

PARSED here, cheaply and without running anything: each line of each block without a language (a line that is no known
command fails) and each command within a sentence, of README, CONTRIBUTING, CHANGELOG, docs/ and data/*/README.md:

- ``talkmesh``: the real parser takes it, in the examples of its own help too; within a sentence the names of command
  and options are enough; profiles that are named exist
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

import os
import re
import subprocess
from pathlib import Path

import pytest

from known import known_span, mentioned, problem, python_problem, subcommands, targets
from pages import PROGRAMS, ROOT, Page, pages, simple
from talkmesh import cli, profile

PAGES = pages()
LANGUAGES = {"", "text", "yaml", "python", "ini", "math", "bibtex"}
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path))


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
    assert mentioned(["dvc", "remote", "modify", "--local"]) == ""
    assert mentioned(["dvc", "remote", "alter"]) == "has no alter"
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
        line = re.split(r"  +", example)[0].split(", ")[0]  # a remark may follow
        assert [problem(words) for words in simple(line)] == [""] * (
            line.count("|") + line.count("&&") + 1
        ), line


def test_make_can_plan_every_target() -> None:
    for target in sorted(targets() - {"help"}):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@by_page
def test_blocks_of_yaml_fit_params_yaml_and_python_finds_what_it_imports(page: Page, tmp_path: Path) -> None:
    for language, text in page.blocks():
        if language == "python":
            assert python_problem(text) == ""
        if language == "yaml":
            (tmp_path / "block.yaml").write_text(text, encoding="utf-8")
            (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
            profile.apply("block", tmp_path / "params.yaml", tmp_path)


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


@by_page
def test_paths_keys_and_modules_exist(page: Page) -> None:
    assert [span for span in page.spans() if not known_span(span)] == []


@pytest.mark.parametrize(
    "span",
    [
        "reports/preview/crops.png", "reports/previews/crop.png", "models/transcoders/full", "data/clip/clips.csv",
        "src/talkmesh/metric.py", "tests/test_docs.py::test_nothing", "profiles/tables.yml", "crop.pixelss",
        "crop.neutral_frame: auto", "rig.file.upwards", "talkmesh.metrics.lve_cm", "flows.dags", "TALKMESH_HOUSE=/tmp",
    ],
)  # fmt: skip
def test_names_of_nothing_are_told(span: str) -> None:
    assert not known_span(span)


@pytest.mark.parametrize(
    "span",
    [
        "reports/preview/crop.png", "reports/preview/render_cg.png", "models/transcoder/<variant>/", "predictions/",
        "reports/tables/table<n>.{csv,md,tex,html}", "data/raw/<corpus>/test.txt", "tests/test_docs.py::known_span",
        "crop.pixels", "crop.neutral: <clip>:<frame>", "rig.file.up", "talkmesh.metrics.lve_mm", "flows.dag", "a.b",
        "src/talkmesh/models/NAME.py", "TALKMESH_TRACKING=off",
    ],
)  # fmt: skip
def test_names_of_something_are_not(span: str) -> None:
    assert known_span(span)
