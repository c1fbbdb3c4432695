"""From answers to tables: whose count, what is counted, in the paper's layout."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import studied
from talkmesh import cli
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, write_json
from talkmesh.study import tables
from talkmesh.study.answers import Answer
from talkmesh.study.design import QUESTIONS, Checks
from talkmesh.study.folder import Key, Shown
from talkmesh.study.outcome import Outcome, outcome
from talkmesh.study.pairs import Pair, Trial
from talkmesh.study.report import read_outcome, write_report
from talkmesh.study.shares import Share

CHECKS = Checks(still=1, max_wrong=0, repeats=1, min_consistent=0.6)
BOTH = ("realism", "lip_sync")


def trial(key: Key, pair: Pair, repeats: str = "") -> tuple[Key, Trial]:
    """Add a pair to a key under speaking names."""
    name = f"{pair.part}-{pair.clip}-{pair.left}-{pair.right}"
    videos = {f"{name}:{side}": method for side, method in (("left", pair.left), ("right", pair.right))}
    key.pairs[name] = pair
    key.methods.update(videos)
    return key, Trial(name, *videos, "", pair.questions, repeats)


def made(
    parts: dict[str, bool],
    rows: dict[str, list[str]],
    sentences: int = 2,
    checks: Checks = CHECKS,
    method: str = "ours",
) -> tuple[Shown, Key]:
    """A study of comparisons with `rows` (part to competitors), its checks on the first part."""
    key = Key("x", method, "embedded", "", parts, checks, {}, {}, {})
    trials = []
    for part, others in rows.items():
        questions = QUESTIONS if parts[part] and len(parts) == 1 else BOTH
        for other in others:
            for k in range(sentences):
                sides = (method, other) if k % 2 else (other, method)
                trials.append(trial(key, Pair("pair", part, f"s{k}", *sides, questions, False))[1])
    first = key.pairs[trials[0].id]
    if checks.repeats:
        again = Pair("repeat", first.part, first.clip, first.right, first.left, first.questions, False, 0)
        trials.append(trial(key, again, trials[0].id)[1])
    if checks.still:
        still = Pair("still", first.part, "s0", "still", "ground_truth", first.questions, False)
        trials.append(trial(key, still)[1])
    return Shown("x", 0, tuple(trials)), key


def answers(shown: Shown, key: Key, number: int, taste: studied.Taste) -> list[Answer]:
    found = []
    for t in shown.trials:
        for question in t.questions:
            side = "left" if taste(question, key.methods[t.left], key.methods[t.right]) else "right"
            found.append(Answer(number, t.id, question, side, t.video(side), 2.0 + number))
    return found


FAN = studied.prefers("ours", "ground_truth", "voca", "faceformer", "still")
CRITIC = studied.prefers("ground_truth", "voca", "faceformer", "ours", "still")


def always_left(question: str, left: str, right: str) -> bool:
    return True


def test_shares_are_those_of_counted_participants_and_checks_are_not_counted_as_pairs() -> None:
    shown, key = made({"filmed": True}, {"filmed": ["voca", "ground_truth"]})
    given = [*answers(shown, key, 0, FAN), *answers(shown, key, 1, FAN), *answers(shown, key, 2, CRITIC)]
    found = outcome(shown, key, given)
    assert [p.verdict for p in found.participants] == ["counted"] * 3
    assert set(found.shares) == {("filmed", q, m) for q in QUESTIONS for m in ("voca", "ground_truth")}
    assert set(found.shares.values()) == {Share(4, 6)}, (
        "two sentences, three people; the repetition is no answer"
    )
    assert len(found.chosen) == 3 * 6 * 3
    assert {(c.preferred, c.other) for c in found.chosen if c.kind == "still"} == {("ground_truth", "still")}
    person = found.participants[0]
    assert (person.asked, person.answered, person.wrong, person.consistent, person.seconds) == (
        18,
        18,
        0,
        1.0,
        2.0,
    )


def test_those_who_fail_a_check_or_do_not_finish_are_reported_apart() -> None:
    shown, key = made({"filmed": True}, {"filmed": ["voca"]})
    asleep = studied.prefers("ours", "voca", "still", "ground_truth")
    given = [
        *answers(shown, key, 0, FAN),
        *answers(shown, key, 1, asleep),
        *answers(shown, key, 2, always_left),
    ]
    given += answers(shown, key, 3, FAN)[:4]
    given += [a for a in answers(shown, key, 4, FAN) if key.pairs[a.trial].kind == "pair"]
    found = outcome(shown, key, given)
    assert [p.verdict for p in found.participants] == [
        "counted",
        "failed",
        "failed",
        "unfinished",
        "unfinished",
    ]
    assert found.participants[1].why == "the face that does not move in 1 of 1 pairs"
    assert found.participants[3].why == "4 of 12 questions answered"
    assert set(found.shares.values()) == {Share(2, 2)}
    said = "\n".join(tables.table(key, found).notes)
    assert "1 participant counted; 2 failed the checks and 2 did not finish" in said
    assert key.checks.rule in said


def test_always_the_same_side_is_found_by_the_repetition_alone() -> None:
    checks = Checks(still=0, max_wrong=0, repeats=1, min_consistent=0.25)
    shown, key = made({"filmed": True}, {"filmed": ["voca"]}, checks=checks)
    (person,) = outcome(shown, key, answers(shown, key, 0, always_left)).participants
    assert (person.verdict, person.consistent, person.left) == ("failed", 0.0, 1.0)
    assert person.why == "0 % of repeated questions answered alike"
    lenient = Checks(still=0, max_wrong=0, repeats=1, min_consistent=0.0)
    shown, key = made({"filmed": True}, {"filmed": ["voca"]}, checks=lenient)
    assert outcome(shown, key, answers(shown, key, 0, always_left)).count("counted") == 1


def test_the_rule_says_what_is_done() -> None:
    assert "at most 0 of 1 pairs" in CHECKS.rule
    assert "at least 60 %" in CHECKS.rule
    assert Checks(0, 0, 0, 0.0).rule == "Counted are the answers of those who finished."


def test_printed_values_are_the_paper_s() -> None:
    """Typed again from the paper, column by column."""
    columns = list(zip(*tables.TABLE_3.values(), strict=True))
    assert columns[0] == (51.0, 45.0, 43.0, 75.0, 58.0, 52.0)
    assert columns[1] == (53.0, 49.0, 45.0, 64.0, 61.0, 51.0)
    assert columns[2] == (63.0, 57.0, 58.0, 60.0, 54.0, 48.0)
    assert list(tables.TABLE_3) == [
        "voca",
        "faceformer",
        "ground_truth",
        "voca_pseudo",
        "faceformer_pseudo",
        "pseudo",
    ]
    for question, rows in (
        ("realism", [(17.5, None, None), (40.0, 57.5, 48.8), (45.0, 95.0, 70.0)]),
        ("lip_sync", [(5.0, None, None), (15.0, 57.5, 36.3), (60.0, 80.0, 70.0)]),
    ):
        assert list(tables.TABLE_4[question]) == ["ground_truth", "faceformer", "voca"]
        assert list(tables.TABLE_4[question].values()) == rows


def second() -> tuple[Key, Outcome]:
    shown, key = made(
        {"unseen": False, "filmed": True},
        {"unseen": ["voca", "ground_truth", "faceformer"], "filmed": ["voca", "faceformer"]},
        4,
    )
    given = [a for k in range(6) for a in answers(shown, key, k, FAN)]
    return key, outcome(shown, key, given + [a for k in range(6, 10) for a in answers(shown, key, k, CRITIC)])


def test_the_second_study_is_reported_part_by_part_and_averaged() -> None:
    table = tables.table(*second())
    assert (table.number, [block.head for block in table.blocks]) == (4, ["Realism", "Lip Sync"])
    for block in table.blocks:
        assert block.columns == ("unseen", "filmed", "Avg.")
        assert list(block.rows) == ["voca", "faceformer", "ground_truth"]
        shares = [cell.share for cell in block.rows["voca"]]
        assert shares == [Share(24, 40), Share(24, 40), Share(48, 80)], "as many answers as the paper has"
        assert [cell.share for cell in block.rows["ground_truth"]] == [Share(24, 40), None, None]
    text = tables.to_markdown(table)
    assert "| Ours vs. GT | 60.0 [44.6, 73.7], p 0.268 | 17.5 | – |  | – |  |" in text  # noqa: RUF001
    assert (
        "| Ours vs. FaceFormer | 60.0 [44.6, 73.7], p 0.268 | 40.0 | 60.0 [44.6, 73.7], p 0.268 | 57.5 |"
        in text
    )


def test_p_values_are_adjusted_over_all_cells_but_averages() -> None:
    records = tables.records(tables.table(*second()))
    cells = [r for r in records if r["column"] != "Avg."]
    assert len(cells) == 10
    assert all(r["p_holm"] == pytest.approx(min(1.0, 10 * r["p"])) for r in cells)


def test_a_study_of_unfilmed_sentences_alone_has_the_fourth_layout_without_average() -> None:
    shown, key = made({"voices": False}, {"voices": ["voca"]})
    table = tables.table(key, outcome(shown, key, answers(shown, key, 0, FAN)))
    assert (table.number, table.blocks[0].columns) == (4, ("voices",))
    assert table.blocks[0].rows["voca"][0].printed == 45.0


def test_another_method_than_the_paper_s_has_no_paper_columns() -> None:
    shown, key = made({"filmed": True}, {"filmed": ["voca", "selftalk"]}, method="ours_anchored")
    taste = studied.prefers("ours_anchored", "ground_truth", "voca", "selftalk", "still")
    text = tables.to_markdown(tables.table(key, outcome(shown, key, answers(shown, key, 0, taste))))
    assert "paper" not in text
    assert "| Ours, anchored vs. SelfTalk-style | 100.0" in text


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


@pytest.mark.parametrize("which", ["first", "second"])
def test_every_format_holds_the_same_numbers(which: str) -> None:
    if which == "first":
        shown, key = made({"filmed": True}, {"filmed": ["voca", "voca_pseudo", "pseudo"]})
        found = outcome(shown, key, answers(shown, key, 0, studied.prefers(
            "ours", "ground_truth", "voca", "voca_pseudo", "pseudo", "still")))  # fmt: skip
    else:
        key, found = second()
    table = tables.table(key, found)
    rows = list(csv.DictReader(tables.to_csv(table).splitlines()))
    assert len(rows) == sum(
        c.share is not None for b in table.blocks for cells in b.rows.values() for c in cells
    )
    page = Text()
    page.feed(tables.to_html(table))
    assert page.open == []
    latex, markdown = tables.to_latex(table), tables.to_markdown(table)
    for row in rows:
        value = (
            f"{100 * float(row['share']):.1f} [{100 * float(row['low']):.1f}, {100 * float(row['high']):.1f}]"
        )
        assert any(value in cell for cell in page.cells)
        assert value in latex
        assert value in markdown
        assert float(row["low"]) <= float(row["share"]) <= float(row["high"])
    assert latex.count(r"\midrule") == 2 * len(table.blocks) - 1
    assert r"50 \%" in latex
    assert ("VOCA*" in "".join(page.cells)) == (which == "first") == ("VOCA\\*" in markdown)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return studied.built(tmp_path, studied.study(studied.part(sentences=1)))


def test_the_report_is_written_and_says_what_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taste = studied.prefers("ours", "ground_truth", "pseudo", "still")
    with pytest.raises(TalkmeshError, match="nobody answered yet"):
        write_report(folder)
    for _ in range(3):
        studied.answer_all(folder, taste)
    studied.answer_all(folder, studied.prefers("still", "pseudo", "ours", "ground_truth"))
    studied.answer_all(folder, taste, upto=2)
    assert cli.main(["study", "report", str(folder), "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert {(c["preferred"], c["answers"]) for c in cells} == {(3, 3)}
    assert cells[0]["paper"] == 0.43
    report = folder / "report"
    assert {p.name for p in report.iterdir()} == {
        "index.html", "participants.csv", "answers.csv", "table3.csv", "table3.md", "table3.tex", "table3.html",
    }  # fmt: skip
    people = pd.read_csv(report / "participants.csv")
    assert people["verdict"].tolist() == ["counted"] * 3 + ["failed", "unfinished"]
    every = pd.read_csv(report / "answers.csv")
    assert len(every) == 4 * 5 * 3 + 2
    page = (report / "index.html").read_text()
    assert "synthetic benchmark" in page, "the made corpus is labelled"
    assert "The mask was made for tests." in page
    assert "://" not in page.replace("http://www.w3.org", "")
    before = {p.name: p.read_bytes() for p in report.iterdir()}
    write_report(folder)
    assert {p.name: p.read_bytes() for p in report.iterdir()} == before


def test_a_key_of_another_build_and_no_answers_are_told(folder: Path) -> None:
    studied.answer_all(folder, studied.prefers("ours"), upto=0)
    with pytest.raises(TalkmeshError, match="holds no answer yet"):
        read_outcome(folder)
    key = read_json(folder / "key.json")
    write_json(folder / "key.json", key | {"id": "another"})
    with pytest.raises(TalkmeshError, match="not of the same build"):
        read_outcome(folder)
    write_json(folder / "key.json", {"id": "another"})
    with pytest.raises(TalkmeshError, match="is missing"):
        read_outcome(folder)
