"""The paper's tables: rows, cells, formats; printed values as in the paper."""

import csv
import io
from html.parser import HTMLParser
from typing import Any

import pytest

from talkmesh.report import paper


def value(mean: float | None, half: float = 0.25, clips: int = 20, seeds: int = 1) -> dict[str, Any]:
    ends = [None, None] if mean is None else [mean - half, mean + half]
    return {"mean": mean, "ci95": ends, "n_clips": clips, "seeds": seeds}


def results(track: str = "cg", **methods: Any) -> dict[str, Any]:
    return {"corpus": "embedded", "track": track, "measured_on": {"crop_px": 64}, "methods": methods}


FULL = results(
    ours={"lve_mm": value(2.5, seeds=3), "lle_px": value(1.25)},
    voca_pseudo={"lve_mm": value(3.5), "lle_px": value(1.5)},
    voca={"skipped": "no ground truth"},
    ground_truth={"lve_mm": value(0.0, 0.0, seeds=0), "lle_px": value(1.0, seeds=0)},
    still={"lve_mm": value(5.0, seeds=0), "lle_px": value(2.0, seeds=0)},
    ours_no_cycle={"lle_px": value(1.75)},
    something_else={"lle_px": value(9.0)},
)


def test_printed_values_are_the_paper_s() -> None:
    """Typed again from the paper, column by column."""
    lve = {line.label: line.printed.get("lve_mm") for line in paper.TABLE_1.lines if line.in_paper}
    lle = {line.label: line.printed.get("lle_px") for line in paper.TABLE_1.lines if line.in_paper}
    labels = ["VOCA", "FaceFormer", "GT", "VOCA*", "FaceFormer*", "Pseudo GT", "Ours"]
    assert lve == dict(zip(labels, (3.718, 2.690, 0, 5.838, 4.536, 3.773, 3.708), strict=True))
    assert lle == dict(zip(labels, (5.908, 5.845, 5.041, 3.790, 3.613, 2.941, 3.241), strict=True))
    assert [(x.label, x.printed["lve_mm"]) for x in paper.TABLE_2.lines if x.in_paper] == [
        ("VOCA", 4.690), ("FaceFormer", 3.166), ("Ours", 5.102),
    ]  # fmt: skip
    assert [(x.marks, x.printed["lle_px"]) for x in paper.TABLE_5.lines if x.in_paper] == [
        (("yes", "no"), 3.407), (("no", "yes"), 3.482), (("yes", "yes"), 3.241),
    ]  # fmt: skip


def test_rows_are_those_that_have_a_result_in_the_paper_s_order() -> None:
    one, five = paper.tables(FULL)
    assert [row.line.label for row in one.rows] == ["GT", "VOCA*", "Ours", "Still face"]
    assert [row.line.method for row in five.rows] == ["ours_no_cycle", "ours"]
    assert one.rows[2].seeds == 3
    assert one.rows[0].cells["lve_mm"] == paper.Cell(0, 0, 0)


def test_a_track_has_its_own_tables_and_empty_ones_are_left_out() -> None:
    second = results("second", ours={"lve_mm": value(4.0)}, still={"lve_mm": value(6.0, seeds=0)})
    (two,) = paper.tables(second)
    assert two.layout.number == 2
    assert paper.tables(results(ours={"skipped": "why"})) == []
    assert paper.tables(results(still={"lve_mm": value(5.0)})) == []  # no row of the paper
    assert [t.layout.number for t in paper.tables(results(ours={"lle_px": value(1.0)}))] == [1]


def test_csv_has_one_number_a_cell() -> None:
    rows = list(csv.DictReader(io.StringIO(paper.to_csv(paper.tables(FULL)[0]))))
    (ours,) = [row for row in rows if row["method"] == "ours"]
    assert [float(ours[f"lve_mm{end}"]) for end in ("", "_low", "_high", "_paper")] == [
        2.5,
        2.25,
        2.75,
        3.708,
    ]
    assert (ours["n_clips"], ours["seeds"], ours["in_paper"]) == ("20", "3", "yes")
    (still,) = [row for row in rows if row["method"] == "still"]
    assert (still["lve_mm_paper"], still["in_paper"]) == ("", "no")
    five = list(csv.DictReader(io.StringIO(paper.to_csv(paper.tables(FULL)[1]))))
    assert (five[0]["L_ccl"], five[0]["lle_px"]) == ("no", "1.75")


@pytest.mark.parametrize("suffix", ["md", "tex", "html"])
def test_every_format_has_every_cell_with_its_interval_and_the_warning(suffix: str) -> None:
    text = paper.WRITERS[suffix](paper.tables(FULL)[0])
    for cell in ("0.000 [0.000, 0.000]", "3.500 [3.250, 3.750]", "1.250 [1.000, 1.500]", "5.838", "2.941"):
        assert (cell in text) == (cell != "2.941")  # there is no Pseudo GT here
    assert "another data set" in text
    assert "64 px crop" in text
    assert "Ours 3" in text  # trainings
    assert "Still face (added)" in text


@pytest.mark.parametrize("suffix", ["md", "tex", "html"])
def test_a_made_corpus_is_labelled(suffix: str) -> None:
    made = FULL | {"synthetic": "made by talkmesh sample"}
    for results_of, labelled in ((made, True), (FULL, False), (FULL | {"synthetic": ""}, False)):
        assert ("synthetic benchmark" in paper.WRITERS[suffix](paper.tables(results_of)[0])) == labelled


def test_markdown_lines_up() -> None:
    lines = [line for line in paper.to_markdown(paper.tables(FULL)[0]).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert {line.count("|") for line in lines} == {6}
    assert r"VOCA\*" in lines[3]


def test_latex_is_balanced_and_escaped() -> None:
    text = paper.to_latex(paper.tables(FULL)[1])
    assert text.count("{") == text.count("}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {row.count("&") for row in rows} == {4}
    assert r"$\checkmark$" in text
    assert r"95 \%" in text
    assert r"\mathcal{L}_{ccl}" in text
    assert "Table 5" not in text  # LaTeX counts by itself


def test_html_is_well_formed() -> None:
    stack: list[str] = []

    class Balance(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert stack.pop() == tag

    Balance().feed(paper.to_html(paper.tables(FULL)[0]))
    assert stack == []


def test_what_is_undefined_is_a_dash_and_one_clip_has_no_interval() -> None:
    odd = results(
        ours={"lve_mm": value(1.0) | {"ci95": [None, None], "n_clips": 1}, "lle_px": value(2.0)},
        pseudo={"lve_mm": value(None), "lle_px": value(3.0)},
    )
    text = paper.to_markdown(paper.tables(odd)[0])
    assert "| 1.000 |" in text
    assert "| Pseudo GT | – |" in text  # noqa: RUF001
    assert paper.to_csv(paper.tables(odd)[0]).splitlines()[1].startswith("pseudo,Pseudo GT,yes,,,,3.773,3,")
