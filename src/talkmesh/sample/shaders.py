"""The OpenGL programs of the studio (GLSL 3.30), and the numbers of the materials that they know."""

from __future__ import annotations

SKIN, WET, TEETH, HAIR, CLOTH, BROW, LASH = range(7)

VERTEX = """#version 330 core
layout(location=0) in vec3 position; layout(location=1) in vec3 normal; layout(location=2) in vec3 colour;
layout(location=3) in vec3 rest; layout(location=4) in vec4 surface;
uniform mat4 projection;
out vec3 P, N, C, Q; out vec4 S;
void main() {
  P = position; N = normal; C = colour; Q = rest; S = surface;
  gl_Position = projection * vec4(position, 1.);
}
"""

# Skin: wrapped diffuse light that reaches further in red than in blue (light that went through skin), two highlights,
# pores as bumps. Noise lives in the coordinates of the resting face, so it sticks to the moving skin.
FRAGMENT = """
in vec3 P, N, C, Q; in vec4 S;
uniform sampler3D grain;
uniform vec3 eye, key_direction, key_colour, fill_direction, fill_colour, rim_direction, rim_colour, sky, ground;
out vec4 pixel;
vec4 noise(vec3 x) { return texture(grain, x / 32.); }
vec3 lamp(vec3 d, vec3 n, vec3 wrap) { return clamp((dot(n, d) + wrap) / (1. + wrap), 0., 1.); }
float glint(vec3 d, vec3 n, vec3 v, float sharp) {
  return pow(max(dot(n, normalize(d + v)), 0.), sharp) * (sharp + 8.) / 25.;
}
void main() {
  int kind = int(S.x + .5);
  float exposure = S.y, strength = .02, sharp = 20.;
  vec3 n = normalize(N), v = normalize(eye - P), albedo = C * C, wrap = vec3(.25);
  if (!gl_FrontFacing) n = -n;
  float edge = 1. - max(dot(n, v), 0.), fresnel = edge * edge * edge * edge * edge;
  if (kind == 0) {
    vec4 fine = noise(Q * .6), pores = noise(Q * 1.5);
    albedo *= 1. + vec3(.10, .13, .13) * (fine.x - .5) + .10 * (pores.x - .5);
    albedo *= 1. - clamp(fine.w * 8. - 6.4, 0., 1.) * S.w * vec3(.12, .22, .28);
    n = normalize(n + .16 * (pores.yzw - .5) * (1. - S.z));
    wrap = vec3(.48, .30, .24); strength = mix(.075, .16, S.z); sharp = mix(14., 34., S.z);
  } else if (kind == 1) { strength = .5; sharp = 350.; wrap = vec3(.5); }
  else if (kind == 2) { strength = .12; sharp = 50.; wrap = vec3(.5); }
  else if (kind == 3) {
    float strand = noise(vec3(S.z * 190., S.w * 3., 1.)).x, lock = noise(vec3(S.z * 38., S.w * 2., 5.)).y;
    float tip = smoothstep(.90, 1., S.w);
    CUT(strand * .6 + lock * .4 < tip * .8)
    albedo *= .45 + .75 * strand * (.4 + .9 * lock);
    vec3 fall = vec3(Q.x > 0. ? .7 : -.7, -1., -.3), tangent = normalize(fall - n * dot(fall, n));
    float along = dot(tangent, normalize(key_direction + v)) + .25 * (lock - .5);
    strength = .0; wrap = vec3(.4); exposure *= .65 + .35 * lock;
    albedo += pow(max(1. - along * along, 0.), 24.) * (.2 + strand) * vec3(.05, .04, .03);
  } else if (kind == 4) {
    vec2 weave = Q.xy * 1.9;
    albedo *= .86 + .12 * sin(weave.x * 3.1 + sin(weave.y * .6)) * sin(weave.y * 2.2) + .18 * (noise(Q * .16).x - .5);
    strength = .0; albedo += .06 * fresnel * albedo; wrap = vec3(.3);
  } else { strength = .01; albedo *= (kind == 6 ? 1.1 : .6) + .6 * noise(Q * vec3(2.2, .5, .5)).x; }
  float open = mix(1., exposure, .75), rim = max(dot(n, rim_direction), 0.);
  vec3 light = mix(ground, sky, .5 + .5 * n.y) * exposure;
  light += (key_colour * lamp(key_direction, n, wrap) + fill_colour * lamp(fill_direction, n, wrap)) * open;
  vec3 shine = key_colour * glint(key_direction, n, v, sharp) + .5 * fill_colour * glint(fill_direction, n, v, sharp);
  shine = strength * open * shine + rim_colour * rim * rim * (.25 + fresnel) * .35 * exposure + fresnel * .04 * sky;
  vec3 c = albedo * light + shine;
  c = 1.22 * c * (1. + c * .12) / (1. + c * .55);
  pixel = vec4(sqrt(clamp(c, 0., 1.)), 1.);
}
"""
# Programs that may discard are drawn apart: they keep the graphics driver from skipping hidden pixels.
OPAQUE = "#version 330 core\n#define CUT(x)\n" + FRAGMENT
CUT_OUT = "#version 330 core\n#define CUT(x) if (x) discard;\n" + FRAGMENT
FLAT = """#version 330 core
in vec3 P, N, C, Q; in vec4 S; out vec4 pixel;
void main() { pixel = vec4(gl_FragCoord.z); }
"""
SCREEN_VERTEX = """#version 330 core
out vec2 at;
void main() { at = vec2((gl_VertexID << 1) & 2, gl_VertexID & 2); gl_Position = vec4(at * 2. - 1., 0., 1.); }
"""
SCREEN_FRAGMENT = """#version 330 core
in vec2 at; uniform sampler2D picture; out vec4 pixel;
void main() { pixel = texture(picture, at); }
"""
