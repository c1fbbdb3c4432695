"""This process' OpenGL: pyrender's scene, buffers and context, with two parts of it replaced.

Import it only where a picture is made: it opens EGL. `EGL_DEVICE_ID` in the environment chooses the device (0 is the
first), `PYOPENGL_PLATFORM` another way to OpenGL.

- pyrender reads back depth as well as colour and makes millimetres of it: here colour alone is read.
- pyrender never looks at a mesh again once it is on the device: a `Movable` is updated in place.
- A primitive with normals and colours is lit by `talkmesh.light` in the FLAT pass, not at each pixel. All else that a
  scene may hold is drawn by pyrender's own programs.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import importlib.util
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("PYOPENGL_PLATFORM", "egl")  # before pyrender is imported
logging.getLogger("OpenGL").setLevel(logging.WARNING)

# Mesa and triton, which torch imports when it pleases, each bring an LLVM. The one of Mesa, loaded first, gets into the
# other's way, and the process dies of `import triton`. Loaded in this order, each keeps its own.
_triton = importlib.util.find_spec("triton")
for _folder in (_triton and _triton.submodule_search_locations) or ():
    for _library in Path(_folder).glob("_C/libtriton*.so"):
        ctypes.CDLL(str(_library))

import pyrender  # noqa: E402
from OpenGL import EGL, GL  # noqa: E402
from pyrender.platforms.egl import EGLPlatform  # noqa: E402
from pyrender.renderer import Renderer  # noqa: E402
from pyrender.shader_program import ShaderProgram  # noqa: E402

from talkmesh.light import shaders  # noqa: E402


def _delete_context(platform: Any) -> None:
    """Delete a context and leave the display open: it is the process', and other contexts may live on it."""
    if platform._egl_context is not None:
        EGL.eglDestroyContext(platform._egl_display, platform._egl_context)
        platform._egl_context = None


EGLPlatform.delete_context = _delete_context


class Program(ShaderProgram):  # type: ignore[misc]
    """A shader program from text instead of files."""

    def _load(self, source: str) -> str:
        return source


class FacePass(Renderer):  # type: ignore[misc]
    """pyrender's renderer, which lights faces at the vertices and reads back no more than colour."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._lit: dict[bool, Program] = {}
        self._pixels = np.zeros((0, 0, 4), np.uint8)

    def _get_primitive_program(self, primitive: Any, flags: int, program_flags: int) -> Any:
        if not flags & pyrender.RenderFlags.FLAT or primitive.normals is None or primitive.color_0 is None:
            return super()._get_primitive_program(primitive, flags, program_flags)
        textured = primitive.material.baseColorTexture is not None
        if textured not in self._lit:
            self._lit[textured] = Program(*shaders(textured))
            self._lit[textured]._add_to_context()
        return self._lit[textured]

    def _read_main_framebuffer(self, scene: Any, flags: int) -> tuple[np.ndarray, None]:
        """Return the picture (height, width, 4) uint8, bottom row first, valid until the next one is drawn."""
        width, height = self._main_fb_dims
        box = (0, 0, width, height)
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._main_fb_ms)
        GL.glBindFramebuffer(GL.GL_DRAW_FRAMEBUFFER, self._main_fb)
        GL.glBlitFramebuffer(*box, *box, GL.GL_COLOR_BUFFER_BIT, GL.GL_NEAREST)  # four samples become one
        GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, self._main_fb)
        if self._pixels.shape[:2] != (height, width):
            self._pixels = np.zeros((height, width, 4), np.uint8)
        GL.glReadPixels(*box, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE, self._pixels)
        return self._pixels, None

    def delete(self) -> None:
        for program in self._lit.values():
            program.delete()
        self._lit = {}
        super().delete()


class Movable(pyrender.Primitive):  # type: ignore[misc]
    """A triangle mesh whose positions and normals are replaced in the buffer that is already on the device.

    Parameters
    ----------
    positions : (V, 3) float32, mm, at first; faces : (F, 3)
    colours : (V, 3) sRGB in [0, 1]
    uv : (V, 2), the upper left corner of `texture` is (0, 0), as in glTF; texture : (H, W, 3) uint8; or neither
    """

    def __init__(
        self,
        positions: np.ndarray,
        faces: np.ndarray,
        colours: np.ndarray,
        uv: np.ndarray | None = None,
        texture: np.ndarray | None = None,
    ) -> None:
        image = None if texture is None else pyrender.Texture(source=texture, source_channels="RGB")
        super().__init__(
            positions=positions.astype(np.float32),
            normals=np.zeros_like(positions, np.float32),
            texcoord_0=None if uv is None else (uv * (1, -1) + (0, 1)).astype(np.float32),
            indices=faces,
            color_0=np.column_stack([colours, np.ones(len(colours))]).astype(np.float32),
            material=pyrender.MetallicRoughnessMaterial(doubleSided=False, baseColorTexture=image),
        )
        parts = (self.positions, self.normals, self.texcoord_0, self.color_0)  # as pyrender lays them out
        self._vertices = np.hstack([part for part in parts if part is not None]).astype(np.float32)
        self._moved = False

    def move(self, positions: np.ndarray, normals: np.ndarray) -> None:
        """Put the vertices at `positions` (V, 3) mm, with `normals` (V, 3) of any length, in the next picture."""
        self._vertices[:, :3] = positions
        self._vertices[:, 3:6] = normals
        self._moved = True

    def _add_to_context(self) -> None:
        super()._add_to_context()
        self._moved = True  # pyrender has uploaded the first positions

    def _bind(self) -> None:
        super()._bind()
        if self._moved:
            GL.glBindBuffer(GL.GL_ARRAY_BUFFER, self._buffers[0])
            GL.glBufferSubData(GL.GL_ARRAY_BUFFER, 0, self._vertices.nbytes, self._vertices)
            self._moved = False


class Camera(pyrender.Camera):  # type: ignore[misc]
    """A camera of any projection (4, 4)."""

    def __init__(self, projection: np.ndarray) -> None:
        super().__init__(znear=0.1, zfar=10_000.0)
        self.projection = np.asarray(projection, np.float32)

    def get_projection_matrix(self, width: int | None = None, height: int | None = None) -> np.ndarray:
        return self.projection


def context() -> Any:
    """Return a further context of this process, current; call its `make_current` before each use."""
    platform = EGLPlatform(1, 1)
    platform.init_context()
    return platform


@functools.cache
def renderer() -> Any:
    """Return this process' only OffscreenRenderer: a second one breaks the first."""
    offscreen = pyrender.OffscreenRenderer(64, 64)
    offscreen._renderer = FacePass(64, 64)
    atexit.register(offscreen.delete)  # before Python takes OpenGL's modules down
    return offscreen


def draw(scene: Any, width: int, height: int) -> np.ndarray:
    """Return the picture (height, width, 4) uint8 of a scene, four samples a pixel, bottom row first.

    It is valid until the next one is drawn.
    """
    offscreen = renderer()
    offscreen.viewport_width, offscreen.viewport_height = width, height
    flags = pyrender.RenderFlags.FLAT | pyrender.RenderFlags.RGBA
    return offscreen.render(scene, flags)[0]


def device() -> str:
    """Return the name of the device that renders."""
    renderer()._platform.make_current()
    return GL.glGetString(GL.GL_RENDERER).decode()
