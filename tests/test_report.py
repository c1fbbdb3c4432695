"""The report of a made-up project: what is on the page, that every link resolves, that nothing comes from a network."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages import evaluate, reference
from stages import report as report_stage
from talkmesh import contracts, landmarks, media
from talkmesh.definitions import AGAINST_FILM, AGAINST_MESHES, METRICS, PREVIEWS
from talkmesh.errors import TalkmeshError
from talkmesh.intervals import Bootstrap
from talkmesh.preview import save_png
from talkmesh.report import HTML, METRICS_FILE, TABLES, collect, figures, pictures, tables
from talkmesh.report.page import SYNTHETIC_NOTE
from tiny_project import CLIPS, FPS, FRAMES, SIZE, add_models, make

METHODS = ("ours", "pseudo", "ground_truth", "still", "chance")
HOW = Bootstrap(200, 7)


class Page(HTMLParser):
    """Collects links, ids and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "poster", "data") and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.append(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def painted(vertices: np.ndarray, rig: object, size: int, camera: object = None) -> Iterator[np.ndarray]:
    """Meshes as plain pictures: the renderer has its own tests and needs OpenGL."""
    return (np.full((size, size, 3), 40 + int(abs(v[45, 1])) % 200, np.uint8) for v in vertices)


@pytest.fixture(autouse=True)
def _painted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "rendered", painted)


def reported(root: Path, monkeypatch: pytest.MonkeyPatch, models: bool = True, **options: object) -> Page:
    make(root, **options)  # type: ignore[arg-type]
    monkeypatch.chdir(root)
    if models:
        add_models(root)
        save_png(Path("reports/preview/rig.png"), np.zeros((8, 8, 3), np.uint8))
    for method in ("still", "ground_truth", "chance"):
        reference.main(method)
    for method in METHODS:
        evaluate.main(method)
    report_stage.main()
    return Page(HTML / "index.html")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with everything on the page, made once: the tests that use `page` only look at it."""
    root = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "rendered", painted)
        reported(root, patch)
    return root


@pytest.fixture
def page(project: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.chdir(project)
    return Page(HTML / "index.html")


def test_every_link_resolves_within_the_folder(page: Page) -> None:
    assert len(page.links) > 20
    for link in page.links:
        parts = urlparse(link)
        assert not parts.scheme, link
        assert not parts.netloc, link
        if parts.path:
            assert (HTML / unquote(parts.path)).is_file(), link
            assert ".." not in parts.path
        else:
            assert parts.fragment in page.ids
    assert not re.search(r"https?://(?!www\.w3\.org)", page.source)  # names of SVG's namespaces are no links
    assert "@import" not in page.source
    assert "script" not in page.tags
    used = {unquote(urlparse(link).path) for link in page.links}
    left = {str(p.relative_to(HTML)) for p in HTML.rglob("*") if p.is_file()} - {"index.html"}
    assert left <= used  # nothing lies there that the page does not show
    assert len(page.ids) == len(set(page.ids))


def test_page_shows_what_was_measured(page: Page) -> None:
    results = json.loads(METRICS_FILE.read_text())
    assert list(results["methods"]) == sorted(METHODS)
    for metric in AGAINST_MESHES + AGAINST_FILM:
        assert metric.label in page.text
        assert metric.name in page.text  # in the definitions
        for method in METHODS:
            mean = results["methods"][method][metric.name]["mean"]
            if mean is None:
                continue
            shown = tables.number(mean, metric.digits).replace("&ndash;", "–").replace("&minus;", "−")  # noqa: RUF001
            assert shown in page.text
    ratio = results["methods"]["ours"]["lve_mm"]["mean"] / results["methods"]["still"]["lve_mm"]["mean"]
    assert f"{ratio:.2f} of still" in page.text
    assert "synthetic benchmark" in page.text
    assert SYNTHETIC_NOTE in page.text
    assert "The mask was made for tests." in page.text
    assert f"{SIZE} px crop" in page.text
    assert "40 vertices of the rig's lip set" in page.text
    assert "the video has no sound" in page.text  # why a recording was dropped
    for title in (
        "Results",
        "Watch and listen",
        "Frame by frame",
        "Lip opening",
        "Training",
        "Tables of the paper",
        "Where the errors are",
        "Data",
        "Definitions",
    ):
        assert title in page.text
    assert "transcoder full" in page.text
    assert "regressor cg" in page.text
    assert "talk_c" in page.text  # in the table of clips, though only two are shown
    assert "media/talk_c.mp4" not in page.source


def test_videos_have_sound_and_strips_have_frames(page: Page) -> None:
    for clip in CLIPS[:2]:
        frames = list(media.read_video(HTML / "media" / f"{clip}.mp4", FPS))
        assert len(frames) == FRAMES
        assert frames[0].shape == (
            64 + pictures.BAR,
            4 * 64 + 3 * pictures.GAP,
            3,
        )  # film, truth, ours, pseudo
        sound = media.read_audio(HTML / "media" / f"{clip}.mp4")
        assert len(sound) == pytest.approx(FRAMES / FPS * 16_000, rel=0.1)
        assert np.abs(sound).max() > 0.05
        assert np.asarray(Image.open(HTML / "media" / f"{clip}.png")).shape == frames[0].shape
    film = np.asarray(Image.open(HTML / "media" / "talk_a_film.png"))
    opened = landmarks.opening(contracts.read_crops("talk_a").landmarks)
    chosen, closing = pictures.columns(opened, 5)
    crops = contracts.read_crops("talk_a").images
    assert closing.any()
    for place, (frame, closes) in enumerate(zip(chosen, closing, strict=True)):
        picture = film[:, place * SIZE : (place + 1) * SIZE]
        assert (picture[1:-1, 1:-1] == crops[frame][1:-1, 1:-1]).all()
        assert (picture[0] == (pictures.MARK if closes else crops[frame][0])).all()
    decoded = contracts.read_npz(contracts.PREDICTIONS / "ours" / "strips" / "talk_a.npz")["d_s"]
    strip = np.asarray(Image.open(HTML / "media" / "talk_a_ours_D_S.png"))
    inner = np.concatenate([decoded[i] for i in chosen], axis=1)
    assert (strip == inner).mean() > 0.9  # all but the frames


def test_errors_on_the_face_tests_and_tables_are_there(page: Page) -> None:
    for method in ("ours", "pseudo", "still", "chance"):
        assert f"media/error_{method}.png" in page.links
    assert "media/error_ground_truth.png" not in page.links
    assert "Lip opening over time in 3 clips" in page.source  # every test clip, not only those shown
    assert "ours − still" in page.text  # noqa: RUF001
    assert "Table 1. Quantitative results, corpus embedded (synthetic benchmark)." in page.text
    pairs = json.loads(METRICS_FILE.read_text())["comparisons"]
    assert {(p["a"], p["b"]) for p in pairs if p["metric"] == "lve_mm"} == {
        (a, b) for i, a in enumerate(METHODS) for b in METHODS[i + 1 :]
    }
    lve = {m: contracts.RESULTS / f"{m}.csv" for m in ("ours", "still")}
    means = {m: pd.read_csv(path)["lve_mm"].mean() for m, path in lve.items()}
    (pair,) = [p for p in pairs if (p["metric"], p["a"], p["b"]) == ("lve_mm", "ours", "still")]
    assert pair["difference"] == pytest.approx(means["ours"] - means["still"], rel=1e-4)
    assert sorted(p.name for p in TABLES.iterdir()) == [f"table1.{s}" for s in ("csv", "html", "md", "tex")]


def test_lips_that_close_between_openings_are_found() -> None:
    opening = np.interp(np.arange(60), [0, 10, 20, 25, 30, 45, 59], [0.0, 0.4, 0.01, 0.3, 0.15, 0.4, 0.0])
    opening[40:42] = np.nan
    assert pictures.closings(opening).tolist() == [20]  # not the ends, not the half-closed frame 30
    chosen, closing = pictures.columns(opening, 6)
    assert chosen[closing].tolist() == [20]
    assert len(chosen) == 6
    assert pictures.closings(np.zeros(20)).tolist() == []
    many = np.tile([0.0, 0.4, 0.0, 0.4], 20)
    assert pictures.columns(many, 8)[1].sum() == 4  # half of a strip at most


def test_the_same_inputs_give_the_same_page(page: Page) -> None:
    report_stage.main()
    assert (HTML / "index.html").read_text() == page.source
    assert [p.name for p in HTML.parent.iterdir() if p.name.startswith(".tmp")] == []


def test_real_corpus_without_truth_and_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but predictions: no millimetres, said so; no label of synthesis; empty sections are left out."""
    page = reported(tmp_path, monkeypatch, models=False, corpus="grid", truth=False)
    assert "synthetic" not in page.text
    assert "No errors in millimetres: the corpus has no ground truth." in page.text
    assert "Against the exact meshes" not in page.text
    assert "Against the filmed lips" in page.text
    assert "Training" not in page.text
    assert "true mesh" not in page.text
    results = json.loads(METRICS_FILE.read_text())
    assert "lve_mm" not in results["methods"]["ours"]
    assert results["absent"]["lve_mm"] == "the corpus has no ground truth"


def test_names_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    table = contracts.read_clips(kept=False)
    table.loc[table["clip"] == "silent", "dropped_why"] = 'bad <script>alert("1")</script> & more'
    contracts.write_clips(table)
    evaluate.main("ours")
    report_stage.main()
    page = Page(HTML / "index.html")
    assert "script" not in page.tags
    assert 'bad <script>alert("1")</script> & more' in page.text
    assert "not evaluated yet" in page.text  # all others, which the list of methods names


def test_collect_names_what_is_missing_or_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TalkmeshError, match="no result of ours, still"):
        collect(["ours", "still"], "embedded", HOW)
    evaluate.main("ours")
    with pytest.raises(TalkmeshError, match=r"ours.json is of corpus embedded.*not of grid"):
        collect(["ours"], "grid", HOW)
    evaluate.main("voca")
    judged = collect(["voca", "ours"], "embedded", HOW)
    assert judged["methods"]["voca"] == {"skipped": "predictions/voca holds no predictions"}
    assert "lve_mm" in judged["methods"]["ours"]


def read_tables(html: str) -> list[pd.DataFrame]:
    """The tables of text on a page."""
    found = []
    for content in re.findall(r"<table.*?</table>", html):
        head = [unescape(cell) for cell in re.findall(r"<th>(.*?)</th>", content)]
        lines = [re.findall(r"<td>(.*?)</td>", line) for line in re.findall(r"<tr><td>.*?</tr>", content)]
        found.append(pd.DataFrame([[unescape(cell) for cell in line] for line in lines], columns=head))
    return found


def test_quality_of_every_clip_and_its_medians(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers in their columns, medians of what was kept, dropped clips with their reason and what was measured."""
    make(tmp_path)
    crops = contracts.read_crop_table(tmp_path / contracts.CROPS).set_index("clip")
    crops.loc["talk_a", ["yaw_deg", "offset_ms"]] = 31.0, -83.4
    crops.loc["talk_b", ["offset_ms", "shift_ms"]] = 120.0, 120.0
    crops.loc["talk_c", ["faces", "yaw_deg", "dropped_why"]] = 0, np.nan, "no face found"
    clips = contracts.read_clips(tmp_path / contracts.CLIPS, kept=False)
    found = read_tables(tables.data_tables(clips, crops.reset_index()))
    (medians, each) = (t for t in found if "sound late by, ms" in t.columns)
    each = each.set_index("clip")
    assert list(each.index) == ["median", *CLIPS]  # not the recording that `segment` dropped
    assert float(each.loc["talk_a", "yaw, degrees"]) == 31
    assert float(each.loc["talk_a", "sound late by, ms"]) == -83
    assert float(each.loc["talk_b", "shifted by, ms"]) == 120
    assert float(each.loc["talk_b", "skull moved by, px"]) == 1.2
    assert float(each.loc["talk_b", "aligned, px"]) == 0.4
    assert each.loc["talk_c", "yaw, degrees"] == "–"  # noqa: RUF001
    assert each.loc["talk_c", "dropped"] == "no face found"
    assert len(medians) == 1
    assert float(medians.loc[0, "yaw, degrees"]) == pytest.approx((31 + 12.5) / 2, abs=0.5)
    assert float(medians.loc[0, "frames with a face"]) == FRAMES - 1  # that of talk_c does not count
    reasons = next(t for t in found if "reason" in t.columns).set_index("clip")["reason"]
    assert reasons.to_dict() == {"silent": "the video has no sound", "talk_c": "no face found"}


def test_pictures_of_stages_have_captions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture that a stage writes to reports/preview, by dvc.yaml, is one the page can explain."""
    stages = (Path(__file__).parents[1] / "dvc.yaml").read_text()
    outs = re.findall(r"reports/preview/([a-z]+)(?:_\$\{\w+\})?\.png", stages)
    assert set(outs) == set(PREVIEWS)
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("footage", "regressor", "segment"):
        save_png(Path(f"reports/preview/{name}.png"), np.zeros((8, 8, 3), np.uint8))
    evaluate.main("ours")
    report_stage.main()
    text = Page(HTML / "index.html").text
    places = [text.index(f"{name}: {PREVIEWS[name]}") for name in ("segment", "footage", "regressor")]
    assert places == sorted(places)


# --------------------------------------------------------------------------------------------------- parts


def result(mean: float | None) -> dict[str, object]:
    return {"mean": mean, "ci95": [mean, mean], "n_clips": 3, "seeds": 1}


def test_best_is_by_the_metric_s_own_direction() -> None:
    def best(name: str, **means: float | None) -> set[str]:
        return tables.best_of(METRICS[name], {m: {name: result(v)} for m, v in means.items()})

    assert best("lve_mm", a=2.0, b=1.0, ground_truth=0.0, still=0.5) == {"b"}
    assert best("opening_r", a=0.8, b=0.9, still=None) == {"b"}
    assert best("opening_sd_ratio", a=0.9, b=1.4) == {"a"}
    assert best("opening_lag_ms", a=-40.0, b=30.0) == {"b"}
    assert best("lve_mm", a=1.001, b=1.002) == {"a", "b"}  # equal as printed
    assert best("jitter_mm", a=0.1, b=0.2) == set()
    assert tables.best_of(METRICS["lve_mm"], {"a": {"skipped": "why"}}) == set()


def test_numbers() -> None:
    assert tables.number(None, 2) == tables.number(float("nan"), 2) == "&ndash;"
    assert tables.number(-0.001, 2) == "0.00"
    assert tables.number(-12.34, 1) == "&minus;12.3"


def test_charts_follow_the_page_and_are_well_formed() -> None:
    curves = {"film": (np.linspace(0, 1, 9), figures.INK), "a <b>": (np.full(9, np.nan), figures.SERIES[0])}
    rows = [(s, n, 1.0 / (s + 1), p) for s in range(5) for n in ("loss", "pixel") for p in ("train", "val")]
    charts = [
        figures.openings("one", "clip <1>", FPS, curves),
        figures.training("two", "full", pd.DataFrame(rows, columns=["step", "name", "value", "split"])),
        figures.spread(
            "three",
            "error, px",
            {"ours": figures.Dots(np.array([1.0, 2, 3]), 2.0, 1.2, 2.8, figures.SERIES[0])},
        ),
        figures.opening_panels("four", {"a & b": (FPS, curves), "c": (FPS, curves)}, dashed=["film"]),
    ]
    for svg in charts:
        ET.fromstring(svg.replace("xlink:href", "href"))
        assert "#0000" not in svg  # no stand-in colour is left
        assert "var(--ink)" in svg
        assert "DejaVu" not in svg


def test_frames_of_a_strip_follow_the_motion() -> None:
    assert pictures.spaced(np.linspace(0, 1, 11), 3).tolist() == [0, 5, 10]
    assert pictures.spaced(np.zeros(11), 3).tolist() == [0, 5, 10]
    assert pictures.spaced(np.array([0.1, 0.3]), 5).tolist() == [0, 1]
    late = np.concatenate([np.zeros(50), 0.3 * np.sin(np.arange(50))])
    late[60:63] = np.nan
    chosen = pictures.spaced(late, 10)
    assert len(chosen) == 10
    assert (chosen >= 50).sum() >= 7


def test_film_is_cut_about_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide film with a red face at the right: the pane is square and shows it, whatever side it is on."""
    monkeypatch.chdir(tmp_path)
    frames = np.full((4, 80, 240, 3), 20, np.uint8)
    frames[:, :, 150:230] = (200, 30, 30)
    media.write_video(contracts.clip_video("a"), frames, FPS)
    transforms = np.tile(np.array([[1.0, 0, -174], [0, 1, -34]], np.float32), (4, 1, 1))  # mouth at (190, 50)
    crops = contracts.Crops(
        np.zeros((4, 32, 32, 3), np.uint8), np.zeros((4, 478, 2), np.float32), transforms, np.ones(4, bool)
    )
    panes = list(pictures.film("a", FPS, crops, 40))
    assert len(panes) == 4
    assert panes[0].shape == (40, 40, 3)
    assert (panes[0][5:-5, 3:-3, 0] > 150).all()
