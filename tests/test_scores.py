"""The table of scores, as the terminal and the flow's page show it."""

from pathlib import Path

import pytest

from talkmesh import scores
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_json

METRICS = {
    "corpus": "embedded",
    "track": "cg",
    "synthetic": "All of it was made.",
    "methods": {
        "ours": {
            "lve_mm": {"mean": 1.23456, "ci95": [1.0, 1.5], "n_clips": 20},
            "opening_r": {"mean": 0.8, "ci95": None, "n_clips": 20},
        },
        "voca": {"skipped": "no weights"},
    },
}


def test_table_shows_means_intervals_gaps_and_reasons() -> None:
    lines = scores.table(METRICS, ("lve_mm", "opening_r", "lle_px")).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["method", "lve_mm", "opening_r", "lle_px"]
    assert cells[2] == ["ours", "1.23 [1, 1.5]", "0.8", "-"]
    assert cells[3] == ["voca", "skipped: no weights", "", ""]
    assert len({len(line) for line in lines}) == 1  # columns line up


def test_show_says_that_it_is_synthetic_and_where_to_look(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, METRICS)
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").touch()
    text = scores.show(path)
    assert "Corpus embedded (synthetic benchmark), track cg" in text
    assert scores.heading({"corpus": "embedded", "track": "cg"}) == "Corpus embedded, track cg"
    assert str(tmp_path / "html" / "index.html") in text


def test_no_results_or_strange_ones_are_explained(tmp_path: Path) -> None:
    with pytest.raises(TalkmeshError, match="dvc repro"):
        scores.show(tmp_path / "metrics.json")
    with pytest.raises(TalkmeshError, match="not of this version"):
        scores.table({"corpus": "x"})


def test_the_summary_holds_means_of_judged_methods_only() -> None:
    still = {"lve_mm": {"mean": 5.0, "ci95": None}, "mve_mm": {"mean": 1.0, "ci95": None}}
    metrics = METRICS | {"methods": METRICS["methods"] | {"still": still, "pseudo": still}}
    assert scores.summary(metrics, without=["still"]) == {
        "ours": {"lve_mm": 1.23456, "opening_r": 0.8},
        "pseudo": {"lve_mm": 5.0},
    }
