"""What a mesh tells about itself: its pieces, distances on it, what is seen of it from the front.

V vertices, F faces. Millimetres; the viewer looks from +z.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

AT_ONCE = 32  # points compared with triangles at a time


def edges(vertices: np.ndarray, faces: np.ndarray, weld: np.ndarray | None = None) -> sparse.csr_matrix:
    """Return the lengths in mm of the edges of a mesh as a symmetric (V, V) matrix.

    Parameters
    ----------
    weld : (V, n) numbers; vertices in which all agree are joined by an edge of (nearly) no length, because many files
        split a vertex where its texture has a seam
    """
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    if weld is not None:
        same = np.unique(np.round(weld, 3), axis=0, return_inverse=True)[1].ravel()
        order = np.argsort(same, kind="stable")
        joined = same[order[1:]] == same[order[:-1]]
        pairs = np.concatenate([pairs, np.column_stack([order[:-1], order[1:]])[joined]])
    pairs = np.unique(np.sort(pairs, 1), axis=0)
    length = np.linalg.norm(vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1) + 1e-6
    both = np.concatenate([pairs, pairs[:, ::-1]])
    return sparse.csr_matrix((np.tile(length, 2), (both[:, 0], both[:, 1])), (len(vertices),) * 2)


def pieces(links: sparse.csr_matrix) -> np.ndarray:
    """Return the number (V,) of the connected piece that each vertex belongs to."""
    labels: np.ndarray = sparse.csgraph.connected_components(links, directed=False)[1]
    return labels


def distance_from(links: sparse.csr_matrix, ids: np.ndarray, limit: float = np.inf) -> np.ndarray:
    """Return the distance (V,) in mm along edges to the nearest of the vertices `ids`, infinite beyond `limit`."""
    distance: np.ndarray = sparse.csgraph.dijkstra(links, indices=ids, min_only=True, limit=limit)
    return distance


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Return (n,) bool: which of the points (n, 2) lie in a closed polygon (m, 2)."""
    x, y = points[:, None, 0], points[:, None, 1]
    (ax, ay), (bx, by) = polygon.T, np.roll(polygon, -1, 0).T
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = ((ay > y) != (by > y)) & (x < ax + (y - ay) / (by - ay) * (bx - ax))
    return crossed.sum(1) % 2 == 1


def visible(vertices: np.ndarray, faces: np.ndarray, ids: np.ndarray, tolerance: float = 0.3) -> np.ndarray:
    """Return (n,) bool: which of the vertices `ids` nothing that faces the viewer hides by more than `tolerance` mm."""
    corners = vertices[faces].astype(np.float64)
    corners = corners[cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) > 1e-9]
    low, high = corners[..., :2].min(1), corners[..., :2].max(1)
    points = vertices[ids].astype(np.float64)
    seen = np.ones(len(ids), bool)
    for few in np.array_split(
        np.argsort(points[:, 0]), -(-len(ids) // AT_ONCE)
    ):  # neighbours meet few triangles
        point = points[few, None]
        near = ((high >= point[..., :2].min(0)) & (low <= point[..., :2].max(0))).all(1)
        a, b, c = (corners[near, i] for i in range(3))
        area = cross(b - a, c - a)
        u, v = cross(b - point, c - point) / area, cross(c - point, a - point) / area
        met = np.minimum(np.minimum(u, v), 1 - u - v) >= -1e-9
        depth = np.where(met, u * a[:, 2] + v * b[:, 2] + (1 - u - v) * c[:, 2], -np.inf)
        seen[few] = (depth <= point[..., 2] + tolerance).all(1)
    return seen


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the z component of the cross product of vectors (..., 2 or 3)."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def mirrored(points: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return for points (..., 3) the indices (...) of the nearest of `among` (n, 3) to their mirror images in x."""
    return nearest(points * (-1, 1, 1), among)


def nearest(points: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return for points (..., 3) the indices (...) of the nearest of `among` (n, 3)."""
    from scipy.spatial import cKDTree

    found: np.ndarray = cKDTree(among).query(points)[1]
    return found


def closest(points: np.ndarray, corners: np.ndarray, candidates: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Return where a surface is nearest to points.

    Parameters
    ----------
    points : (n, 3); corners : (F, 3, 3) of its triangles
    candidates : triangles with the nearest middles, among which the nearest is found exactly

    Returns
    -------
    triangle : (n,) index; weights : (n, 3) of its corners, barycentric
    """
    from scipy.spatial import cKDTree
    from trimesh.triangles import closest_point, points_to_barycentric

    corners, points = np.asarray(corners, float), np.asarray(points, float)
    near = cKDTree(corners.mean(1)).query(points, min(candidates, len(corners)))[1].reshape(len(points), -1)
    flat = near.ravel()
    found = closest_point(corners[flat], np.repeat(points, near.shape[1], 0)).reshape(*near.shape, 3)
    best = np.linalg.norm(found - points[:, None], axis=-1).argmin(1)
    rows = np.arange(len(points))
    triangle = near[rows, best]
    weights = points_to_barycentric(corners[triangle], found[rows, best])
    weights = np.clip(np.nan_to_num(weights, nan=1 / 3), 0, 1)  # NaN: a triangle without area
    return triangle, weights / weights.sum(1, keepdims=True)


def depth_inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Return how far (n,) points (n, 2) lie within a closed polygon (m, 2), negative outside."""
    a, b = polygon, np.roll(polygon, -1, 0)
    along = b - a
    share = ((points[:, None] - a) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12)
    foot = a + np.clip(share, 0, 1)[..., None] * along
    away = np.linalg.norm(points[:, None] - foot, axis=-1).min(1)
    return np.where(inside(points, polygon), away, -away)
