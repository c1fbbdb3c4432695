"""Parts of the head that MakeHuman's data lacks in useful detail: eyeballs, teeth, brows, lashes.

Each vertex of a part is a fixed weighted sum of base-mesh vertices plus a small constant offset, so a part takes the
shape of any identity and moves with every face shape without data of its own. Millimetres, base mesh coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.interpolate import CubicSpline

from talkmesh.rig.surface import cross, mirrored

EYE_POLAR = (0.0, 4.5, 7.9, 8.9, 12.5, 17.0, 21.5, 23.4, 24.8, 29.0, 36.0, 47.0, 62.0, 80.0, 100.0)  # degrees
EYE_SEGMENTS = 20
# Columns of the tooth helper, from the middle to the viewer's right; rows: gum, gum margin, biting edge, behind it.
UPPER_TEETH = (
    (15061, 15060, 15062, 15063, 15064, 15065, 15066, 15067, 15068),
    (15079, 15075, 15074, 15073, 15072, 15084, 15083, 15082, 15081),
    (15069, 15086, 15071, 15070, 15085, 15078, 15077, 15076, 15080),
    (15087, 15095, 15089, 15088, 15094, 15092, 15091, 15090, 15093),
)
LOWER_TEETH = (
    (14993, 14992, 14994, 14995, 14996, 14997, 14998, 14999, 15000),
    (15012, 15013, 15014, 15015, 15011, 15016, 15017, 15018, 15009),
    (15010, 15001, 15002, 15003, 15004, 15005, 15006, 15007, 15008),
    (15027, 15019, 15020, 15021, 15022, 15023, 15024, 15025, 15026),
)
TEETH_HELPER = (14992, 15128)  # vertices of both rows
UPPER_WIDTHS = (8.4, 6.6, 7.4, 6.8, 6.6, 9.5)  # mm, from the middle incisor to the first molar
LOWER_WIDTHS = (5.3, 5.8, 6.6, 6.9, 7.0, 10.0)
TOOTH_COLUMNS = (0.0, 0.12, 0.5, 0.88)  # of a tooth's width
# Rows of a row of teeth: place among the helper's rows in the middle and at the sides of a tooth (gums reach further
# between the teeth, corners are rounded), mm of bulge, and the row that `look.paint_teeth` is told.
TOOTH_ROWS = (
    (0.0, 0.0, -0.4, 0.0),
    (0.93, 1.15, 0.15, 0.65),
    (0.94, 1.16, 0.35, 1.0),
    (1.05, 1.16, 0.9, 1.1),
    (1.47, 1.54, 0.85, 1.5),
    (2.0, 1.92, 0.25, 2.0),
    (2.25, 2.25, -0.4, 2.75),
)
BROW = (
    (11.5, 748.6, 3.3),
    (22.0, 750.2, 3.5),
    (34.0, 751.0, 3.1),
    (44.0, 749.2, 2.1),
    (52.0, 744.6, 0.7),
)  # x, y, half width


@dataclass(frozen=True)
class Part:
    """Vertices = weights @ base vertices + offset.

    weights : (n, base vertices); offset : (n, 3) mm; faces : (F, 3); coordinates : what its painter needs, (n,) each.
    """

    weights: sparse.csr_matrix
    offset: np.ndarray
    faces: np.ndarray
    coordinates: dict[str, np.ndarray] = field(default_factory=dict)


def grid_faces(rows: int, columns: int, closed: bool = False) -> np.ndarray:
    """Return the triangles of a grid of vertices, row after row; `closed` joins the last column to the first."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return triangles(np.stack([a, c, d, b], -1).reshape(-1, 4))


def piece(count: int, quads: np.ndarray, offset: np.ndarray) -> Part:
    """Return the vertices of `quads` of a base mesh of `count` vertices as they are, moved by `offset` mm."""
    ids = np.unique(quads)
    n = np.arange(len(ids))
    weights = sparse.csr_matrix((np.ones(len(ids)), (n, ids)), (len(ids), count))
    return Part(weights, np.broadcast_to(offset, (len(ids), 3)), triangles(np.searchsorted(ids, quads)))


def carried(part: Part, links: sparse.csr_matrix, faces: np.ndarray) -> Part:
    """Return a part whose vertices are weighted sums `links` (n, vertices of `part`) of those of another."""
    return Part(sparse.csr_matrix(links @ part.weights), links @ part.offset, faces)


def triangles(quads: np.ndarray) -> np.ndarray:
    """Return two triangles for each quad."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def eye(base: np.ndarray, ids: np.ndarray) -> Part:
    """Return an eyeball that follows the helper sphere `ids`: rings about the gaze, dense at pupil and iris."""
    helper = base[ids]
    centre = (helper.min(0) + helper.max(0)) / 2
    radius = float(np.linalg.norm(helper - centre, axis=1).mean())
    polar = np.repeat(EYE_POLAR[1:], EYE_SEGMENTS)
    turn = np.tile(np.arange(EYE_SEGMENTS) * 2 * np.pi / EYE_SEGMENTS, len(EYE_POLAR) - 1)
    polar, turn = np.append(polar, 0.0), np.append(turn, 0.0)
    theta = np.deg2rad(polar)
    points = np.column_stack([np.sin(theta) * np.cos(turn), np.sin(theta) * np.sin(turn), np.cos(theta)])
    rings = grid_faces(len(EYE_POLAR) - 1, EYE_SEGMENTS, closed=True)
    pole = len(polar) - 1
    first = np.arange(EYE_SEGMENTS)
    cap = np.column_stack([np.full(EYE_SEGMENTS, pole), first, (first + 1) % EYE_SEGMENTS])
    weights = _affine(helper, centre + radius * points, ids, len(base))
    return Part(weights, np.zeros_like(points), np.concatenate([rings, cap]), {"polar": polar, "turn": turn})


def _affine(helper: np.ndarray, points: np.ndarray, ids: np.ndarray, count: int) -> sparse.csr_matrix:
    """Return weights that carry `points` along with the best affine motion of the `helper` vertices."""
    ones = np.ones((len(helper), 1))
    dense = np.column_stack([points, np.ones(len(points))]) @ np.linalg.pinv(np.column_stack([helper, ones]))
    rows, columns = np.indices(dense.shape)
    return sparse.csr_matrix((dense.ravel(), (rows.ravel(), ids[columns.ravel()])), (len(points), count))


def teeth(base: np.ndarray, upper: bool, shift: tuple[float, float, float]) -> Part:
    """Return one row of teeth with its gums, spread along the helper's arch and moved by `shift` mm.

    The helper is a grid of 4 rows and 17 columns. A finer grid is laid over it: columns at the borders, sides and
    middle of each tooth, rows as in `TOOTH_ROWS`, pushed outward so that each tooth bulges.
    """
    right = np.array(UPPER_TEETH if upper else LOWER_TEETH)
    left = TEETH_HELPER[0] + mirrored(base[right[:, :0:-1]], base[slice(*TEETH_HELPER)])
    ids = np.column_stack([left, right])
    edge = base[ids[2]]
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(edge, axis=0), axis=1))])
    widths = np.array(UPPER_WIDTHS if upper else LOWER_WIDTHS)
    starts = np.cumsum([0, *widths[:-1]])
    half = np.append(starts[:, None] + widths[:, None] * TOOTH_COLUMNS, widths.sum())
    along = np.concatenate([-half[:0:-1], half])  # mm from the middle of the arch
    across = np.append(np.tile(np.abs(2 * np.array(TOOTH_COLUMNS) - 1), len(widths)), 1.0)
    across = np.concatenate([across[:0:-1], across])  # of a tooth: 0 in its middle, 1 at its sides
    columns = CubicSpline(length - length[8], np.eye(17))(along)  # (m, 17): a smooth arch
    tangent = columns @ np.gradient(edge, axis=0)
    outward = np.column_stack([-tangent[:, 2], 0 * along, tangent[:, 0]])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    blocks, offsets = [], []
    for middle, side, push, _ in TOOTH_ROWS:
        row = middle + (side - middle) * across**2
        low = np.minimum(row.astype(int), 2)
        block = np.zeros((len(along), 4, 17))
        block[np.arange(len(along)), low] = columns * (1 - row + low)[:, None]
        block[np.arange(len(along)), low + 1] = columns * (row - low)[:, None]
        blocks.append(block.reshape(len(along), -1))
        offsets.append(outward * (push * (1.15 - across**2))[:, None] + shift)
    dense = np.concatenate(blocks)
    r, c = np.indices(dense.shape)
    faces = grid_faces(len(TOOTH_ROWS), len(along))
    return Part(
        sparse.csr_matrix((dense.ravel(), (r.ravel(), ids.ravel()[c.ravel()])), (len(dense), len(base))),
        np.concatenate(offsets),
        faces if upper else faces[:, ::-1],
        {
            "along": np.tile(along / widths.sum(), len(TOOTH_ROWS)),
            "across": np.tile(across, len(TOOTH_ROWS)),
            "row": np.repeat([painted for *_, painted in TOOTH_ROWS], len(along)),
        },
    )


def on_skin(base: np.ndarray, triangles: np.ndarray, points: np.ndarray) -> sparse.csr_matrix:
    """Return weights of the skin points that lie at `points` (n, 2) seen from the front: the frontmost triangle."""
    corners = base[triangles]  # (F, 3, 3)
    a, b, c = (corners[:, i, :2] for i in range(3))
    area = cross(b - a, c - a)
    facing = area > 1e-6  # anticlockwise from the front
    triangles, corners, a, b, c, area = (
        triangles[facing],
        corners[facing],
        a[facing],
        b[facing],
        c[facing],
        area[facing],
    )
    p = points[:, None]
    u = cross(b - p, c - p) / area
    v = cross(c - p, a - p) / area
    w = 1 - u - v
    inside = np.minimum(np.minimum(u, v), w) >= -1e-9  # (n, F)
    depth = np.where(inside, u * corners[:, 0, 2] + v * corners[:, 1, 2] + w * corners[:, 2, 2], -np.inf)
    best = depth.argmax(1)
    n = np.arange(len(points))
    rows = np.repeat(n, 3)
    values = np.stack([u[n, best], v[n, best], w[n, best]], -1)
    return sparse.csr_matrix((values.ravel(), (rows, triangles[best].ravel())), (len(points), len(base)))


def brow(base: np.ndarray, triangles: np.ndarray, side: int) -> Part:
    """Return one eyebrow (`side` -1: viewer's left, 1: right), a strip of 16 x 5 vertices just above the skin."""
    x, y, half = np.array(BROW).T
    t = np.linspace(0, 1, 16)
    knots = np.linspace(0, 1, len(x))
    cx, cy, h = (CubicSpline(knots, q)(t) for q in (x, y, half))
    v = np.linspace(-1, 1, 5)
    px = (cx[None] + 0.25 * h * v[:, None] * (t < 0.2)) * side
    py = cy[None] - h * v[:, None]
    weights = on_skin(base, triangles, np.column_stack([px.ravel(), py.ravel()]))
    lift = np.tile((1 - v**2)[:, None] * 0.9 + 0.25, (1, 16)).ravel()
    faces = grid_faces(5, 16)
    return Part(
        weights,
        np.column_stack([0 * lift, 0 * lift, lift]),
        faces if side > 0 else faces[:, ::-1],
        {"along": np.tile(t, 5), "across": np.repeat(v, 16)},
    )


def lash(base: np.ndarray, quads: np.ndarray, skin_ids: np.ndarray, length: float) -> Part:
    """Return a lash strip of the helper, shortened to `length` of its own towards the skin it grows from."""
    ids = np.unique(quads)
    nearest = skin_ids[np.linalg.norm(base[ids][:, None] - base[skin_ids][None], axis=-1).argmin(1)]
    n = np.arange(len(ids))
    values = np.concatenate([np.full(len(ids), length), np.full(len(ids), 1 - length)])
    matrix = sparse.csr_matrix(
        (values, (np.concatenate([n, n]), np.concatenate([ids, nearest]))), (len(ids), len(base))
    )
    local = np.searchsorted(ids, quads)
    return Part(matrix, np.zeros((len(ids), 3)), np.concatenate([local[:, [0, 1, 2]], local[:, [0, 2, 3]]]))
