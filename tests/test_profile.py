"""Profiles: small differences laid over params.yaml, comments kept."""

from pathlib import Path

import pytest
import yaml

from talkmesh import profile
from talkmesh.errors import TalkmeshError

PARAMS = """\
# every number
corpus: embedded   # a folder

crop:
  size: 64         # pixels
  mask: true
  names: [a, b]    # listed
model:
  deep: {x: 1, y: "two"}
variants:
  full: {}
"""


@pytest.fixture
def params(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS)
    return path


def lay(params: Path, text: str) -> list[str]:
    folder = params.parent / "profiles"
    (folder / "mine.yaml").write_text(text)
    return profile.apply("mine", params, folder)


def test_differences_are_merged_and_everything_else_stays_to_the_byte(params: Path) -> None:
    changed = lay(params, "crop: {size: 128}\nmodel: {deep: {x: 2}}\n")
    assert changed == ["crop.size: 64 -> 128", "model.deep.x: 1 -> 2"]
    assert params.read_text() == PARAMS.replace("size: 64 ", "size: 128").replace("x: 1", "x: 2")


def test_a_second_time_changes_nothing(params: Path) -> None:
    text = "corpus: grid\ncrop: {mask: false, names: [c]}\nvariants: {small: {code: 8}}\n"
    assert len(lay(params, text)) == 4
    before = params.read_text()
    assert lay(params, text) == []
    assert params.read_text() == before


def test_result_is_the_recursive_union(params: Path) -> None:
    lay(params, "crop: {names: [c]}\nvariants: {small: {model: {code: 8}}, full: {steps: 3}}\n")
    expected = yaml.safe_load(PARAMS)
    expected["crop"]["names"] = ["c"]
    expected["variants"] = {"full": {"steps": 3}, "small": {"model": {"code": 8}}}
    assert yaml.safe_load(params.read_text()) == expected


def test_true_is_not_one(params: Path) -> None:
    assert lay(params, "crop: {mask: 1}\n") == ["crop.mask: true -> 1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("crop: {sise: 128}\n", "unknown key 'crop.sise'; known keys there are size, mask, names"),
        ("corpsu: x\n", "unknown key 'corpsu'"),
        ("model: {deep: {z: 1}}\n", "unknown key 'model.deep.z'"),
        ("crop: 3\n", "'crop' is a plain value, but params.yaml has a mapping"),
        ("corpus: {a: 1}\n", "'corpus' is a mapping, but params.yaml has a plain value"),
        ("[1, 2]\n", "must hold keys and values"),
        ("crop: {size: 1\n", "not valid YAML"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(params: Path, text: str, words: str) -> None:
    with pytest.raises(TalkmeshError, match=words):
        lay(params, "corpus: changed\n" + text if text.startswith("crop") else text)
    assert params.read_text() == PARAMS


def test_an_unknown_profile_names_the_known_ones(params: Path) -> None:
    folder = params.parent / "profiles"
    (folder / "paper.yaml").write_text("# the paper's scale\ncorpus: x\n")
    assert profile.available(folder) == {"paper": "the paper's scale"}
    with pytest.raises(TalkmeshError, match=r"no profile 'papre'.*known profiles are paper"):
        profile.apply("papre", params, folder)
