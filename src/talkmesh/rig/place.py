"""Where the lips are: lip vertices, the vertices that stand for MediaPipe's 40 lip points, and the upper face.

Nothing is known of the mesh beforehand. A picture of it is made, MediaPipe finds the face in it, and its points are
lifted to the surface. Done once for a rig; from then on a projected vertex stands for a landmark.

V vertices, K blendshapes. Millimetres; x to the viewer's right, y up, z towards the viewer (`talkmesh.rig.axes`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from talkmesh import render
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_npz
from talkmesh.landmarks import CORNERS, INNER_LIPS, LIPS, OUTER_LIPS
from talkmesh.rig import Rig, paint, surface
from talkmesh.rig.surface import mirrored, visible

SIZE = 768  # pixels of the picture in which landmarks are looked for
FACE_SHARE = 0.62  # of its side, from ear to ear: MediaPipe wants some room around a face
JAWS = ("jawOpen", "jaw_open", "viseme_aa", "mouthOpen", "AA")  # names of the shape that opens the mouth
JAW_MM = 11.0  # how far it is opened, at the chin: enough to tell the inner edges of the lips apart
JAW_LEAST_MM = 4.0  # what the whole shape must open
BEHIND = 0.07  # of the mouth's width: how far lips reach into the mouth
FAR = 0.06  # of the mouth's width: how far lip points may lie from their vertices on average
SYMMETRIC_MM = 0.2  # between a vertex and its mirror image in a symmetric mesh
RING = len(OUTER_LIPS)
# Place i of a ring mirrors place 10 - i; 5 is the middle of the upper lip, 15 of the lower.
MIRROR = np.concatenate([(10 - np.arange(RING)) % RING, RING + (10 - np.arange(RING)) % RING])
UPPER = np.isin(np.arange(2 * RING) % RING, np.arange(1, 10))
LOWER = np.isin(np.arange(2 * RING) % RING, np.arange(11, 20))
# MediaPipe's outline of the face, below the eyes, and the rings around the eyes' openings
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
IRISES_FROM = 468  # MediaPipe's points from here on are those of the irises
CHEEKBONES = (117, 346)  # the upper face begins here
EYES = ((33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
        (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382))  # fmt: skip


def complete(
    name: str,
    neutral: np.ndarray,
    faces: np.ndarray,
    names: Sequence[str],
    deltas: np.ndarray,
    colours: np.ndarray | None = None,
    lips: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
    upper: np.ndarray | None = None,
    jaw: str | None = None,
) -> Rig:
    """Return a rig of any face: what is not given is found on a picture of it.

    Parameters
    ----------
    neutral : (V, 3) mm; faces : (F, 3); names : K blendshapes; deltas : (K, V, 3) mm
    colours : (V, 3) sRGB in [0, 1]; natural ones by `talkmesh.rig.paint` if None
    lips, upper : vertex ids; landmarks : (40,) vertex ids in the order of `talkmesh.landmarks.LIPS`
    jaw : the shape that opens the mouth; one of `JAWS` if None

    Raises
    ------
    TalkmeshError
        If arrays do not fit each other; or, where something must be found: if no face is seen from +z, there is no
        shape that opens the mouth, or what is found is not symmetric or does not move as lips do.
    """
    rig = unpainted(name, neutral, faces, names, deltas)
    rig = dataclasses.replace(
        rig,
        colours=rig.colours if colours is None else np.asarray(colours, np.float32),
        lips=rig.lips if lips is None else np.asarray(lips, np.int32),
        landmarks=rig.landmarks if landmarks is None else np.asarray(landmarks, np.int32),
        upper=rig.upper if upper is None else np.asarray(upper, np.int32),
    )
    if not any(part is None for part in (lips, landmarks, upper, colours)):
        return rig
    view = _View(rig, jaw)
    if landmarks is None:
        rig = dataclasses.replace(rig, landmarks=view.landmarks(lips))
    if lips is None:
        rig = dataclasses.replace(rig, lips=view.lips(rig.landmarks))
    if upper is None:
        rig = dataclasses.replace(rig, upper=view.upper())
    if colours is None:
        rig = dataclasses.replace(rig, colours=paint.natural(rig, view.skin, view.points))
    check(rig, jaw)
    return rig


def place_landmarks(rig: Rig, jaw: str | None = None) -> Rig:
    """Return `rig` with its 40 landmarks placed anew among its lip vertices; errors are those of `complete`."""
    placed = dataclasses.replace(rig, landmarks=_View(rig, jaw).landmarks(rig.lips))
    check(placed, jaw)
    return placed


def read_ids(path: str | Path) -> np.ndarray:
    """Read vertex ids that a user gives: a text file of numbers, a JSON list, or the only array of an npz.

    Raises
    ------
    TalkmeshError
        If the file is missing or holds something else.
    """
    path = Path(path)
    try:
        if path.suffix == ".npz":
            (ids,) = read_npz(path).values()
        elif path.suffix == ".json":
            ids = np.asarray(json.loads(path.read_text(encoding="utf-8")))
        else:
            ids = np.array(path.read_text(encoding="utf-8").replace(",", " ").split(), int)
        if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer) or not len(ids):
            raise ValueError(f"a list of whole numbers is wanted, not {ids.dtype} of shape {ids.shape}")
        if ids.min() < 0 or ids.max() > np.iinfo(np.int32).max:
            raise ValueError("ids are 0 or more, and fewer than 2,147,483,648")
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise TalkmeshError(f"{path} does not hold vertex ids ({error})") from None
    return ids.astype(np.int32)


# ------------------------------------------------------------------------------------------------ a picture


def unpainted(
    name: str,
    neutral: np.ndarray,
    faces: np.ndarray,
    names: Sequence[str] = (),
    deltas: np.ndarray | None = None,
) -> Rig:
    """Return a rig all of skin colour, whose lips, landmarks and upper face are yet to be found."""
    neutral = np.asarray(neutral, np.float32)
    return Rig(
        name,
        neutral,
        np.asarray(faces, np.int32),
        tuple(map(str, names)),
        np.zeros((0, *neutral.shape), np.float32) if deltas is None else np.asarray(deltas, np.float32),
        np.zeros(1, np.int32),
        np.zeros(len(LIPS), np.int32),
        np.zeros(1, np.int32),
        np.full(neutral.shape, paint.SKIN, np.float32),
    )


def face_points(rig: Rig, vertices: np.ndarray | None = None) -> np.ndarray | None:
    """Return MediaPipe's points (478, 2) in mm on a picture of `rig` from +z, or None if not exactly one face is seen.

    Looked for twice: in a picture of everything, then, larger, in one of the face. `vertices` (V, 3) in place of the
    neutral ones.
    """
    from talkmesh.face import detect

    camera = render.whole_face(rig, SIZE)
    for _ in range(2):
        faces = detect(
            render.MeshRenderer(rig, SIZE, camera).image(rig.neutral if vertices is None else vertices)
        )
        if len(faces) != 1:
            return None
        points: np.ndarray = (faces[0] - camera[:, 2]) @ np.linalg.inv(camera[:, :2]).T
        low, high = points.min(0), points.max(0)
        linear = np.diag([1.0, -1.0]) * SIZE * FACE_SHARE / float((high - low).max())
        camera = np.column_stack([linear, SIZE / 2 - linear @ ((low + high) / 2)])
    return points


def jaw_shape(rig: Rig, jaw: str | None = None) -> int:
    """Return the index of the shape that opens the mouth.

    Raises
    ------
    TalkmeshError
        If there is none, or it does not take anything down.
    """
    wanted = JAWS if jaw is None else (jaw,)
    known = {n.lower(): i for i, n in reversed(list(enumerate(rig.names)))}
    index = next((known[w.lower()] for w in wanted if w.lower() in known), None)
    if index is None:
        raise TalkmeshError(
            f"rig {rig.name} has no blendshape '{wanted[0]}': its lip landmarks cannot be placed; name the shape that "
            "opens the mouth, or give the vertex ids of lips and landmarks"
        )
    if -rig.deltas[index, :, 1].min() < JAW_LEAST_MM:
        raise TalkmeshError(
            f"rig {rig.name}: its blendshape '{rig.names[index]}' opens the mouth by less than {JAW_LEAST_MM} mm; "
            "check the rig's unit and up-axis, or name another shape"
        )
    return index


def opened(rig: Rig, jaw: str | None = None) -> np.ndarray:
    """Return the vertices (V, 3) with the mouth a little open."""
    delta = rig.deltas[jaw_shape(rig, jaw)]
    vertices: np.ndarray = rig.neutral + delta * min(1.0, JAW_MM / float(-delta[:, 1].min()))
    return vertices


def skin(rig: Rig) -> np.ndarray:
    """Return (V,) bool: the connected pieces of `rig` that bear its lips or its upper face."""
    low = rig.deltas[jaw_shape(rig)][:, 1]
    labels = surface.pieces(surface.edges(rig.neutral, rig.faces, np.column_stack([rig.neutral, low])))
    return _common(labels, rig.landmarks) | _common(labels, rig.upper)


def _common(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return (V,) bool: what belongs to a piece that holds more than a tenth of the vertices `ids`."""
    of = labels[ids]
    return np.isin(labels, [n for n in np.unique(of) if (of == n).mean() > 0.1])


class _View:
    """A rig with its mouth a little open, the face that MediaPipe sees in it, and what of the mesh is skin.

    points : (478, 2) mm; width : of the mouth, mm; low : (V,) how far the jaw takes a vertex down, mm; skin : (V,)
    bool; seen : ids of the skin's visible vertices about the mouth.
    """

    def __init__(self, rig: Rig, jaw: str | None) -> None:
        self.rig, self.opened = rig, opened(rig, jaw)
        self.low = -rig.deltas[jaw_shape(rig, jaw)][:, 1]
        points = face_points(rig, self.opened)
        if points is None:
            raise TalkmeshError(
                f"MediaPipe does not find one face in the picture of rig {rig.name}: its lip landmarks cannot be "
                "placed; check its colours and that it faces +z, or give the vertex ids of lips and landmarks"
            )
        self.points = points
        lips = self.points[list(LIPS)]
        self.width = float(np.linalg.norm(self.points[CORNERS[1]] - self.points[CORNERS[0]]))
        self.facing = render.vertex_normals(self.opened, rig.faces)[:, 2] > 0
        margin = 0.25 * self.width
        flat = self.opened[:, :2]
        seen = np.flatnonzero(
            self.facing & ((flat > lips.min(0) - margin) & (flat < lips.max(0) + margin)).all(1)
        )
        if len(seen):
            seen = seen[visible(self.opened, rig.faces, seen)]
        if len(seen) < len(lips):
            raise TalkmeshError(
                f"rig {rig.name} has {len(seen)} vertices about its mouth, too few to tell its lips"
            )
        # split where the lips part, too: the mouth may be closed by vertices that lie at one place
        self.links = surface.edges(rig.neutral, rig.faces, np.column_stack([rig.neutral, self.low]))
        labels = surface.pieces(self.links)
        self.skin = _common(labels, seen[surface.nearest(lips[:RING], flat[seen])])
        self.seen = seen[self.skin[seen]]

    def landmarks(self, among: np.ndarray | None = None) -> np.ndarray:
        """Return the 40 vertices nearest to the lip points, of `among` if given."""
        candidates = self.seen if among is None else np.intersect1d(self.seen, among)
        points = self.points[list(LIPS)]
        found = nearest_vertices(self.rig.neutral, self.opened, self.low, points, candidates)
        far = float(np.linalg.norm(self.opened[found, :2] - points, axis=1).mean())
        if far > FAR * self.width:
            raise TalkmeshError(
                f"rig {self.rig.name}: its lip vertices lie {far:.1f} mm from where MediaPipe sees lips; give the "
                "vertex ids of lips and landmarks"
            )
        return found

    def lips(self, landmarks: np.ndarray) -> np.ndarray:
        """Return what is seen between the rings of lip points, and from there a little way into the mouth."""
        flat = self.opened[:, :2]
        outer, inner = (self.points[list(ring)] for ring in (OUTER_LIPS, INNER_LIPS))
        within = self.skin & surface.inside(flat, outer)
        front = self.seen[within[self.seen] & ~surface.inside(flat[self.seen], inner)]
        reach = BEHIND * self.width
        near = surface.distance_from(self.links, np.union1d(front, landmarks), reach) <= reach
        return np.union1d(np.flatnonzero(near & within), landmarks).astype(np.int32)

    def upper(self) -> np.ndarray:
        """Return the skin within the outline of the face, from the cheekbones up, without the eyes' openings."""
        flat = self.opened[:, :2]
        eyes = [surface.inside(flat, self.points[list(eye)]) for eye in EYES]
        above = flat[:, 1] > self.points[list(CHEEKBONES), 1].mean()
        chosen = np.flatnonzero(above & self.facing & self.skin & ~np.logical_or.reduce(eyes))
        chosen = chosen[surface.inside(flat[chosen], self.points[list(OVAL)])]
        return chosen[visible(self.opened, self.rig.faces, chosen)].astype(np.int32)


def nearest_vertices(
    neutral: np.ndarray, vertices: np.ndarray, low: np.ndarray, points: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """Return the 40 of `candidates` nearest to `points`, no two the same, on the right lip.

    Parameters
    ----------
    neutral, vertices : (V, 3) mm, at rest and with the mouth as open as in the picture
    low : (V,) how far the jaw takes each vertex down, mm
    points : (40, 2) mm, in the order of `talkmesh.landmarks.LIPS`
    candidates : vertex ids; where they mirror each other, so does the result
    """
    twin = candidates[mirrored(neutral[candidates], neutral[candidates])]
    gap = np.linalg.norm(neutral[twin] * (-1, 1, 1) - neutral[candidates], axis=1)
    symmetric = float(np.quantile(gap, 0.9)) < SYMMETRIC_MM
    if symmetric:
        points = (points + points[MIRROR] * (-1, 1)) / 2
    share = low[candidates] / low[candidates].max()
    place = vertices[candidates]
    distance = np.linalg.norm(place[None, :, :2] - points[:, None], axis=-1)
    never = 1e3
    distance[UPPER] += never * (share > 0.45)
    distance[LOWER] += never * (share < 0.25)
    chosen = np.zeros(len(points), np.int32)
    if not symmetric:
        rows, columns = linear_sum_assignment(distance)
        chosen[rows] = candidates[columns]
        return chosen
    left, middle = np.flatnonzero(points[:, 0] < -0.5), np.flatnonzero(np.abs(points[:, 0]) <= 0.5)
    for places, fits in ((left, place[:, 0] < -0.3), (middle, np.abs(place[:, 0]) < 0.3)):
        rows, columns = linear_sum_assignment(distance[places] + never * ~fits)
        chosen[places[rows]] = candidates[columns]
        if places is left:
            chosen[MIRROR[places[rows]]] = twin[columns]
    return chosen


def check(rig: Rig, jaw: str | None = None) -> None:
    """Raise if lips and landmarks of `rig` cannot be right: lopsided, crossed, or not moved by the jaw as lips are.

    Raises
    ------
    TalkmeshError
        One sentence with what is wrong and what can be given instead.
    """
    points, lips = rig.neutral[rig.landmarks], rig.neutral[rig.lips]
    low = -rig.deltas[jaw_shape(rig, jaw)][:, 1]
    left, right = points[0], points[RING // 2]
    width = float(np.linalg.norm(right - left))
    middle = (left[0] + right[0]) / 2
    drop_upper, drop_lower = (float(low[rig.landmarks[which]].mean()) for which in (UPPER, LOWER))
    sides = (lips[:, 0] < middle).mean()
    problem = None
    if left[0] >= right[0] or abs(points[5, 0] - middle) > 0.25 * width:
        problem = "its mouth corners are not to both sides of the middle of its lips"
    elif not 0.3 < sides < 0.7:
        problem = f"{sides:.0%} of its lip vertices lie on one side"
    elif drop_lower < 2 * drop_upper or drop_lower < 0.05 * width:
        name = rig.names[jaw_shape(rig, jaw)]
        problem = f"'{name}' takes its lower lip down by {drop_lower:.1f} mm and its upper lip by {drop_upper:.1f} mm"
    if problem:
        raise TalkmeshError(f"rig {rig.name}: {problem}; give the vertex ids of lips and landmarks")
