"""dvc.yaml says what is true: deps name what is imported, params what is read, and the graph is a graph."""

import ast
import importlib
import shutil
import textwrap
from pathlib import Path

import pytest

from flows import dag, imports
from talkmesh import params, profile
from talkmesh.errors import TalkmeshError

ROOT = Path(__file__).parents[1]
DECLARED = dag.declared(ROOT / "dvc.yaml")
PARAMS = params.read(ROOT / "params.yaml")
SECOND = {"transfer", "unseen"}  # stages of the second topology, off by default
LISTED = {"baseline", "distil"}  # methods to compare with and fast paths, by their lists, empty by default


def sections_of(name: str) -> list[tuple[type, str]]:
    """The (dataclass, section) pairs that a stage file reads, its module imported."""
    file = ROOT / dag.stage_file(DECLARED[name])
    module = importlib.import_module(f"stages.{file.stem}")
    pairs = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and imports.calls(node, "section"):
            cls, section = node.args[:2]
            assert isinstance(cls, ast.Name)
            assert isinstance(section, ast.Constant)
            pairs.append((getattr(module, cls.id), section.value))
    return pairs


@pytest.fixture(scope="module")
def stages() -> list[dag.Stage]:
    return dag.stages(ROOT)


@pytest.mark.parametrize("name", DECLARED)
def test_stage_runs_the_file_of_its_name(name: str) -> None:
    file = dag.stage_file(DECLARED[name])
    assert file.stem == name
    assert (ROOT / file).is_file()


def test_deps_name_every_module_that_is_imported() -> None:
    report = dag.deps_report(ROOT)
    assert not report, f"dvc.yaml differs from the imports (python -m flows.dag --deps --write):\n{report}"


@pytest.mark.parametrize("name", DECLARED)
def test_params_name_every_section_that_is_read(name: str) -> None:
    read = imports.sections_reached(ROOT / dag.stage_file(DECLARED[name]), ROOT)
    named = {str(p).partition(".")[0] for p in DECLARED[name].get("params", ())}
    assert read <= named, (
        f"stage {name} reads {sorted(read - named)}, which its params in dvc.yaml do not name"
    )
    for param in DECLARED[name].get("params", ()):
        value = PARAMS
        for key in str(param).partition("${")[0].rstrip(".").split("."):
            assert key in value, f"stage {name} names {param}, which params.yaml lacks"
            value = value[key]


def check_sections(path: Path) -> None:
    """Build every section that a stage reads from a parameter file, the transcoder's once a variant."""
    for name in DECLARED:
        for cls, section in sections_of(name):
            for changes in params.read(path)["variants"].values() if section == "transcoder" else [{}]:
                params.section(cls, section, changes, path=path)


def test_sections_fit_their_dataclasses() -> None:
    check_sections(ROOT / "params.yaml")


@pytest.mark.parametrize("name", DECLARED)
def test_unknown_keys_raise(name: str) -> None:
    for cls, section in sections_of(name):
        with pytest.raises(TalkmeshError, match="no_such_key"):
            params.section(cls, section, {"no_such_key": 1}, path=ROOT / "params.yaml")


@pytest.mark.parametrize("name", profile.available(ROOT / "profiles"))
def test_profiles_fit_too(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "params.yaml"
    copy.write_text((ROOT / "params.yaml").read_text())
    assert profile.apply(name, copy, ROOT / "profiles")
    check_sections(copy)
    values = params.read(copy)
    assert set(values["animated"].values()) | set(values["pseudo"]["methods"].values()) <= set(
        values["variants"]
    )
    lists = [values["animated"], *(values[key]["methods"] for key in ("pseudo", "distil", "baseline"))]
    made = {name for names in lists for name in names}
    assert set(values["methods"]) <= {*made, *values["reference"]["methods"]}


def test_foreach_expands_to_variants_and_methods(stages: list[dag.Stage]) -> None:
    names = {stage.name for stage in stages}
    assert {f"transcoder@{v}" for v in PARAMS["variants"]} <= names
    assert {f"evaluate@{m}" for m in PARAMS["methods"]} <= names
    assert {name.partition("@")[0] for name in names} == set(DECLARED) - SECOND - LISTED


def copy_project(folder: Path) -> None:
    """Copy what says which stages there are."""
    for file in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / file, folder)
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n")


def stages_with(name: str, folder: Path) -> list[dag.Stage]:
    """The stages of the project with a profile laid over it, in a copy."""
    copy_project(folder)
    profile.apply(name, folder / "params.yaml", ROOT / "profiles")
    return dag.stages(folder)


def test_every_method_of_the_tables_is_one_profile_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stages = stages_with("tables", tmp_path)
    needs = {stage.name: {s.name for s in dag.wanted(stages, [stage.name])} for stage in stages}
    names = ("linear", "voca", "faceformer", "meshtalk", "selftalk", "voca_pseudo", "faceformer_pseudo")
    for name in names:
        assert f"baseline@{name}" in needs[f"evaluate@{name}"]
        assert {"segment", "crop", "rig"} <= needs[f"baseline@{name}"]
        assert ("pseudo@pseudo" in needs[f"baseline@{name}"]) == name.endswith("_pseudo")
    assert not any(name.startswith("transcoder") for name in needs["baseline@voca"])


def test_the_second_topology_is_one_profile_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stages = stages_with("second", tmp_path)
    assert {stage.name.partition("@")[0] for stage in stages} == set(DECLARED) - LISTED
    needs = {stage.name: {s.name for s in dag.wanted(stages, [stage.name])} for stage in stages}
    assert {"rig", "perform", "transfer@second"} <= needs["render@second"]
    assert {"render@second", "segment", "crop"} <= needs["transcoder@full"]
    assert "unseen@voices" in needs["animate@ours"] & needs["evaluate@ours"]
    assert "unseen@voices" not in needs["transcoder@full"]  # zero-shot
    assert not any(name.endswith("@cg") for name in needs["report"])


def test_order_puts_every_stage_after_what_it_needs(stages: list[dag.Stage]) -> None:
    place = {stage.name: i for i, stage in enumerate(stages)}
    assert len(place) == len(stages)
    for stage in stages:
        assert all(place[name] < place[stage.name] for name in stage.upstream)
    report = next(stage for stage in stages if stage.name == "report")
    assert {f"evaluate@{m}" for m in PARAMS["methods"]} <= set(report.upstream)


def test_what_needs_what(stages: list[dag.Stage]) -> None:
    needs = {stage.name: {s.name for s in dag.wanted(stages, [stage.name])} for stage in stages}
    assert {"segment", "crop", "rig", "perform", "render@cg"} <= needs["transcoder@full"]
    assert not any(name.startswith("transcoder") for name in needs["regressor@cg"])
    assert needs["report"] == set(needs) - {"champion"}
    assert needs["champion"] == set(needs)
    with pytest.raises(ValueError, match="there is no stage 'trancoder'"):
        dag.wanted(stages, ["trancoder"])


def test_harmless_modules_are_few_and_real() -> None:
    assert len(imports.HARMLESS) <= 6
    for name in imports.HARMLESS:
        assert (ROOT / "src/talkmesh" / f"{name}.py").is_file()


def write_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "stages/cut.py": """
                from typing import TYPE_CHECKING
                from talkmesh import tracking, top
                if TYPE_CHECKING:
                    from talkmesh import typed
                def main():
                    from talkmesh.deep.inner import f
            """,
            "src/talkmesh/__init__.py": '"""Bare."""\n__version__ = "1"\n',
            "src/talkmesh/top.py": "import talkmesh.side\nfrom talkmesh.errors import E\n",
            "src/talkmesh/side.py": "import talkmesh.top\n",  # a circle must not hang
            "src/talkmesh/typed.py": "x = 1\n",
            "src/talkmesh/errors.py": "E = 1\n",
            "src/talkmesh/tracking.py": "from talkmesh import typed\n",
            "src/talkmesh/deep/__init__.py": "from .sister import x\n",
            "src/talkmesh/deep/sister.py": "x = 1\n",
            "src/talkmesh/deep/inner.py": "from ..other import f\nimport json\n",
            "src/talkmesh/deep/style.css": "",
            "src/talkmesh/other.py": "f = 1\n",
            "src/talkmesh/alone.py": "f = 1\n",
        },
    )
    found = {
        p.relative_to("src/talkmesh").as_posix()
        for p in imports.reached(tmp_path / "stages/cut.py", tmp_path)
    }
    assert found == {
        "top.py", "side.py", "other.py", "deep/__init__.py", "deep/sister.py", "deep/inner.py", "deep/style.css",
    }  # fmt: skip


def test_sections_are_found_however_they_are_read() -> None:
    code = """
from talkmesh import params
from talkmesh.params import read, section
one = section(X, "one", {})
two = params.section(X, "two")
values = read()
values["three"], values.get("four"), read()["five"], params.read().get("six", {})
other["no"], other.get("no"), config.section(X, "no")
"""
    assert imports.sections_read(ast.parse(code)) == {"one", "two", "three", "four", "five", "six"}


def test_sections_are_found_through_calls_only(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "stages/cut.py": "from talkmesh.a import run\nrun()\n",
            "src/talkmesh/__init__.py": "",
            "src/talkmesh/a.py": """
                from talkmesh.params import section
                from talkmesh import b
                def run():
                    return section(X, "one"), b.Framing.of()
                def not_called():
                    return section(X, "no")
            """,
            "src/talkmesh/b.py": """
                from talkmesh.params import read
                class Framing:
                    @staticmethod
                    def of():
                        return read()["two"]
            """,
        },
    )
    assert imports.sections_reached(tmp_path / "stages/cut.py", tmp_path) == {"one", "two"}


def test_deps_can_be_put_right_and_the_rest_of_dvc_yaml_stays(tmp_path: Path) -> None:
    text = """\
        # the DAG
        stages:
          cut:
            cmd: python -m stages.cut
            deps:
              - stages/cut.py
              - src/talkmesh/gone.py
              - data/raw # the recordings
            outs: [data/clips]
    """
    write_tree(
        tmp_path,
        {
            "dvc.yaml": text,
            "stages/cut.py": "import talkmesh.b, talkmesh.a\n",
            "src/talkmesh/a.py": "x = 1\n",
            "src/talkmesh/b.py": "x = 1\n",
        },
    )
    assert dag.deps_report(tmp_path).split() == [
        "cut:", "+", "src/talkmesh/a.py", "+", "src/talkmesh/b.py", "-", "src/talkmesh/gone.py",
    ]  # fmt: skip
    dag.write_deps(tmp_path / "dvc.yaml")
    assert dag.deps_report(tmp_path) == ""
    expected = textwrap.dedent(text).replace(
        "      - src/talkmesh/gone.py", "      - src/talkmesh/a.py\n      - src/talkmesh/b.py"
    )
    assert (tmp_path / "dvc.yaml").read_text() == expected


def test_no_parameter_is_one_that_the_run_cache_does_not_see() -> None:
    from dvc_data.hashfile.meta import Meta

    # DVC's run cache leaves these names out of its keys at any depth: a stage would be given the outs of another value
    unseen = {Meta.PARAM_SIZE, Meta.PARAM_NFILES}

    def names(value: object) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(names, value))
        return set(value).union(*map(names, value.values())) if isinstance(value, dict) else set()

    assert not names(PARAMS) & unseen


def test_a_command_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="python -m stages"):
        dag.stage_file({"cmd": "bash run.sh"})


def test_a_listed_fast_path_is_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy_project(tmp_path)
    path = tmp_path / "params.yaml"
    listed = path.read_text().replace("\ndistil:\n  methods: {}", "\ndistil:\n  methods: {ours_fast: full}")
    path.write_text(listed)
    stages = dag.stages(tmp_path)
    needs = {s.name for s in dag.wanted(stages, ["distil@ours_fast"])}
    assert {"transcoder@full", "regressor@cg", "render@cg", "crop"} <= needs
    assert "distil@ours_fast" in {s.name for s in dag.wanted(stages, ["report"])}
