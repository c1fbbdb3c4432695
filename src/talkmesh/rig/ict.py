"""ICT-FaceKit's morphable face (MIT): its folder of OBJ files as published, or the same packed into one npz.

26,719 vertices in centimetres, 57 expressions, 100 identities. Vertex ranges are those of its documentation. The thin
layers over the eyes, made for shaders that refract, and the lashes are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from talkmesh.errors import TalkmeshError
from talkmesh.files import read_npz
from talkmesh.render import vertex_normals
from talkmesh.rig import Rig, place, surface
from talkmesh.rig import look as looks
from talkmesh.rig.look import Look
from talkmesh.rig.wavefront import read

MM = 10.0
COUNT = 26_719
NEUTRAL, IDENTITY = "generic_neutral_mesh", "identity"
# Parts of the mesh: the first vertex, and one past the last
HEAD, MOUTH, SOCKETS = slice(9409, 11248), slice(11248, 13294), slice(13294, 14062)
GUMS, TEETH, EYES = slice(14062, 17039), slice(17039, 21451), (slice(21451, 23021), slice(23021, 24591))
KEPT = 24_591  # lacrimal fluid, eye blend, eye occlusion and lashes follow
SKIN = 14_062  # face, head, mouth and eye sockets
SCLERA = 770  # vertices of an eyeball before those of its iris
# Of the 68 points that the documentation names: brows, the lips' outer edge, lids
BROWS = ((268, 493, 1914, 2044, 1401), (3615, 4240, 4114, 2734, 2509))
OUTER_LIPS = (5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841)
LIDS = ((1507, 1542, 1537, 1528, 1518, 1511), (3742, 3751, 3756, 3721, 3725, 3732))
HALVES = ("browInnerUp", "cheekPuff")  # here in two halves, in ARKit one shape
TO_MAKEHUMAN = (0.0, 699.0, 40.0)  # mm; brings the face to where MakeHuman's lies, for `talkmesh.rig.look`
BROW_MM = 3.4  # half the width of a brow


@dataclass(frozen=True)
class Shape:
    """Which of ICT's faces. region : the whole head with the neck, or the face alone (with eyes, teeth and the inside
    of the mouth); seed, strength : weights of the 100 identities are drawn with `seed` from a normal distribution of
    this standard deviation; 0 is the mean face."""

    region: Literal["head", "face"] = "head"
    seed: int = 0
    strength: float = 0.0


def load(path: Path, shape: Shape, look: Look, name: str = "ict") -> Rig:
    """Return ICT's face with ARKit's names where they exist; lips and landmarks are found by `talkmesh.rig.place`.

    Parameters
    ----------
    path : the folder FaceXModel with its OBJ files, or an npz that holds `neutral` (V, 3), `faces` (F, 4; -1 pads a
        triangle), `expr_names`, `expr_deltas` (K, V, 3), `identity_deltas` (100, V, 3)

    Raises
    ------
    TalkmeshError
        If something is missing or is not of ICT's mesh.
    """
    mean, faces, names, deltas, identities = _read(path, bool(shape.strength))
    weights = np.random.default_rng(shape.seed).normal(0, shape.strength, len(identities))
    neutral = mean + np.tensordot(weights, identities, 1)
    names, deltas = arkit(names, deltas)
    colours = paint(mean[:KEPT] * MM, faces[(faces < KEPT).all(1)], look)
    kept = np.zeros(COUNT, bool)
    kept[:KEPT] = True
    if shape.region == "face":
        kept[HEAD] = False
    faces = faces[kept[faces].all(1)]
    ids = np.unique(faces)  # some vertices belong to no face
    return place.complete(
        name, neutral[ids] * MM, np.searchsorted(ids, faces), names, deltas[:, ids] * MM, colours[ids]
    )


def arkit(names: tuple[str, ...], deltas: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return ICT's shapes by ARKit's names: `_L` and `_R` become `Left` and `Right`, halves are added up."""
    merged: dict[str, np.ndarray] = {}
    for name, delta in zip(names, deltas, strict=True):
        stem, side = (name[:-2], name[-2:]) if name[-2:] in ("_L", "_R") else (name, "")
        new = stem if stem in HALVES else stem + {"_L": "Left", "_R": "Right", "": ""}[side]
        merged[new] = merged[new] + delta if new in merged else delta
    return tuple(merged), np.stack(list(merged.values()))


def _read(
    path: Path, with_identities: bool
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], np.ndarray, np.ndarray]:
    """Return neutral (V, 3), triangles, names of K expressions, deltas (K, V, 3), identities (0 or 100, V, 3), cm."""
    if not path.exists():
        raise TalkmeshError(f"{path} not found: give the folder FaceXModel of ICT-FaceKit, or its npz")
    neutral, faces, names, deltas, identities = (_folder if path.is_dir() else _packed)(path, with_identities)
    shapes = {neutral.shape, deltas.shape[1:], *([identities.shape[1:]] if len(identities) else [])}
    if shapes != {(COUNT, 3)} or len(names) != len(deltas) or not names:
        raise TalkmeshError(
            f"{path} is not ICT-FaceKit's mesh: {len(neutral)} vertices and {len(names)} expressions, where "
            f"{COUNT} and 57 are known"
        )
    return neutral, faces, names, deltas, identities


def _packed(
    path: Path, with_identities: bool
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], np.ndarray, np.ndarray]:
    data = read_npz(path)
    try:
        quads, neutral, deltas = data["faces"], data["neutral"], data["expr_deltas"]
        names = tuple(map(str, data["expr_names"]))
        identities = data["identity_deltas"] if with_identities else np.zeros((0, *neutral.shape))
    except KeyError as error:
        raise TalkmeshError(f"{path} lacks the array {error} of ICT's packed face") from None
    halves = quads[quads[:, 3] >= 0]
    return neutral, np.concatenate([quads[:, :3], halves[:, [0, 2, 3]]]), names, deltas, identities


def _folder(
    path: Path, with_identities: bool
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], np.ndarray, np.ndarray]:
    neutral, faces = read(path / f"{NEUTRAL}.obj")
    files = sorted(path.glob("*.obj"))
    shapes = [f for f in files if f.stem != NEUTRAL and not f.stem.startswith(IDENTITY)]
    people = [f for f in files if f.stem.startswith(IDENTITY)] if with_identities else []

    def offsets(wanted: list[Path]) -> np.ndarray:
        table = np.zeros((len(wanted), *neutral.shape), np.float32)
        for row, file in zip(table, wanted, strict=True):
            vertices, _ = read(file, faces=False)
            if len(vertices) != len(neutral):
                raise TalkmeshError(f"{file} has {len(vertices)} vertices, {NEUTRAL}.obj has {len(neutral)}")
            row[:] = vertices - neutral
        return table

    return neutral, faces, tuple(f.stem for f in shapes), offsets(shapes), offsets(people)


# --------------------------------------------------------------------------------------------------- colours


def paint(mean: np.ndarray, faces: np.ndarray, look: Look) -> np.ndarray:
    """Return the colours (24591, 3) of the mean face (24591, 3) in mm with triangles `faces`."""
    position = mean + TO_MAKEHUMAN
    skin = looks.paint_skin(_skin(mean, faces[(faces < SKIN).all(1)]), look)
    for brow in BROWS:
        skin = looks.blend(skin, look.brows, _brow(mean[:SKIN], mean[list(brow)]))
    colours = np.zeros((len(mean), 3), np.float32)
    colours[:SKIN] = skin
    colours[GUMS] = looks.paint_tongue(position[GUMS], look)
    teeth = position[TEETH]
    back = looks.smoothstep(0, 45, teeth[:, 2].max() - teeth[:, 2])
    colours[TEETH] = np.asarray(look.teeth, np.float32) * (1 - 0.62 * back[:, None])
    for eye in EYES:
        ball = mean[eye]
        centre = (ball[:SCLERA].min(0) + ball[:SCLERA].max(0)) / 2
        away = (ball - centre) / np.linalg.norm(ball - centre, axis=1, keepdims=True)
        polar = np.degrees(np.arccos(np.clip(away[:, 2], -1, 1)))
        colours[eye] = looks.paint_eye(polar, np.arctan2(away[:, 1], away[:, 0]), look)
    return colours


def _skin(mean: np.ndarray, faces: np.ndarray) -> looks.Skin:
    """Return what is known of the skin's vertices for `looks.paint_skin`."""
    position, flat = mean[:SKIN], mean[:SKIN, :2]
    links = surface.edges(position, faces)
    average = sparse.diags_array(1 / np.maximum(np.diff(links.indptr), 1)) @ (links > 0).astype(float)
    smooth = position
    for _ in range(20):
        smooth = average @ smooth
    normal = vertex_normals(position, faces)
    here = np.arange(SKIN)
    mouth = ((here >= MOUTH.start) & (here < MOUTH.stop)).astype(float)
    socket = ((here >= SOCKETS.start) & (here < SOCKETS.stop)).astype(float)
    edge = mean[list(OUTER_LIPS)]
    near = edge[:, 2].min() - 6 < position[:, 2]
    lips = looks.smoothstep(-0.8, 0.8, surface.depth_inside(flat, _rounded(edge[:, :2]))) * near
    lids = [surface.depth_inside(flat, mean[list(lid), :2]) for lid in LIDS]
    front = position[:, 2] > 60
    shifted = position + TO_MAKEHUMAN
    return looks.Skin(
        shifted,
        normal,
        lips,
        mouth,
        front.astype(float),
        ears=looks.smoothstep(70, 75, np.abs(position[:, 0])) * (np.abs(position[:, 1] - 10) < 38),
        eyelids=np.max([looks.smoothstep(-8, 0, lid) for lid in lids], 0) * front,
        cavity=((smooth - position) * normal).sum(1) * (mouth < 0.5),
        depth=np.clip((146 - shifted[:, 2]) / 60, 0, 1) * mouth,
        socket=socket,
    )


def _rounded(points: np.ndarray) -> np.ndarray:
    """Return the outer edge of the lips (12, 2) with 12 times as many points, smooth but for the corners 0 and 6."""
    from scipy.interpolate import CubicSpline

    halves = [points[:7], np.concatenate([points[6:], points[:1]])]
    return np.concatenate([CubicSpline(np.arange(7), half)(np.arange(0, 6, 1 / 12)) for half in halves])


def _brow(position: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Return how much each vertex (n,) belongs to the brow along the points `line` (5, 3)."""
    from scipy.interpolate import CubicSpline

    dense = CubicSpline(np.arange(5), line)(np.linspace(0, 4, 60))
    away = np.linalg.norm(position[:, None] - dense, axis=-1)
    middle = np.abs(np.linspace(-1, 1, 60))
    half = BROW_MM * (1 - 0.55 * middle**3)
    return 0.9 * looks.smoothstep(-0.6, 0.9, (half - away).max(1)) * (position[:, 2] > 40)
