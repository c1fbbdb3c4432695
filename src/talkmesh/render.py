"""One offscreen OpenGL renderer per process, cameras, and the light that falls on a face.

Light is computed here, at the vertices, and OpenGL only fills triangles: on a machine without a GPU that is several
times faster than pyrender's own shader, and the picture of one pose is the same wherever it is rendered.

V vertices, F faces. Millimetres; x to the viewer's right, y up, z towards the viewer. Pixels are continuous: the
picture spans [0, width] x [0, height], so the centre of the first pixel is (0.5, 0.5); y points down.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
from dataclasses import dataclass
from typing import Any

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


# ----------------------------------------------------------------------------------------------------- light


@dataclass(frozen=True)
class Light:
    """A distant soft lamp.

    direction : from the face to the lamp; colour : RGB, 1 = white; soft : 0 = hard edge of the shaded side, 1 = light
    reaches all around; shine : strength of its highlight on skin.
    """

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]
    soft: float = 0.4
    shine: float = 0.06


FRONTAL = (
    Light((0.0, 0.25, 1.0), (0.66, 0.66, 0.66), 0.35, 0.05),
    Light((0.55, 0.5, 0.75), (0.17, 0.165, 0.16), 0.6, 0.0),
    Light((-0.55, 0.5, 0.75), (0.17, 0.165, 0.16), 0.6, 0.0),
)
AMBIENT = (0.13, 0.13, 0.135)


def normal_operator(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """Return the (V, F) matrix that adds face normals up at vertices."""
    rows = faces.ravel()
    columns = np.repeat(np.arange(len(faces)), 3)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (count, len(faces)))


def vertex_normals(
    vertices: np.ndarray, faces: np.ndarray, operator: sparse.csr_matrix | None = None
) -> np.ndarray:
    """Return unit normals (V, 3), mean of the adjacent faces weighted by their area."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    if operator is None:
        operator = normal_operator(faces, len(vertices))
    normals = operator @ np.cross(b - a, c - a)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def shade(
    normals: np.ndarray,
    colours: np.ndarray,
    lights: tuple[Light, ...] = FRONTAL,
    ambient: tuple[float, float, float] = AMBIENT,
) -> np.ndarray:
    """Return the lit sRGB colours (V, 3) in [0, 1] of a surface of sRGB `colours`, seen from +z.

    Diffuse light wraps around the face a little (`Light.soft`), redder at the edge of shade, as light that has gone
    through skin does; a faint highlight is added. Sums are made in linear light.
    """
    light = np.zeros_like(colours) + np.asarray(ambient, np.float32)
    shine = np.zeros((len(colours), 3), np.float32)
    wrap = np.array([0.12, 0.02, 0.0], np.float32)  # skin scatters red furthest
    for lamp in lights:
        towards = np.asarray(lamp.direction, np.float32) / np.linalg.norm(lamp.direction)
        cosine = normals @ towards
        soft = lamp.soft + wrap
        light += np.clip((cosine[:, None] + soft) / (1 + soft), 0, None) * np.asarray(lamp.colour, np.float32)
        if lamp.shine:
            half = towards + np.array([0, 0, 1], np.float32)
            highlight = np.clip(normals @ (half / np.linalg.norm(half)), 0, None) ** 24
            shine += (lamp.shine * highlight)[:, None] * np.asarray(lamp.colour, np.float32)
    linear = colours.astype(np.float32) ** 2.2 * light + shine
    return np.clip(linear, 0, 1) ** np.float32(1 / 2.2)


# ------------------------------------------------------------------------------------------------- pictures


@functools.cache
def _opengl() -> tuple[Any, Any]:
    """Return pyrender and this process' only OffscreenRenderer: a second one breaks the first."""
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    logging.getLogger("OpenGL").setLevel(logging.WARNING)
    try:
        import pyrender

        renderer = pyrender.OffscreenRenderer(64, 64)
    except Exception as error:  # PyOpenGL raises whatever the missing piece happens to raise
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TalkmeshError(NO_OPENGL.format(error=why)) from error
    atexit.register(renderer.delete)  # before Python takes OpenGL's modules down
    return pyrender, renderer


def render(
    vertices: np.ndarray,
    faces: np.ndarray,
    colours: np.ndarray,
    projection: np.ndarray,
    size: tuple[int, int],
    background: np.ndarray | tuple[float, float, float] = (0.5, 0.5, 0.5),
    supersample: int = 2,
) -> np.ndarray:
    """Fill the triangles of a mesh with its vertex colours.

    Parameters
    ----------
    vertices : (V, 3) mm; faces : (F, 3), seen from the side on which they turn anticlockwise
    colours : (V, 3) sRGB in [0, 1], already lit (`shade`)
    projection : (4, 4) of `orthographic` or `perspective`
    size : width, height of the picture
    background : an sRGB colour in [0, 1], or a picture (height, width, 3) uint8 behind the mesh
    supersample : the picture is made this many times larger and averaged, for clean edges

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    TalkmeshError
        If OpenGL is not available on this machine.
    """
    pyrender, renderer = _opengl()
    width, height = size
    picture = isinstance(background, np.ndarray) and background.ndim == 3
    primitive = pyrender.Primitive(
        positions=vertices.astype(np.float32, copy=False),
        indices=faces,
        color_0=np.column_stack([colours, np.ones(len(colours))]).astype(np.float32),
        material=pyrender.MetallicRoughnessMaterial(doubleSided=False),
    )
    clear = (0.0, 0.0, 0.0, 0.0) if picture else (*np.asarray(background, float), 0.0)
    scene = pyrender.Scene(bg_color=clear)
    scene.add(pyrender.Mesh([primitive], is_visible=True))
    scene.add(_camera(pyrender, projection))
    renderer.viewport_width, renderer.viewport_height = width * supersample, height * supersample
    flags = pyrender.RenderFlags.FLAT | (pyrender.RenderFlags.RGBA if picture else pyrender.RenderFlags.NONE)
    image = np.asarray(renderer.render(scene, flags)[0])
    image = image.reshape(height, supersample, width, supersample, image.shape[-1]).mean(
        (1, 3), dtype=np.float32
    )
    if picture:  # black shows through where the mesh does not cover a pixel: the colour is already weighted
        image = image[..., :3] + background * (1 - image[..., 3:] / 255)
    return (image + 0.5).astype(np.uint8)


def _camera(pyrender: Any, projection: np.ndarray) -> Any:
    class Camera(pyrender.Camera):  # type: ignore[misc]
        def get_projection_matrix(self, width: int | None = None, height: int | None = None) -> np.ndarray:
            return projection

    return Camera(znear=0.1, zfar=10_000.0)


def whole_face(rig: Rig, size: int, margin: float = 0.06) -> np.ndarray:
    """Return the camera (2, 3) that frames the neutral head of `rig` in a square picture of `size` pixels."""
    low, high = rig.neutral[:, :2].min(0), rig.neutral[:, :2].max(0)
    scale = size * (1 - 2 * margin) / float((high - low).max())
    linear = np.diag([scale, -scale])
    return np.column_stack([linear, np.array([size / 2, size / 2]) - linear @ ((low + high) / 2)])


class MeshRenderer:
    """Frontal pictures of one rig under constant soft light.

    Parameters
    ----------
    size : side of the square picture, pixels
    camera : (2, 3) mm to pixels, of `framing.window`; the whole head if None
    """

    def __init__(self, rig: Rig, size: int, camera: np.ndarray | None = None, supersample: int = 2) -> None:
        self.rig, self.size, self.supersample = rig, size, supersample
        self.camera = whole_face(rig, size) if camera is None else np.asarray(camera, float)
        self.projection = orthographic(self.camera, size, size)
        self._operator = normal_operator(rig.faces, len(rig.neutral))

    def image(self, vertices: np.ndarray) -> np.ndarray:
        """Return the picture (size, size, 3) uint8 of vertices (V, 3) in mm."""
        colours = shade(vertex_normals(vertices, self.rig.faces, self._operator), self.rig.colours)
        return render(
            vertices,
            self.rig.faces,
            colours,
            self.projection,
            (self.size, self.size),
            supersample=self.supersample,
        )
