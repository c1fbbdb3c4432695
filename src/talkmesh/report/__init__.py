"""The report: collect what the stages left, draw it, and write one folder that opens without a network."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from talkmesh.contracts import (
    CROPS,
    PREDICTIONS,
    RENDERS,
    RESULTS,
    Track,
    neutral_crop,
    read_clips,
    read_crops,
    read_kept,
    read_speakers,
)
from talkmesh.definitions import METRICS, PREVIEWS
from talkmesh.errors import TalkmeshError
from talkmesh.evaluation import read_table
from talkmesh.files import read_json, replacing
from talkmesh.intervals import Bootstrap, comparisons
from talkmesh.judged import good_frames, judged_clips, read_camera, read_carried
from talkmesh.preview import save_png
from talkmesh.references import REFERENCES, STILL, TRUTH
from talkmesh.report import figures, paper
from talkmesh.report.artist import MEDIA, Artist, all_openings, heat_maps
from talkmesh.report.page import Picture, Report, html
from talkmesh.rig import Rig, read_rig
from talkmesh.rig.coverage import coverage, gap_and_width, shapes_of_landmarks, shapes_of_poses

log = logging.getLogger(__name__)

HTML = Path("reports/html")
TABLES = Path("reports/tables")
METRICS_FILE = Path("reports/metrics.json")
PREVIEW = Path("reports/preview")
MODELS = Path("models")
SHAPES = 4000  # lip shapes of a chart, of each kind, at most about
COMPARED = ("lve_mm", "lle_px", "lle_clip_px", "opening_truth_r", "opening_r")  # metrics of paired tests
HEADLINES = ("lve_mm", "lle_clip_px", "opening_r")  # metrics of which every clip is drawn


@dataclass(frozen=True)
class ReportParams:
    """clips : test clips with video, strip and curve; strip : frames of a strip; pixels : side of a video's pane;
    shown : methods in videos and curves, in this order; those without predictions are left out. Strips show all."""

    clips: int
    strip: int
    pixels: int
    shown: tuple[str, ...]


def collect(methods: Sequence[str], corpus: str, how: Bootstrap) -> dict[str, Any]:
    """Gather ``reports/methods/<method>.json`` into one result, methods in the given order.

    A metric is absent, with the reason, if no method has it. A method without a result is skipped with that reason.
    ``"comparisons"`` holds every pair of methods in the metrics of `COMPARED` (`talkmesh.intervals.comparisons`).

    Raises
    ------
    TalkmeshError
        If there is no result at all, or a result is of another corpus or track.
    """
    found = {m: read_json(RESULTS / f"{m}.json") for m in methods if (RESULTS / f"{m}.json").exists()}
    if not found:
        raise TalkmeshError(f"{RESULTS} holds no result of {', '.join(methods)}: run `dvc repro evaluate`")
    first = next(iter(found.values()))
    for method, result in found.items():
        if (result["corpus"], result["track"]) != (corpus, first["track"]):
            raise TalkmeshError(
                f"{RESULTS}/{method}.json is of corpus {result['corpus']}, track {result['track']}, not of {corpus}, "
                f"track {first['track']}: run `dvc repro evaluate`"
            )
    judged = {m: found[m]["methods"][m] if m in found else {"skipped": "not evaluated yet"} for m in methods}
    absent = {name: why for result in found.values() for name, why in result["absent"].items()}
    return {
        "corpus": corpus,
        "track": first["track"],
        "measured_on": first["measured_on"],
        "methods": judged,
        "absent": {n: why for n, why in absent.items() if not any(n in values for values in judged.values())},
        "comparisons": comparisons(_columns(judged), COMPARED, how),
    }


def _columns(judged: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Method to metric to values (clips,), the clips of all methods in one order."""
    tables = {m: read_table(m) for m, values in judged.items() if "skipped" not in values}
    clips = sorted({clip for table in tables.values() for clip in table.index})
    return {
        m: {n: table[n].reindex(clips).to_numpy(float) for n in COMPARED if n in table}
        for m, table in tables.items()
    }


def write_tables(results: dict[str, Any], out: Path = TABLES) -> list[Path]:
    """Write the paper's tables that `results` can fill, each in every format, and return the files."""
    with replacing(out) as folder:
        folder.mkdir(parents=True)
        for table in paper.tables(results):
            for suffix, write in paper.WRITERS.items():
                (folder / f"{table.name}.{suffix}").write_text(write(table), encoding="utf-8")
    return sorted(out.iterdir())


def build(results: dict[str, Any], params: ReportParams, track: Track, out: Path = HTML) -> Path:
    """Write the report folder of the `results` that `collect` gathered, and return its index.html."""
    clips = judged_clips(track)
    methods = [m for m in params.shown if (PREDICTIONS / m / f"{clips[0].name}.npz").exists()]
    colours = {m: figures.series_colour(i) for i, m in enumerate(methods)}
    colours |= {STILL: figures.MUTED, TRUTH: figures.INK}
    rig, camera = read_rig(track.rig_file), read_camera(RENDERS / track.name)
    judged = [m for m, values in results["methods"].items() if "skipped" not in values]
    rows = methods + [m for m in judged if m not in REFERENCES]
    with replacing(out) as folder:
        (folder / MEDIA).mkdir(parents=True)
        shown_colours = {m: colours[m] for m in methods}
        artist = Artist(
            *(folder, rig, read_carried(track), camera, params.pixels, params.strip),
            shown_colours,
            list(dict.fromkeys(rows)),
        )
        shown = [artist.show(clip) for clip in tqdm(clips[: params.clips], "report", unit="clip")]
        heat, scale = heat_maps(folder, judged, rig, params.pixels)
        report = Report(
            results,
            {m: f"var({figures.VARIABLES[c]})" for m, c in colours.items()},
            read_clips(kept=False),
            pd.read_csv(CROPS / "crops.csv", dtype={"clip": str, "dropped_why": str}),
            shown=shown,
            tables=[paper.to_html(table) for table in paper.tables(results)],
            heat=heat,
            heat_scale=scale,
            openings=all_openings(clips, shown_colours),
            spreads=_spreads(results, colours),
            curves=_training(),
            neutrals=_neutrals(folder, track.name),
            previews=_previews(folder),
            coverage=_coverage(rig, track.name),
        )
        (folder / "index.html").write_text(html(report), encoding="utf-8")
    return out / "index.html"


def _spreads(results: dict[str, Any], colours: dict[str, str]) -> list[str]:
    charts = []
    for name in HEADLINES:
        dots = {}
        for method, values in results["methods"].items():
            if values.get(name, {}).get("n_clips"):
                column = read_table(method)[name].dropna().to_numpy(float)
                dots[method] = figures.Dots(column, *_ends(values[name]), colours.get(method, figures.MUTED))
        if dots:
            metric = METRICS[name]
            unit = f", {metric.unit}" if metric.unit else ""
            charts.append(figures.spread(f"spread-{name}", f"{metric.label}{unit}", dots))
    return charts


def _ends(value: dict[str, Any]) -> tuple[float, float, float]:
    """Mean, low and high end, NaN where undefined."""
    low, high = (float("nan") if end is None else float(end) for end in value["ci95"])
    return float(value["mean"]), low, high


def _training() -> list[str]:
    paths = sorted(MODELS.glob("transcoder/*/curves.csv")) + sorted(MODELS.glob("regressor/*/curves.csv"))
    charts = []
    for path in paths:
        title = f"{path.parent.parent.name} {path.parent.name}"
        curves = pd.read_csv(path, dtype={"name": str, "value": float, "split": str})
        if len(curves):
            charts.append(figures.training(f"training-{title.replace(' ', '-')}", title, curves))
    return charts


def _neutrals(folder: Path, track: str) -> list[Picture]:
    """The images whose codes are the neutral codes: one frame of the speaker, one render."""
    found: list[Picture] = []
    for name, speaker in read_speakers().items():
        file = f"{MEDIA}/neutral_{name}.png"
        save_png(folder / file, neutral_crop(speaker)[0])
        caption = f"Neutral frame of {name}: {speaker.neutral_clip}, frame {speaker.neutral_frame}"
        found.append(Picture(file, caption, face=True))
    path = RENDERS / track / "neutral.npy"
    if path.exists():
        save_png(folder / MEDIA / "neutral_character.png", np.load(path))
        found.append(Picture(f"{MEDIA}/neutral_character.png", "Neutral render of the character", face=True))
    return found


def _coverage(rig: Rig, track: str) -> str:
    """Filmed lips over the rendered poses, if these are poses of `rig`; some thousand of each are enough to see."""
    path, speakers = RENDERS / track / "poses.npy", read_speakers()
    poses = np.load(path) if path.exists() else np.zeros((0, 0))
    if poses.shape[1] != len(rig.names):
        return ""
    kept = read_kept()
    neutrals = {name: neutral_crop(speaker)[1] for name, speaker in speakers.items()}
    filmed = []
    for clip, speaker in zip(kept["clip"], kept["speaker"], strict=True):
        crops = read_crops(clip)
        filmed.append(shapes_of_landmarks(crops.landmarks[good_frames(crops)], neutrals[speaker]))
    real, performed = np.concatenate(filmed), shapes_of_poses(rig, poses)
    real = real[:: max(1, len(real) // SHAPES)]
    found = coverage(real, performed)
    title = f"To the nearest rendered shape: {found.median:.1f} % of the mouth width, 95 in 100 below {found.p95:.1f} %"
    return figures.lip_shapes(
        "coverage", title, gap_and_width(performed[:: max(1, len(performed) // SHAPES)]), gap_and_width(real)
    )


def _previews(folder: Path) -> list[Picture]:
    """The pictures that the stages left to look at, in the order of the stages; unknown ones come last."""
    found: list[Picture] = []
    stages = list(PREVIEWS)
    for path in sorted(PREVIEW.glob("*.png"), key=lambda p: ([*stages, _stage(p)].index(_stage(p)), p.name)):
        file = f"{MEDIA}/preview_{path.name}"
        shutil.copyfile(path, folder / file)
        found.append(Picture(file, f"{path.stem.replace('_', ' ')}: {PREVIEWS.get(_stage(path), 'preview')}"))
    return found


def _stage(path: Path) -> str:
    return path.stem.split("_")[0]
