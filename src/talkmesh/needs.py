"""Disk and time that a parameter file asks for, by arithmetic from what was measured; docs/scaling.md says how.

Every rate stands here. Measured on two cores without a GPU, with the default parameters, on 4.4 minutes of video of 480
by 480 pixels (README, "How long things take"). Larger networks and pictures are taken to cost in proportion to the
multiplications of their convolutions, which was not measured.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkmesh.contracts import RAW
from talkmesh.errors import TalkmeshError
from talkmesh.framing import Framing
from talkmesh.params import merged, read
from talkmesh.recordings import find_recordings

CLIP_BYTES = 0.38  # of a lossless clip, a pixel
CROP_BYTES = 3_900  # of landmarks, alignment and sound, a frame; pictures come on top
MODEL_BYTES = 150e6  # of a trained variant, its share of bundles included
FILM_S = 14 / 1500 / 480**2  # of cutting and cropping, a pixel of a frame
PICTURE_S = 0.015  # of a pose, its picture included
SEEN_S, HEARD_S = 0.27, 0.48  # of a step of the transcoder without and with speech
ALONE_S = 0.036  # of a step of E_A alone
MESH_S = 10 * 60 / 1800  # of a step of the regressor
REST_S = 120.0  # translating, animating, scoring, the report
DEFAULT = (64, (32, 64, 128, 256), (160, 96, 48, 24))  # pixels and networks that were measured
DEEPER = {"resnet18": 1.0, "resnet34": 2.0}  # multiplications, relative
PROBED = 100  # recordings that are looked into; the rest is taken to be alike, byte for byte


@dataclass(frozen=True)
class Footage:
    """seconds : of all recordings; pixels : of a frame, on average."""

    seconds: float
    pixels: float


@dataclass(frozen=True)
class Need:
    """What one part of the pipeline takes: disk in bytes, and seconds."""

    what: str
    disk: float
    seconds: float


def footage(corpus: Path) -> Footage | None:
    """Return how much video lies in a corpus, None if there is none."""
    from talkmesh.streams import chosen, opened

    try:
        paths = [recording.path for recording in find_recordings(corpus)]
    except TalkmeshError:
        return None
    seconds = pixels = read_bytes = 0.0
    for path in paths[:: -(-len(paths) // PROBED)]:
        try:
            with opened(path) as container:
                film = chosen(container, "video")
                if film is None or not container.duration:
                    continue
                length = container.duration / 1e6
                seconds, read_bytes = seconds + length, read_bytes + path.stat().st_size
                pixels += length * film.codec_context.width * film.codec_context.height
        except TalkmeshError:  # `segment` names it and goes on
            continue
    if not seconds:
        return None
    share = sum(path.stat().st_size for path in paths) / read_bytes
    return Footage(seconds * share, pixels / seconds)


def needs(values: dict[str, Any], side: int, film: Footage | None) -> list[Need]:
    """Return what the parameters `values` ask for; side : of the crops, pixels; without `film` its part is missing."""
    found = []
    if film is not None:
        frames = film.seconds * values["segment"]["fps"]
        disk = frames * (CLIP_BYTES * film.pixels + 3 * side**2 + CROP_BYTES)
        name = f"clips and crops of {film.seconds / 60:.3g} min of video"
        found.append(Need(name, disk, frames * film.pixels * FILM_S))
    poses = values["perform"]["frames"]
    name = f"{poses:,} pictures of {side} pixels"
    found.append(Need(name, poses * 3 * side**2, poses * PICTURE_S * max(1.0, side / DEFAULT[0])))
    for variant, differences in values["variants"].items():
        stage = merged(values["transcoder"], differences)
        model, steps = stage["model"], stage["train"]["steps"]
        factor = _cost(side, model["encoder"], model["decoder"]) / _cost(*DEFAULT)
        step = HEARD_S if model["with_speech"] else SEEN_S
        alone = stage["alone"] * ALONE_S if model["with_speech"] else 0.0
        taken = steps * step * factor + alone
        found.append(Need(f"transcoder {variant}, {steps:,} steps", MODEL_BYTES, taken))
    mesh = values["regressor"]
    steps, deeper = mesh["train"]["steps"], DEEPER.get(mesh["model"]["network"], 1.0)
    batch = mesh["model"]["batch"] / 64
    step = MESH_S * deeper * batch * (side / DEFAULT[0]) ** 2
    found.append(Need(f"the mesh regressor, {steps:,} steps", MODEL_BYTES, steps * step))
    return [*found, Need("translating, animating, scoring, the report", 0.0, REST_S)]


def _cost(side: int, encoder: Sequence[int], decoder: Sequence[int]) -> float:
    """Return the multiplications of both networks, up to a factor: from the outer widths to the inner ones."""
    total = 0.0
    for widths in ([1, *encoder], [3, *reversed(decoder)]):
        for level, (outer, inner) in enumerate(itertools.pairwise(widths), 1):
            total += (side / 2**level) ** 2 * inner * (outer + 2 * inner)
    return total


def uncounted(values: dict[str, Any]) -> list[str]:
    """Return what the parameters ask for and nothing was measured of."""
    model = values["transcoder"]["model"]
    named = [model["perceptual"], model["speech"]["front_end"]]
    slow = [name for name in named if name in ("vgg16", "lpips", "wav2vec2")]
    methods = [*(values["baseline"]["methods"] or {}), *(values["distil"]["methods"] or {})]
    return slow + [f"training {name}" for name in methods]


def table(parts: Iterable[Need]) -> str:
    """Return the parts as lines, disk and time in columns, and their sum."""
    rows = list(parts)
    rows.append(Need("in all", sum(r.disk for r in rows), sum(r.seconds for r in rows)))
    wide = max(len(row.what) for row in rows)
    return "\n".join(f"  {r.what:<{wide}}  {_bytes(r.disk):>8}  {_time(r.seconds):>8}" for r in rows)


def report() -> str:
    """Return what the parameter file in this folder asks for, to read before anything runs."""
    values = read()
    corpus = RAW / str(values["corpus"])
    film = footage(corpus)
    lines = [
        "needs, on two cores without a GPU, by arithmetic (docs/scaling.md):",
        table(needs(values, Framing.of_params().pixels, film)),
    ]
    if film is None:
        lines.append(f"  without the video: none is in {corpus} yet")
    if missing := uncounted(values):
        lines.append(f"  not counted, for nobody has measured it: {', '.join(missing)}")
    return "\n".join(lines)


def _bytes(count: float) -> str:
    if not count:
        return "-"
    size, unit = (count / 1e9, "GB") if count >= 1e9 else (count / 1e6, "MB")
    return f"{size:.0f} {unit}" if size >= 10 else f"{size:.1f} {unit}"


def _time(seconds: float) -> str:
    if seconds < 3600:
        return f"{max(math.ceil(seconds / 60), 1)} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h"
