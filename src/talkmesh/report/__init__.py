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
    Crops,
    Track,
    neutral_crop,
    read_clips,
    read_crops,
    read_kept,
    read_prediction,
    read_speakers,
)
from talkmesh.errors import TalkmeshError
from talkmesh.evaluation import (
    STILL,
    TRUTH,
    Clip,
    clip_truth,
    good_frames,
    judged_clips,
    mesh_opening,
    read_camera,
    read_carried,
)
from talkmesh.files import read_json, replacing
from talkmesh.landmarks import LIPS, opening_of_lips
from talkmesh.preview import save_png
from talkmesh.report import figures, pictures
from talkmesh.report.definitions import METRICS, PREVIEWS
from talkmesh.report.page import Picture, Report, Row, Shown, html
from talkmesh.rig import Rig, read_rig
from talkmesh.rig.coverage import coverage, gap_and_width, shapes_of_landmarks, shapes_of_poses
from talkmesh.rig.transfer import Transfer
from talkmesh.strips import read_strip

log = logging.getLogger(__name__)

HTML = Path("reports/html")
METRICS_FILE = Path("reports/metrics.json")
PREVIEW = Path("reports/preview")
MODELS = Path("models")
MESH_SCALE = 2  # meshes of a strip are drawn this much finer than the crops
SHAPES = 4000  # lip shapes of a chart, of each kind, at most about
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


def build(results: dict[str, Any], params: ReportParams, track: Track, out: Path = HTML) -> Path:
    """Write the report folder of the `results` that `collect` gathered, and return its index.html."""
    clips = judged_clips(track)
    methods = [m for m in params.shown if (PREDICTIONS / m / f"{clips[0].name}.npz").exists()]
    colours = {m: figures.series_colour(i) for i, m in enumerate(methods)}
    colours |= {STILL: figures.MUTED, TRUTH: figures.INK}
    rig, camera = read_rig(track.rig_file), read_camera(RENDERS / track.name)
    with replacing(out) as folder:
        (folder / MEDIA).mkdir(parents=True)
        artist = _Artist(folder, rig, read_carried(track), camera, params, {m: colours[m] for m in methods})
        shown = [artist.show(clip) for clip in tqdm(clips[: params.clips], "report", unit="clip")]
        report = Report(
            results,
            {m: f"var({figures.VARIABLES[c]})" for m, c in colours.items()},
            read_clips(kept=False),
            pd.read_csv(CROPS / "crops.csv", dtype={"clip": str, "dropped_why": str}),
            shown,
            _spreads(results, colours),
            _training(),
            _neutrals(folder, track.name),
            _previews(folder),
            _coverage(rig, track.name),
        )
        (folder / "index.html").write_text(html(report), encoding="utf-8")
    return out / "index.html"


@dataclass(frozen=True)
class _Artist:
    """Draws test clips into a report's folder. colours : the methods shown, with the stand-ins of their colours."""

    folder: Path
    rig: Rig
    carried: Transfer | None
    camera: np.ndarray
    params: ReportParams
    colours: dict[str, str]

    def show(self, clip: Clip) -> Shown:
        """Draw the lip opening, the video and the strip of one clip."""
        crops, truth = clip.crops, clip_truth(clip, self.rig, self.carried)
        meshes = {} if truth is None else {TRUTH: truth}
        meshes |= {m: read_prediction(PREDICTIONS / m / f"{clip.name}.npz", self.rig) for m in self.colours}
        r = {m: _per_clip(m, clip.name, "opening_r") for m in self.colours}
        curves = {}
        if crops is not None:
            film = np.where(good_frames(crops), opening_of_lips(crops.landmarks[:, list(LIPS)]), np.nan)
            curves["film"] = (film, figures.INK)
        else:  # the first mesh stands in for the film
            film = mesh_opening(next(iter(meshes.values())), self.rig, self.camera)
        for method, vertices in meshes.items():
            label = "true mesh" if method == TRUTH else f"{method}, r {r[method]:.2f}"
            opening = mesh_opening(vertices, self.rig, self.camera)
            curves[label] = (opening, self.colours.get(method, figures.MUTED))
        video = f"{MEDIA}/{clip.name}.mp4"
        frames = min(len(film), *map(len, meshes.values()))
        widest = int(np.nanargmax(film[:frames]))
        sound = clip.folder if crops is None else CROPS / clip.name
        pictures.write_comparison(
            self.folder / video, sound, clip.fps, crops, meshes, self.rig, self.params.size, widest
        )
        return Shown(
            clip.name,
            ", ".join(f"{m}: lip opening r {value:.2f} against the film" for m, value in r.items()),
            figures.openings(f"opening-{clip.name}", clip.name, clip.fps, curves, dashed=["true mesh"]),
            video,
            video.replace(".mp4", ".png"),
            self._strip(clip.name, crops, meshes, pictures.spaced(film[:frames], self.params.strip)),
        )

    def _strip(
        self, clip: str, crops: Crops | None, meshes: dict[str, np.ndarray], chosen: np.ndarray
    ) -> list[Row]:
        """Draw the film, each method's decoded faces and each mesh in the `chosen` frames."""
        size = round(2 * float(self.camera[0, 2])) if crops is None else crops.images.shape[1]
        rows = [] if crops is None else [self._row(clip, "film", "", np.asarray(crops.images[chosen]))]
        for method, vertices in sorted(meshes.items(), key=lambda item: item[0] == TRUTH):
            decoded = read_strip(PREDICTIONS / method, clip)
            if decoded is not None:
                for name, face, images in zip(("D_R", "D_S"), ("speaker", "character"), decoded, strict=True):
                    rows.append(self._row(clip, f"{method} {name}", f"decoded {face}", images[chosen]))
            images = pictures.mesh_images(
                vertices[chosen], self.rig, MESH_SCALE * size, MESH_SCALE * self.camera
            )
            rows.append(
                self._row(clip, f"{method} mesh", "exact" if method == TRUTH else "regressed", images)
            )
        return rows

    def _row(self, clip: str, label: str, remark: str, images: np.ndarray) -> Row:
        file = f"{MEDIA}/{clip}_{label.replace(' ', '_')}.png"
        pictures.write_row(self.folder / file, images)
        return Row(label, remark, file)


def _per_clip(method: str, clip: str, metric: str) -> float:
    path = RESULTS / f"{method}.csv"
    if not path.exists():
        return float("nan")
    table = pd.read_csv(path, dtype={"clip": str})
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
