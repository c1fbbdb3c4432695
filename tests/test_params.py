"""Parameter sections: every wrong key or type is named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml

from talkmesh import params
from talkmesh.errors import TalkmeshError


@dataclass(frozen=True)
class Inner:
    kind: Literal["a", "b"]


@dataclass(frozen=True)
class Section:
    size: int
    rate: float
    widths: tuple[int, ...]
    inner: Inner
    test: int | float | str = 3


GOOD = {"size": 4, "rate": 1, "widths": [1, 2], "inner": {"kind": "a"}}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        Path("params.yaml").write_text(yaml.safe_dump({"stage": GOOD | changes}))

    return write


def test_types_are_kept_and_whole_numbers_serve_as_floats(write):
    write(test=0.5)
    section = params.section(Section, "stage")
    assert section == Section(4, 1.0, (1, 2), Inner("a"), 0.5)
    assert isinstance(section.rate, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": 1}, r"stage: unknown key 'sizes'; known keys are inner, rate, size"),
        ({"size": 1.5}, r"stage\.size must be int; got 1\.5"),
        ({"size": True}, r"stage\.size must be int; got True"),
        ({"size": "4"}, r"stage\.size must be int; got '4'"),
        ({"widths": [1, "x"]}, r"stage\.widths\[1\] must be int; got 'x'"),
        ({"inner": {"kind": "c"}}, r"stage\.inner\.kind must be one of a, b; got 'c'"),
        ({"inner": {}}, r"stage\.inner: key 'kind' is missing"),
        ({"rate": None}, r"stage\.rate must be float; got None"),
        ({"test": [1]}, r"stage\.test must be .*; got \[1\]"),
    ],
)
def test_each_mistake_is_named(write, changes, message):
    write(**changes)
    with pytest.raises(TalkmeshError, match=message):
        params.section(Section, "stage")


def test_missing_file_section_and_broken_yaml(write, tmp_path):
    with pytest.raises(TalkmeshError, match=r"params\.yaml not found"):
        params.section(Section, "stage")
    write()
    with pytest.raises(TalkmeshError, match="section 'other' is missing"):
        params.section(Section, "other")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(TalkmeshError, match="not valid YAML"):
        params.read()


def test_overrides_reach_into_mappings(write):
    write()
    section = params.section(Section, "stage", {"inner": {"kind": "b"}})
    assert section.inner.kind == "b"
    assert section.size == 4
    with pytest.raises(TalkmeshError, match="unknown key 'knd'"):
        params.section(Section, "stage", {"inner": {"knd": "b"}})
