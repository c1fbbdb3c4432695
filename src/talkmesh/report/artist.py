"""Test clips drawn for the report: videos, strips of frames, lip openings; and where on the face the errors are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

from talkmesh.contracts import CROPS, PREDICTIONS, Crops, read_prediction
from talkmesh.evaluation import read_drawn, read_table
from talkmesh.judged import Clip, clip_truth, good_frames
from talkmesh.landmarks import LIPS, opening_of_lips
from talkmesh.preview import save_png
from talkmesh.references import TRUTH
from talkmesh.report import figures, pictures
from talkmesh.report.page import Picture, Row, Shown
from talkmesh.rig import Rig
from talkmesh.rig.transfer import Transfer
from talkmesh.scoring import mesh_opening
from talkmesh.strips import read_strip

MEDIA = "media"  # folder of pictures and videos beside index.html
MESH_SCALE = 2  # meshes of a strip are drawn this much finer than the crops
TRUE = "true mesh"  # its label in charts


@dataclass(frozen=True)
class Artist:
    """Draws test clips into a report's folder.

    size : pixels of a video's pane; strip : frames of a strip; colours : methods in videos and curves, with the
    stand-ins of their colours; rows : methods in strips.
    """

    folder: Path
    rig: Rig
    carried: Transfer | None
    camera: np.ndarray
    size: int
    strip: int
    colours: dict[str, str]
    rows: list[str]

    def show(self, clip: Clip) -> Shown:
        """Draw the lip opening, the video and the strip of one clip."""
        crops, truth = clip.crops, clip_truth(clip, self.rig, self.carried)
        meshes = {} if truth is None else {TRUTH: truth}
        predicted = {m: read_prediction(PREDICTIONS / m / f"{clip.name}.npz", self.rig) for m in self.rows}
        meshes |= {m: predicted[m] for m in self.colours}
        r = {m: per_clip(m, clip.name, "opening_r") for m in self.colours}
        curves = {}
        if crops is not None:
            film = np.where(good_frames(crops), opening_of_lips(crops.landmarks[:, list(LIPS)]), np.nan)
            curves["film"] = (film, figures.INK)
        else:  # the first mesh stands in for the film
            film = mesh_opening(next(iter(meshes.values())), self.rig)
        for method, vertices in meshes.items():
            label = TRUE if method == TRUTH else f"{method}, r {r[method]:.2f}"
            opening = mesh_opening(vertices, self.rig)
            curves[label] = (opening, self.colours.get(method, figures.MUTED))
        video = f"{MEDIA}/{clip.name}.mp4"
        frames = min(len(film), *map(len, meshes.values()))
        widest = int(np.nanargmax(film[:frames]))
        sound = clip.folder if crops is None else CROPS / clip.name
        pictures.write_comparison(
            self.folder / video, sound, clip.fps, crops, meshes, self.rig, self.size, widest
        )
        return Shown(
            clip.name,
            ", ".join(f"{m}: lip opening r {value:.2f} against the film" for m, value in r.items()),
            figures.openings(f"opening-{clip.name}", clip.name, clip.fps, curves, dashed=[TRUE]),
            video,
            video.replace(".mp4", ".png"),
            self._strip(clip.name, crops, meshes | predicted, film[:frames]),
        )

    def _strip(
        self, clip: str, crops: Crops | None, meshes: dict[str, np.ndarray], opening: np.ndarray
    ) -> list[Row]:
        """Draw the film, each method's decoded faces and each mesh, in frames along the motion of the `opening` (T,).

        The paper's figure 4: methods in rows, frames in columns, those in which the lips close framed.
        """
        chosen, closing = pictures.columns(opening, self.strip)
        size = round(2 * float(self.camera[0, 2])) if crops is None else crops.images.shape[1]
        rows = (
            [] if crops is None else [self._row(clip, "film", "", np.asarray(crops.images[chosen]), closing)]
        )
        for method, vertices in sorted(meshes.items(), key=lambda item: item[0] == TRUTH):
            decoded = read_strip(PREDICTIONS / method, clip)
            if decoded is not None:
                for name, face, images in zip(("D_R", "D_S"), ("speaker", "character"), decoded, strict=True):
                    rows.append(
                        self._row(clip, f"{method} {name}", f"decoded {face}", images[chosen], closing)
                    )
            images = pictures.mesh_images(
                vertices[chosen], self.rig, MESH_SCALE * size, MESH_SCALE * self.camera
            )
            remark = "exact" if method == TRUTH else "predicted"
            rows.append(self._row(clip, f"{method} mesh", remark, images, closing))
        return rows

    def _row(self, clip: str, label: str, remark: str, images: np.ndarray, closing: np.ndarray) -> Row:
        file = f"{MEDIA}/{clip}_{label.replace(' ', '_')}.png"
        pictures.write_row(self.folder / file, images, closing)
        return Row(label, remark, file)


def per_clip(method: str, clip: str, metric: str) -> float:
    """Return one number of a method's per-clip table; NaN if it is not there."""
    table = read_table(method)
    known = table[metric].reindex([clip]).to_numpy(float) if metric in table else np.array([np.nan])
    return float(known[0])


def all_openings(clips: list[Clip], colours: Mapping[str, str]) -> str:
    """Draw the lip opening of every clip, film and methods, as small charts in rows; `colours` : method to stand-in."""
    drawn = {method: read_drawn(method) for method in (TRUTH, *colours)}
    panels = {}
    for clip in clips:
        curves, crops = {}, clip.crops
        if crops is not None:
            film = np.where(good_frames(crops), opening_of_lips(crops.landmarks[:, list(LIPS)]), np.nan)
            curves["film"] = (film, figures.INK)
        for method, arrays in drawn.items():
            if f"opening/{clip.name}" in arrays:
                label = TRUE if method == TRUTH else method
                curves[label] = (arrays[f"opening/{clip.name}"], colours.get(method, figures.MUTED))
        if curves:
            panels[clip.name] = (clip.fps, curves)
    if not panels:
        return ""
    return figures.opening_panels("openings", panels, dashed=[TRUE])


def heat_maps(folder: Path, methods: list[str], rig: Rig, size: int) -> tuple[list[Picture], str]:
    """Draw the mean distance of every vertex from the truth on the neutral face, one picture a method.

    Returns
    -------
    pictures, and their common scale as a chart; nothing and "" where no method has exact meshes to be compared with
    """
    errors = {m: arrays["vertex_mm"] for m in methods if "vertex_mm" in (arrays := read_drawn(m))}
    top = max((float(np.quantile(e, 0.995)) for m, e in errors.items() if m != TRUTH), default=0.0)
    if top == 0:
        return [], ""
    found = []
    for method, error in errors.items():
        if method == TRUTH:
            continue
        colours = matplotlib.colormaps[figures.HEAT](np.clip(error / top, 0, 1))[:, :3].astype(np.float32)
        painted = dataclasses.replace(rig, colours=colours, uv=None, texture=None)
        file = f"{MEDIA}/error_{method}.png"
        save_png(folder / file, pictures.mesh_images(rig.neutral[None], painted, size)[0])
        worst = f"lips {error[rig.lips].mean():.2f} mm, all {error.mean():.2f} mm"
        found.append(Picture(file, f"{method}: {worst}", face=True))
    return found, figures.colour_scale("error-scale", "mean distance from the true vertex, mm", top)
