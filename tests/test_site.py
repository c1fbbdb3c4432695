"""Parts of pages that programs make are current, licences are known, the site is whole and asks nobody for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import licences, made, metrics, site
from pages import ROOT
from talkmesh import definitions


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
