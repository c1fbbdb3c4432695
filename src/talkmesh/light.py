"""The light that falls on a face, found at the vertices: as a shader, and the same on arrays.

Light at the vertices costs a software renderer a fraction of light at the pixels, and the triangles of a head are
small enough for it. Sums are made in linear light (sRGB ~ linear ** (1 / 2.2)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GAMMA = 2.2
SHARP = 24  # exponent of the highlight on skin
REDDER = (0.12, 0.02, 0.0)  # skin scatters red furthest: how much softer the edge of shade is in each channel


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


def shade(
    normals: np.ndarray,
    colours: np.ndarray,
    lights: tuple[Light, ...] = FRONTAL,
    ambient: tuple[float, float, float] = AMBIENT,
) -> np.ndarray:
    """Return the lit sRGB colours (V, 3) in [0, 1] of a surface of sRGB `colours`, seen from +z.

    Diffuse light wraps around the face a little (`Light.soft`), redder at the edge of shade, as light that has gone
    through skin does; a faint highlight is added. `shaders` is the same for OpenGL.
    """
    light = np.zeros_like(colours) + np.asarray(ambient, np.float32)
    shine = np.zeros((len(colours), 3), np.float32)
    wrap = np.array(REDDER, np.float32)
    for lamp in lights:
        towards, half = (np.asarray(d, np.float32) for d in _directions(lamp))
        cosine = normals @ towards
        soft = lamp.soft + wrap
        light += np.clip((cosine[:, None] + soft) / (1 + soft), 0, None) * np.asarray(lamp.colour, np.float32)
        if lamp.shine:
            highlight = np.clip(normals @ half, 0, None) ** SHARP
            shine += (lamp.shine * highlight)[:, None] * np.asarray(lamp.colour, np.float32)
    linear = colours.astype(np.float32) ** np.float32(GAMMA) * light + shine
    return np.clip(linear, 0, 1) ** np.float32(1 / GAMMA)


def _directions(lamp: Light) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors to the lamp, and half way between it and the camera at +z."""
    towards = np.asarray(lamp.direction, float) / np.linalg.norm(lamp.direction)
    half = np.add(towards, (0, 0, 1))
    return towards, half / np.linalg.norm(half)


def shaders(
    textured: bool = False,
    lights: tuple[Light, ...] = FRONTAL,
    ambient: tuple[float, float, float] = AMBIENT,
) -> tuple[str, str]:
    """Return the vertex and the fragment shader (GLSL 3.30) of a lit face, with the attributes that pyrender binds.

    Normals may be of any length. With a texture, light is found at the vertices and colours at the pixels.
    """
    lamps = []
    for lamp in lights:
        towards, half = (_vec(d) for d in _directions(lamp))
        soft = _vec(np.add(lamp.soft, REDDER))
        lamps.append(
            f"  light += max((dot(n, {towards}) + {soft}) / (1. + {soft}), 0.) * {_vec(lamp.colour)};"
        )
        if lamp.shine:
            shine = _vec(np.multiply(lamp.shine, lamp.colour))
            lamps.append(f"  shine += pow(max(dot(n, {half}), 0.), {SHARP}.) * {shine};")
    names = {
        "HEADER": "#version 330 core" + ("\n#define TEXTURED" if textured else ""),
        "AMBIENT": _vec(ambient),
        "GAMMA": str(GAMMA),
        "LAMPS": "\n".join(lamps),
        "COLOUR_AT": "3" if textured else "2",  # pyrender numbers the attributes that a primitive has
    }
    vertex, fragment = _VERTEX, _FRAGMENT
    for name, text in names.items():
        vertex, fragment = vertex.replace(name, text), fragment.replace(name, text)
    return vertex, fragment


def _vec(values: tuple[float, ...] | np.ndarray) -> str:
    return f"vec3({', '.join(f'{float(v):.7f}' for v in values)})"


_VERTEX = """HEADER
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
#ifdef TEXTURED
layout(location = 2) in vec2 texcoord;
out vec2 uv;
#endif
layout(location = COLOUR_AT) in vec4 colour;
uniform mat4 M, V, P;
out vec3 lit, shine;
void main() {
  gl_Position = P * (V * (M * vec4(position, 1.)));
  vec3 turned = mat3(M) * normal, n = turned / max(length(turned), 1e-9), light = AMBIENT;
  shine = vec3(0.);
LAMPS
  lit = pow(colour.rgb, vec3(GAMMA)) * light;
#ifdef TEXTURED
  uv = texcoord;
#else
  lit = pow(clamp(lit + shine, 0., 1.), vec3(1. / GAMMA));
#endif
}
"""

_FRAGMENT = """HEADER
in vec3 lit, shine;
out vec4 pixel;
#ifdef TEXTURED
in vec2 uv;
struct Material { sampler2D base_color_texture; };
uniform Material material;
void main() {
  vec3 colour = pow(texture(material.base_color_texture, uv).rgb, vec3(GAMMA));
  pixel = vec4(pow(clamp(colour * lit + shine, 0., 1.), vec3(1. / GAMMA)), 1.);
}
#else
void main() { pixel = vec4(lit, 1.); }
#endif
"""
