"""Pictures of meshes: cameras, normals, and the renderer of a rig's face.

One offscreen OpenGL renderer per process (`talkmesh.opengl`), kept on the device: a frame replaces positions and
normals. Light is found at the vertices (`talkmesh.light`). Four samples a pixel, and more with `supersample`.

V vertices, F faces. Millimetres; x to the viewer's right, y up, z towards the viewer. Pixels are continuous: the
picture spans [0, width] x [0, height], so the centre of the first pixel is (0.5, 0.5); y points down.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from scipy import sparse

from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig

NO_OPENGL = (
    "no OpenGL picture could be made without a screen ({error}): install the Debian packages "
    "libegl1 libegl-mesa0 libgl1-mesa-dri (apt-get install ...) and run `talkmesh doctor`"
)


# --------------------------------------------------------------------------------------------------- cameras


def orthographic(camera: np.ndarray, width: int, height: int, depth: float = 1000.0) -> np.ndarray:
    """Return the projection (4, 4) of a frontal camera without perspective.

    Parameters
    ----------
    camera : (2, 3), mm to pixels: pixel = camera[:, :2] @ (x, y) + camera[:, 2]
    width, height : of the picture, pixels
    depth : mm before and behind the origin that are seen
    """
    to_clip = np.diag([2 / width, -2 / height])
    projection = np.eye(4)
    projection[:2, :2] = to_clip @ camera[:, :2]
    projection[:2, 3] = to_clip @ camera[:, 2] + (-1, 1)
    projection[2, 2] = -1 / depth
    return projection


def perspective(
    focal: float, distance: float, width: int, height: int, centre: tuple[float, float] | None = None
) -> np.ndarray:
    """Return the projection (4, 4) of a camera on the z axis that looks at the origin.

    Parameters
    ----------
    focal : focal length, pixels
    distance : of the camera from the origin, mm
    centre : where the origin falls, pixels; the middle of the picture if None
    """
    x, y = centre if centre is not None else (width / 2, height / 2)
    near, far = distance * 0.1, distance * 10
    projection = np.zeros((4, 4))
    projection[0, [0, 2]] = 2 * focal / width, 1 - 2 * x / width
    projection[1, [1, 2]] = 2 * focal / height, 2 * y / height - 1
    projection[2, 2:] = -(far + near) / (far - near), -2 * far * near / (far - near)
    projection[3, 2] = -1
    view = np.eye(4)
    view[2, 3] = -distance
    return projection @ view


def project(projection: np.ndarray, points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the pixels (..., 2) at which points (..., 3) in mm appear."""
    clip = points @ projection[:, :3].T + projection[:, 3]
    plane = clip[..., :2] / clip[..., 3:]
    return np.stack([(plane[..., 0] + 1) * width / 2, (1 - plane[..., 1]) * height / 2], -1)


# --------------------------------------------------------------------------------------------------- normals


def normal_operator(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """Return the (V, F) matrix that adds face normals up at vertices."""
    rows = faces.ravel()
    columns = np.repeat(np.arange(len(faces)), 3)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (count, len(faces)))


def normal_sums(vertices: np.ndarray, faces: np.ndarray, operator: sparse.csr_matrix) -> np.ndarray:
    """Return the sums (V, 3) of the normals of the adjacent faces, each as long as twice the face's area."""
    a, b, c = (vertices.take(corner, 0) for corner in faces.T)
    return operator @ np.cross(b - a, c - a)


def vertex_normals(
    vertices: np.ndarray, faces: np.ndarray, operator: sparse.csr_matrix | None = None
) -> np.ndarray:
    """Return unit normals (V, 3), mean of the adjacent faces weighted by their area."""
    if operator is None:
        operator = normal_operator(faces, len(vertices))
    normals = normal_sums(vertices, faces, operator)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def seamless(rig: Rig, operator: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return `operator` so that vertices which lie and move together get one normal.

    Where a texture is cut, files hold a vertex once for each side; with a normal each, the cut would show as an edge.
    """
    motion = np.concatenate([rig.neutral[None], rig.deltas]).transpose(1, 0, 2).reshape(len(rig.neutral), -1)
    rows = np.ascontiguousarray(motion, np.float32).view(np.dtype((np.void, motion.shape[1] * 4))).ravel()
    _, group = np.unique(rows, return_inverse=True)
    if group.max() + 1 == len(group):
        return operator
    together = sparse.csr_matrix((np.ones(len(group), np.float32), (np.arange(len(group)), group)))
    return (together @ (together.T @ operator)).tocsr()


# ------------------------------------------------------------------------------------------------- pictures


@contextmanager
def opening_opengl() -> Iterator[None]:
    """Say what to install where OpenGL cannot be opened: a TalkmeshError in place of what happens to be raised."""
    try:
        yield
    except Exception as error:  # PyOpenGL raises whatever the missing piece happens to raise
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TalkmeshError(NO_OPENGL.format(error=why)) from error


@functools.cache
def _opengl() -> Any:
    """Return the module `talkmesh.opengl` with its renderer at work."""
    with opening_opengl():
        from talkmesh import opengl

        opengl.renderer()
    return opengl


def _smaller(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture as OpenGL has it, averaged to `size` (width, height) and turned upright."""
    if image.shape[1::-1] != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.flip(image, 0)


def render(
    vertices: np.ndarray,
    faces: np.ndarray,
    colours: np.ndarray,
    projection: np.ndarray,
    size: tuple[int, int],
    background: np.ndarray | tuple[float, float, float] = (0.5, 0.5, 0.5),
    supersample: int = 2,
) -> np.ndarray:
    """Fill the triangles of a mesh with its vertex colours, as they are.

    Parameters
    ----------
    vertices : (V, 3) mm; faces : (F, 3), seen from the side on which they turn anticlockwise
    colours : (V, 3) sRGB in [0, 1], already lit (`light.shade`)
    projection : (4, 4) of `orthographic` or `perspective`
    size : width, height of the picture
    background : an sRGB colour in [0, 1], or a picture (height, width, 3) uint8 behind the mesh
    supersample : the picture is made this many times larger, with four samples a pixel, and averaged

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    TalkmeshError
        If OpenGL is not available on this machine.
    """
    opengl = _opengl()
    pyrender = opengl.pyrender
    picture = isinstance(background, np.ndarray) and background.ndim == 3
    primitive = pyrender.Primitive(
        positions=vertices.astype(np.float32, copy=False),
        indices=faces,
        color_0=np.column_stack([colours, np.ones(len(colours))]).astype(np.float32),
        material=pyrender.MetallicRoughnessMaterial(doubleSided=False),
    )
    clear = (0.0, 0.0, 0.0, 0.0) if picture else (*np.asarray(background, float), 0.0)
    scene = pyrender.Scene(bg_color=clear)
    scene.add(pyrender.Mesh([primitive]))
    scene.add(opengl.Camera(projection))
    image = _smaller(opengl.draw(scene, size[0] * supersample, size[1] * supersample), size)
    if not picture:
        return cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)
    # black shows through where the mesh does not cover a pixel: the colour is already weighted
    return (image[..., :3] + background * (1 - image[..., 3:] / 255) + 0.5).astype(np.uint8)


def whole_face(rig: Rig, size: int, margin: float = 0.06) -> np.ndarray:
    """Return the camera (2, 3) that frames the neutral head of `rig` in a square picture of `size` pixels."""
    low, high = rig.neutral[:, :2].min(0), rig.neutral[:, :2].max(0)
    scale = size * (1 - 2 * margin) / float((high - low).max())
    linear = np.diag([scale, -scale])
    return np.column_stack([linear, np.array([size / 2, size / 2]) - linear @ ((low + high) / 2)])


class MeshRenderer:
    """Frontal pictures of one rig under constant soft light, before mid grey.

    Parameters
    ----------
    size : side of the square picture, pixels
    camera : (2, 3) mm to pixels, of `framing.window`; the whole head if None
    supersample : the picture is made this many times larger, with four samples a pixel, and averaged

    Attributes
    ----------
    scene : pyrender.Scene
        What is drawn; nodes that are added to it (glasses, a hat) are drawn too.

    Raises
    ------
    TalkmeshError
        If OpenGL is not available on this machine.
    """

    def __init__(self, rig: Rig, size: int, camera: np.ndarray | None = None, supersample: int = 2) -> None:
        opengl = _opengl()
        self.rig, self.size, self.supersample = rig, size, supersample
        self.camera = whole_face(rig, size) if camera is None else np.asarray(camera, float)
        self._faces = rig.faces.astype(np.intp)
        self._operator = seamless(rig, normal_operator(rig.faces, len(rig.neutral)))
        self._mesh = opengl.Movable(rig.neutral, rig.faces, rig.colours, rig.uv, rig.texture)
        self.scene = opengl.pyrender.Scene(bg_color=(0.5, 0.5, 0.5, 0.0))
        self.scene.add(opengl.pyrender.Mesh([self._mesh]))
        self.scene.add(opengl.Camera(orthographic(self.camera, size, size)))

    def image(self, vertices: np.ndarray) -> np.ndarray:
        """Return the picture (size, size, 3) uint8 of vertices (V, 3) in mm."""
        self._mesh.move(vertices, normal_sums(vertices, self._faces, self._operator))
        fine = self.size * self.supersample
        image = _smaller(_opengl().draw(self.scene, fine, fine), (self.size, self.size))
        return cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)
