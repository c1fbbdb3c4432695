"""The film camera: pictures of the speaker with light per pixel, skin texture, a blurred room behind and sensor noise.

`talkmesh.render` lights vertices and fills triangles, which is what a character for training needs. A speaker has to
look filmed, at several frames a second on one core without a GPU: so one OpenGL program of our own, one draw call a
frame. One `Studio` per process.

V vertices, F faces, millimetres; x to the viewer's right, y up, z towards the camera.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from scipy import sparse

from talkmesh.errors import TalkmeshError
from talkmesh.render import normal_operator, opening_opengl, vertex_normals
from talkmesh.sample.shaders import (
    BROW,
    CUT_OUT,
    FLAT,
    HAIR,
    LASH,
    OPAQUE,
    SCREEN_FRAGMENT,
    SCREEN_VERTEX,
    TEETH,
    VERTEX,
)

FINER = 1.3  # the picture is made this many times larger and averaged, against jagged edges
SHADOW_SIZE = 256  # pixels of a depth picture of `exposure`


@dataclass(frozen=True)
class Surface:
    """What never changes of a mesh.

    faces : (F, 3); colours : (V, 3) sRGB in [0, 1]; rest : (V, 3) mm, the neutral pose, in which texture lives;
    material : (V,) one of SKIN, WET, ...; detail : (V, 2): of skin gloss and freckles, 0 to 1; of hair the strand and
    the place along it
    """

    faces: np.ndarray
    colours: np.ndarray
    rest: np.ndarray
    material: np.ndarray
    detail: np.ndarray


@dataclass(frozen=True)
class Lighting:
    """Key, fill and rim lamps (direction towards the lamp, linear RGB) and light from above and below."""

    key_direction: tuple[float, float, float] = (-0.55, 0.55, 0.75)
    key_colour: tuple[float, float, float] = (1.05, 0.97, 0.88)
    fill_direction: tuple[float, float, float] = (0.8, 0.15, 0.6)
    fill_colour: tuple[float, float, float] = (0.24, 0.27, 0.32)
    rim_direction: tuple[float, float, float] = (0.75, 0.45, -0.5)
    rim_colour: tuple[float, float, float] = (0.55, 0.6, 0.7)
    sky: tuple[float, float, float] = (0.34, 0.36, 0.40)
    ground: tuple[float, float, float] = (0.17, 0.13, 0.11)


class Studio:
    """An OpenGL context with one surface in it.

    Parameters
    ----------
    size : side of the square picture, pixels
    projection : (4, 4), of `render.perspective`; eye : position of the camera, mm
    background : (size, size, 3) uint8

    Raises
    ------
    TalkmeshError
        If OpenGL is not available on this machine.
    """

    def __init__(
        self,
        surface: Surface,
        size: int,
        projection: np.ndarray,
        eye: tuple[float, float, float],
        background: np.ndarray,
        lighting: Lighting,
    ) -> None:
        holes = np.isin(surface.material[surface.faces[:, 0]], (HAIR, LASH))
        order = np.argsort(holes, kind="stable")
        self.surface = replace(surface, faces=surface.faces[order])
        self._ranges = ((0, int((~holes).sum())), (int((~holes).sum()), int(holes.sum())))
        self.size, self.projection = size, projection
        self._fine = round(size * FINER)
        self.operator: sparse.csr_matrix = normal_operator(self.surface.faces, len(surface.rest))
        self._context, self.gl = _context()
        gl = self.gl
        self._programs = [_program(gl, VERTEX, source) for source in (OPAQUE, CUT_OUT)]
        self._depth_program = _program(gl, VERTEX, FLAT)
        self._screen = _program(gl, SCREEN_VERTEX, SCREEN_FRAGMENT)
        self._upload()
        self._grain = _grain(gl)
        self._picture = _texture(gl, background)
        self._target = _framebuffer(gl, self._fine)
        for program in self._programs:
            gl.glUseProgram(program)
            gl.glUniform1i(gl.glGetUniformLocation(program, "grain"), 1)
            gl.glUniform3f(gl.glGetUniformLocation(program, "eye"), *eye)
            for name, value in vars(lighting).items():
                if name.endswith("direction"):
                    value = np.asarray(value) / np.linalg.norm(value)
                gl.glUniform3f(gl.glGetUniformLocation(program, name), *value)
        self._set_surface(np.ones(len(surface.rest)))
        self._set_surface(self.exposure(surface.rest))

    def _upload(self) -> None:
        gl, s = self.gl, self.surface
        gl.glBindVertexArray(gl.glGenVertexArrays(1))
        self._buffers = [int(b) for b in gl.glGenBuffers(6)]
        for place, width in enumerate((3, 3, 3, 3, 4)):
            gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._buffers[place])
            gl.glVertexAttribPointer(place, width, gl.GL_FLOAT, False, 0, ctypes.c_void_p(0))
            gl.glEnableVertexAttribArray(place)
        self._fill(2, s.colours)
        self._fill(3, s.rest)
        gl.glBindBuffer(gl.GL_ELEMENT_ARRAY_BUFFER, self._buffers[5])
        faces = np.ascontiguousarray(s.faces, np.uint32)
        gl.glBufferData(gl.GL_ELEMENT_ARRAY_BUFFER, faces.nbytes, faces, gl.GL_STATIC_DRAW)

    def _fill(self, place: int, values: np.ndarray) -> None:
        gl = self.gl
        values = np.ascontiguousarray(values, np.float32)
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._buffers[place])
        gl.glBufferData(gl.GL_ARRAY_BUFFER, values.nbytes, values, gl.GL_STREAM_DRAW)

    def _set_surface(self, exposure: np.ndarray) -> None:
        self._fill(4, np.column_stack([self.surface.material, exposure, self.surface.detail]))

    def _move(self, vertices: np.ndarray) -> np.ndarray:
        normals = vertex_normals(vertices, self.surface.faces, self.operator)
        self._fill(0, vertices)
        self._fill(1, normals)
        return normals

    def _draw(self, program: int, projection: np.ndarray, start: int, count: int) -> None:
        gl = self.gl
        gl.glUseProgram(program)
        gl.glUniformMatrix4fv(
            gl.glGetUniformLocation(program, "projection"), 1, True, projection.astype(np.float32)
        )
        gl.glEnable(gl.GL_DEPTH_TEST)
        gl.glDrawElements(gl.GL_TRIANGLES, count * 3, gl.GL_UNSIGNED_INT, ctypes.c_void_p(start * 12))

    def film(self, vertices: np.ndarray) -> np.ndarray:
        """Return the picture (size, size, 3) uint8 of vertices (V, 3) in mm."""
        self._context.make_current()
        gl, size = self.gl, self._fine
        self._move(vertices)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._target)
        gl.glViewport(0, 0, size, size)
        gl.glClear(gl.GL_DEPTH_BUFFER_BIT)
        gl.glDisable(gl.GL_DEPTH_TEST)
        gl.glUseProgram(self._screen)
        gl.glBindTexture(gl.GL_TEXTURE_2D, self._picture)
        gl.glDrawArrays(gl.GL_TRIANGLES, 0, 3)
        gl.glEnable(gl.GL_CULL_FACE)
        self._draw(self._programs[0], self.projection, *self._ranges[0])
        gl.glDisable(gl.GL_CULL_FACE)
        self._draw(self._programs[1], self.projection, *self._ranges[1])
        data = gl.glReadPixels(0, 0, size, size, gl.GL_RGB, gl.GL_UNSIGNED_BYTE)
        image = np.frombuffer(data, np.uint8).reshape(size, size, 3)[::-1]
        return cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def exposure(self, vertices: np.ndarray, directions: int = 96) -> np.ndarray:
        """Return how much of the light from the front half sphere reaches each vertex (V,), 0 to 1.

        The mesh is drawn from each direction; a vertex is reached if nothing lies before it. What opens and shuts
        (mouth, eyes' parts that are not skin) keeps 1: its rest pose says nothing.
        """
        self._context.make_current()
        gl, low, high = self.gl, vertices.min(0), vertices.max(0)
        centre, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
        normals = self._move(vertices)
        target = _framebuffer(gl, SHADOW_SIZE, floating=True)
        lit, total = np.zeros(len(vertices)), np.zeros(len(vertices))
        for i in range(directions):  # a Fibonacci half sphere, y up and z to the camera preferred
            z, turn = 1 - (i + 0.5) / directions, i * 2.39996323
            towards = np.array(
                [np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn) + 0.35, z]
            )
            towards /= np.linalg.norm(towards)
            right = np.cross([0, 1, 0], towards) + np.array([1e-6, 0, 0])
            right /= np.linalg.norm(right)
            frame = np.stack([right, np.cross(towards, right), -towards]) / radius
            projection = np.eye(4)
            projection[:3, :3], projection[:3, 3] = frame, -frame @ centre
            gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, target)
            gl.glViewport(0, 0, SHADOW_SIZE, SHADOW_SIZE)
            gl.glClearColor(1, 1, 1, 1)
            gl.glClear(gl.GL_COLOR_BUFFER_BIT | gl.GL_DEPTH_BUFFER_BIT)
            self._draw(self._depth_program, projection, 0, len(self.surface.faces))
            data = gl.glReadPixels(0, 0, SHADOW_SIZE, SHADOW_SIZE, gl.GL_RED, gl.GL_FLOAT)
            depth = np.frombuffer(data, np.float32).reshape(SHADOW_SIZE, SHADOW_SIZE)
            local = (vertices - centre) @ frame.T
            column, row = (
                np.clip((local[:, k] + 1) / 2 * SHADOW_SIZE, 0, SHADOW_SIZE - 1).astype(int) for k in (0, 1)
            )
            facing = np.clip(normals @ towards, 0, 1)
            bias = (1.5 + 3 * np.sqrt(np.clip(1 - facing**2, 0, 1))) / radius / 2
            lit += facing * ((local[:, 2] + 1) / 2 - bias <= depth[row, column])
            total += facing
        reached = np.where(total > 0, lit / np.maximum(total, 1e-6), 0)
        reached = np.where(np.isin(self.surface.material, (BROW, LASH)), 1.0, reached)
        mouth = np.clip((vertices[:, 2] - 45) / 60, 0.15, 0.85)  # the further back in the mouth, the darker
        return np.where(self.surface.material == TEETH, mouth, reached)


def _context() -> tuple[Any, Any]:
    """Return a context and PyOpenGL's module of functions."""
    with opening_opengl():
        from talkmesh import opengl

        context = opengl.context()
        from OpenGL import GL
    return context, GL


def _program(gl: Any, vertex: str, fragment: str) -> int:
    from OpenGL.GL import shaders

    program = gl.glCreateProgram()
    for kind, source in ((gl.GL_VERTEX_SHADER, vertex), (gl.GL_FRAGMENT_SHADER, fragment)):
        gl.glAttachShader(program, shaders.compileShader(source, kind))
    gl.glLinkProgram(program)
    if not gl.glGetProgramiv(program, gl.GL_LINK_STATUS):
        raise TalkmeshError(f"OpenGL rejects the speaker's shader: {gl.glGetProgramInfoLog(program)!r}")
    return int(program)


def _texture(gl: Any, image: np.ndarray) -> int:
    texture = int(gl.glGenTextures(1))
    gl.glBindTexture(gl.GL_TEXTURE_2D, texture)
    gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
    gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
    flipped = np.ascontiguousarray(image[::-1])
    gl.glTexImage2D(
        gl.GL_TEXTURE_2D,
        0,
        gl.GL_RGB8,
        image.shape[1],
        image.shape[0],
        0,
        gl.GL_RGB,
        gl.GL_UNSIGNED_BYTE,
        flipped,
    )
    for key, value in (("MIN_FILTER", gl.GL_LINEAR), ("MAG_FILTER", gl.GL_LINEAR)):
        gl.glTexParameteri(gl.GL_TEXTURE_2D, getattr(gl, f"GL_TEXTURE_{key}"), value)
    for axis in ("S", "T"):
        gl.glTexParameteri(gl.GL_TEXTURE_2D, getattr(gl, f"GL_TEXTURE_WRAP_{axis}"), gl.GL_MIRRORED_REPEAT)
    return texture


def _grain(gl: Any) -> int:
    """Return a volume of four channels of white noise, which linear filtering makes smooth."""
    texture = int(gl.glGenTextures(1))
    gl.glActiveTexture(gl.GL_TEXTURE1)
    gl.glBindTexture(gl.GL_TEXTURE_3D, texture)
    values = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 4), np.uint8)
    gl.glTexImage3D(gl.GL_TEXTURE_3D, 0, gl.GL_RGBA8, 32, 32, 32, 0, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, values)
    for key in ("MIN", "MAG"):
        gl.glTexParameteri(gl.GL_TEXTURE_3D, getattr(gl, f"GL_TEXTURE_{key}_FILTER"), gl.GL_LINEAR)
    gl.glActiveTexture(gl.GL_TEXTURE0)
    return texture


def _framebuffer(gl: Any, size: int, floating: bool = False) -> int:
    framebuffer = int(gl.glGenFramebuffers(1))
    gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, framebuffer)
    parts = (
        (gl.GL_R32F if floating else gl.GL_RGBA8, gl.GL_COLOR_ATTACHMENT0),
        (gl.GL_DEPTH_COMPONENT24, gl.GL_DEPTH_ATTACHMENT),
    )
    for form, attachment in parts:
        buffer = int(gl.glGenRenderbuffers(1))
        gl.glBindRenderbuffer(gl.GL_RENDERBUFFER, buffer)
        gl.glRenderbufferStorage(gl.GL_RENDERBUFFER, form, size, size)
        gl.glFramebufferRenderbuffer(gl.GL_FRAMEBUFFER, attachment, gl.GL_RENDERBUFFER, buffer)
    return framebuffer
