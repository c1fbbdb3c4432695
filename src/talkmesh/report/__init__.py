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
    RIGS,
    neutral_crop,
    read_clips,
    read_crops,
    read_prediction,
    read_speakers,
)
from talkmesh.errors import TalkmeshError
from talkmesh.evaluation import (
    STILL,
    TRUTH,
    Clip,
    EvaluateParams,
    clip_truth,
    good_frames,
    judged_clips,
    mesh_opening,
    read_camera,
)
from talkmesh.files import read_json, replacing
from talkmesh.landmarks import LIPS, opening_of_lips
from talkmesh.preview import save_png
from talkmesh.report import figures, pictures
from talkmesh.report.definitions import METRICS
from talkmesh.report.page import Picture, Report, Row, Shown, html
from talkmesh.rig import Rig, read_rig
from talkmesh.strips import read_strip
from talkmesh.train import read_curves

log = logging.getLogger(__name__)

HTML = Path("reports/html")
METRICS_FILE = Path("reports/metrics.json")
PREVIEW = Path("reports/preview")
MODELS = Path("models")
MEDIA = "media"  # folder of pictures and videos beside index.html
HEADLINES = ("lve_mm", "lle_clip_px", "opening_r")  # metrics of which every clip is drawn


@dataclass(frozen=True)
class ReportParams:
    """clips : test clips with video, strip and curve; strip : frames of a strip; size : pixels of a video's pane;
    shown : methods in videos, strips and curves, in this order; those without predictions are left out."""

    clips: int
    strip: int
    size: int
    shown: tuple[str, ...]


def collect(methods: Sequence[str], corpus: str) -> dict[str, Any]:
    """Gather ``reports/methods/<method>.json`` into one result, methods in the given order.

    A metric is absent, with the reason, if no method has it. A method without a result is skipped with that reason.

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
    }


def build(
    results: dict[str, Any],
    params: ReportParams,
    evaluated: EvaluateParams,
    out: Path = HTML,
    media: bool = True,
) -> Path:
    """Write the report folder and return its index.html.

    Parameters
    ----------
    results : of `collect`
    media : False leaves out everything that must be rendered (strips' meshes and videos)
    """
    rig = read_rig(RIGS / f"{evaluated.rig}.npz")
    camera = read_camera(RENDERS / evaluated.track)
    clips = judged_clips()
    shown = [m for m in params.shown if (PREDICTIONS / m / f"{clips[0].name}.npz").exists()]
    colours = {m: figures.series_colour(i) for i, m in enumerate(shown)}
    colours |= {STILL: figures.MUTED, TRUTH: figures.INK}
    with replacing(out) as folder:
        (folder / MEDIA).mkdir(parents=True)
        report = Report(
            results,
            {m: f"var({figures.VARIABLES[c]})" for m, c in colours.items()},
            read_clips(kept=False),
            pd.read_csv(CROPS / "crops.csv", dtype={"clip": str, "dropped_why": str}),
            [
                _shown(clip, shown, colours, rig, camera, params, folder, media)
                for clip in tqdm(clips[: params.clips], "report", unit="clip")
            ],
            _spreads(results, colours),
            _training(),
            _neutrals(folder, evaluated.track),
            _previews(folder),
        )
        (folder / "index.html").write_text(html(report), encoding="utf-8")
    return out / "index.html"


def _shown(
    clip: Clip,
    methods: Sequence[str],
    colours: dict[str, str],
    rig: Rig,
    camera: np.ndarray,
    params: ReportParams,
    folder: Path,
    media: bool,
) -> Shown:
    """Draw one test clip: its lip opening, and with `media` its strip and video."""
    crops, truth = read_crops(clip.name), clip_truth(clip.name, rig)
    predicted = {m: read_prediction(PREDICTIONS / m / f"{clip.name}.npz", rig) for m in methods}
    r = {m: _per_clip(m, clip.name, "opening_r") for m in methods}
    film = np.where(good_frames(crops), opening_of_lips(crops.landmarks[:, list(LIPS)]), np.nan)
    curves = {"film": (film, figures.INK)}
    if truth is not None:
        curves["true mesh"] = (mesh_opening(truth, rig, camera), figures.MUTED)
    for m in methods:
        curves[f"{m}, r {r[m]:.2f}"] = (mesh_opening(predicted[m], rig, camera), colours[m])
    opening = figures.openings(f"opening-{clip.name}", clip.name, clip.fps, curves, dashed=["true mesh"])
    text = ", ".join(f"{m}: lip opening r {r[m]:.2f} against the film" for m in methods)
    if not media:
        return Shown(clip.name, text, opening, [])
    meshes = ({"truth": truth} if truth is not None else {}) | predicted
    video = f"{MEDIA}/{clip.name}.mp4"
    pictures.write_comparison(folder / video, clip.name, clip.fps, crops, meshes, rig, params.size)
    chosen = pictures.spaced(min(len(crops.images), *map(len, meshes.values())), params.strip)
    strip = [_row(folder, clip.name, "film", "", np.asarray(crops.images[chosen]))]
    size = crops.images.shape[1]
    for m in methods:
        decoded = read_strip(PREDICTIONS / m, clip.name)
        for name, remark, images in zip(
            ("D_R", "D_S"), ("speaker", "character"), decoded or (), strict=False
        ):
            strip.append(_row(folder, clip.name, f"{m} {name}", f"decoded {remark}", images[chosen]))
        rendered = pictures.mesh_images(predicted[m][chosen], rig, 2 * size, 2 * camera)
        strip.append(_row(folder, clip.name, f"{m} mesh", "predicted vertices", rendered))
    if truth is not None:
        rendered = pictures.mesh_images(truth[chosen], rig, 2 * size, 2 * camera)
        strip.append(_row(folder, clip.name, "true mesh", "exact vertices", rendered))
    return Shown(clip.name, text, opening, strip, video)


def _row(folder: Path, clip: str, label: str, remark: str, images: np.ndarray) -> Row:
    file = f"{MEDIA}/{clip}_{label.replace(' ', '_')}.png"
    pictures.write_row(folder / file, images)
    return Row(label, remark, file)


def _per_clip(method: str, clip: str, metric: str) -> float:
    table = pd.read_csv(RESULTS / f"{method}.csv", dtype={"clip": str})
    found = table.loc[table["clip"] == clip, metric].to_numpy(float) if metric in table else np.zeros(0)
    return float(found[0]) if len(found) else float("nan")


def _spreads(results: dict[str, Any], colours: dict[str, str]) -> list[str]:
    charts = []
    for name in HEADLINES:
        dots = {}
        for method, values in results["methods"].items():
            if values.get(name, {}).get("n_clips"):
                column = pd.read_csv(RESULTS / f"{method}.csv")[name].dropna().to_numpy(float)
                dots[method] = (column, colours.get(method, figures.MUTED))
        if dots:
            metric = METRICS[name]
            unit = f", {metric.unit}" if metric.unit else ""
            charts.append(figures.spread(f"spread-{name}", f"{metric.label}{unit}", dots))
    return charts


def _training() -> list[str]:
    paths = sorted(MODELS.glob("transcoder/*/curves.csv")) + sorted(MODELS.glob("regressor/*/curves.csv"))
    charts = []
    for path in paths:
        title = f"{path.parent.parent.name} {path.parent.name}"
        rows = read_curves(path)
        if rows:
            charts.append(figures.training(f"training-{title.replace(' ', '-')}", title, rows))
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


def _previews(folder: Path) -> list[Picture]:
    found: list[Picture] = []
    for path in sorted(PREVIEW.glob("*.png")):
        file = f"{MEDIA}/preview_{path.name}"
        shutil.copyfile(path, folder / file)
        found.append(Picture(file, path.stem.replace("_", " ")))
    return found
