"""Time per picture against the field's usual loop and against OpenGL without any library around it.

    python -m benchmarks.render [--json]

Three sides make 256-pixel pictures of the same heads from the same poses, in turns of random order, in one process,
on one device (`EGL_DEVICE_ID` chooses it). Each counts everything from the weights of a pose to an array of RGB bytes:
blendshapes, normals, upload, drawing with four samples a pixel (multisampling, on all sides), read-back.

- ours: `talkmesh.render.MeshRenderer`.
- usual loop: `trimesh.Trimesh`, `pyrender.Mesh.from_trimesh`, a new scene with five lamps, `OffscreenRenderer.render`
  for each frame, as in VOCA, FaceFormer and those that build on them. Unlike theirs, the renderer is kept.
- bare OpenGL: moderngl, one draw call with light at the vertices, the same blendshapes and normals as ours.
"""

from __future__ import annotations

import os

# The usual setting beside other work; without it, idle threads of the matrix library stand in OpenGL's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import gc
import json
import time
from collections.abc import Callable
from typing import Any

import moderngl
import numpy as np
import trimesh

from talkmesh import opengl
from talkmesh.light import shaders
from talkmesh.render import MeshRenderer, normal_operator, normal_sums, orthographic, whole_face
from talkmesh.rig import Rig, anny

SIZE = 256  # pixels
SIZES = (5_000, 12_000)  # vertices
ROUNDS, TURN = 24, 8  # each side makes TURN pictures in each round
Side = Callable[[np.ndarray], np.ndarray]


def head(rig: Rig, count: int) -> Rig:
    """Return `rig` with `count` vertices or one less: open at the back, or its largest faces divided in four."""
    arrays = [rig.neutral, *rig.deltas, rig.colours]
    flat, faces = np.concatenate(arrays, 1), rig.faces  # (V, 3 (K + 2))
    if count < len(flat):
        kept = np.zeros(len(flat), bool)
        kept[np.argsort(-rig.neutral[:, 2], kind="stable")[:count]] = True
        faces = (np.cumsum(kept) - 1)[faces[kept[faces].all(1)]]
        flat = flat[kept]
    while len(flat) < count - 1:
        a, b, c = (flat[faces[:, i], :3] for i in range(3))
        largest = np.argsort(-np.linalg.norm(np.cross(b - a, c - a), axis=1), kind="stable")
        few, many = 0, len(faces)  # how many faces to divide
        while many - few > 1:
            middle = (few + many) // 2
            if len(divided(flat, faces, largest[:middle])[0]) <= count:
                few = middle
            else:
                many = middle
        if few == 0:
            break
        flat, faces = divided(flat, faces, largest[:few])
    parts = [np.ascontiguousarray(p, np.float32) for p in np.split(flat, len(arrays), 1)]
    some = np.arange(40)
    return Rig(
        f"{count}",
        parts[0],
        faces.astype(np.int32),
        rig.names,
        np.stack(parts[1:-1]),
        some,
        some,
        some,
        parts[-1],
    )


def divided(flat: np.ndarray, faces: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Divide faces in four at the middles of their edges; all columns of `flat` (V, C) are averaged."""
    _, new_faces, attributes = trimesh.remesh.subdivide(
        flat[:, :3], faces, which, vertex_attributes={"all": flat}
    )
    return attributes["all"], new_faces


def ours(rig: Rig) -> Side:
    renderer = MeshRenderer(rig, SIZE, supersample=1)
    return lambda pose: renderer.image(rig.vertices(pose))


def usual_loop(rig: Rig) -> Side:
    """The loop of FaceFormer's demo.py, but for the OffscreenRenderer, which it makes anew for each frame."""
    import pyrender  # after talkmesh.opengl, which says how it reaches the device

    offscreen = opengl.renderer()
    kept, plain = offscreen._renderer, pyrender.renderer.Renderer(SIZE, SIZE)
    scale = SIZE / 2 / whole_face(rig, SIZE)[0, 0]
    low, high = rig.neutral.min(0), rig.neutral.max(0)
    material = pyrender.MetallicRoughnessMaterial(
        alphaMode="BLEND", baseColorFactor=[0.3, 0.3, 0.3, 1.0], metallicFactor=0.8, roughnessFactor=0.8
    )
    lamp = pyrender.DirectionalLight(color=np.ones(3), intensity=2.0)
    place = np.eye(4)
    place[:3, 3] = (low + high) / 2 + (0, 0, 500)
    turns = [
        trimesh.transformations.rotation_matrix(a, d) for d in ([1, 0, 0], [0, 1, 0]) for a in (-0.5, 0.5)
    ]

    def picture(pose: np.ndarray) -> np.ndarray:
        mesh = trimesh.Trimesh(vertices=rig.vertices(pose), faces=rig.faces, process=False)
        scene = pyrender.Scene(ambient_light=[0.2, 0.2, 0.2], bg_color=[255, 255, 255])
        scene.add(pyrender.Mesh.from_trimesh(mesh, material=material, smooth=True))
        scene.add(pyrender.OrthographicCamera(scale, scale, 1.0, 1000.0), pose=place)
        for turn in (np.eye(4), *turns):
            scene.add(lamp, pose=turn)
        offscreen._renderer = plain
        offscreen.viewport_width = offscreen.viewport_height = SIZE
        try:
            return offscreen.render(scene, flags=pyrender.RenderFlags.SKIP_CULL_FACES)[0]
        finally:
            offscreen._renderer = kept

    return picture


def bare_opengl(rig: Rig) -> tuple[Side, Side]:
    """Return the side that counts everything, and one that draws and reads back the neutral face alone."""
    egl: dict[str, Any] = {"backend": "egl", "device_index": int(os.environ.get("EGL_DEVICE_ID", "0"))}
    context = moderngl.create_standalone_context(**egl)
    program: Any = context.program(*shaders())
    program["P"].write(orthographic(whole_face(rig, SIZE), SIZE, SIZE).T.astype("f4").tobytes())
    for name in ("V", "M"):
        program[name].write(np.eye(4, dtype="f4").tobytes())
    operator, faces = normal_operator(rig.faces, len(rig.neutral)), rig.faces.astype(np.intp)
    data = np.zeros((len(rig.neutral), 6), np.float32)
    moving = context.buffer(reserve=data.nbytes)
    colours = np.column_stack([rig.colours, np.ones(len(data))]).astype("f4")
    mesh = context.vertex_array(
        program,
        [(moving, "3f 3f", "position", "normal"), (context.buffer(colours.tobytes()), "4f", "colour")],
        context.buffer(rig.faces.astype("i4").tobytes()),
    )
    size = (SIZE, SIZE)
    fine = context.framebuffer(
        context.renderbuffer(size, 4, samples=4), context.depth_renderbuffer(size, samples=4)
    )
    plain = context.framebuffer(context.renderbuffer(size, 4))

    def draw(pose: np.ndarray) -> np.ndarray:
        with context:
            fine.use()
            fine.clear(0.5, 0.5, 0.5, 0.0)
            context.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
            mesh.render()
            context.copy_framebuffer(plain, fine)
            pixels = plain.read(components=3)
        return np.frombuffer(pixels, np.uint8).reshape(SIZE, SIZE, 3)[::-1]

    def everything(pose: np.ndarray) -> np.ndarray:
        vertices = rig.vertices(pose)
        data[:, :3], data[:, 3:] = vertices, normal_sums(vertices, faces, operator)
        with context:
            moving.write(data)
        return draw(pose)

    return everything, draw


def measure(rig: Rig) -> dict[str, list[float]]:
    """Return ms per picture, ROUNDS values a side."""
    everything, draw = bare_opengl(rig)
    sides: dict[str, Side] = {
        "ours": ours(rig),
        "usual_loop": usual_loop(rig),
        "bare_opengl": everything,
        "bare_draw": draw,
    }
    random = np.random.default_rng(7)
    poses = random.random((1 + TURN, len(rig.names))).astype(np.float32) ** 4
    times: dict[str, list[float]] = {name: [] for name in sides}
    wanted = sides["ours"](poses[0]).astype(int)
    assert np.abs(everything(poses[0]) - wanted).mean() < 0.5, "ours and bare OpenGL show different pictures"
    assert sides["usual_loop"](poses[0]).std() > 10
    for _ in range(ROUNDS):
        for name in random.permutation(list(sides)):
            gc.collect()
            sides[name](poses[0])  # not counted: the device was another's
            start = time.perf_counter()
            for pose in poses[1:]:
                sides[name](pose)
            times[name].append((time.perf_counter() - start) / TURN * 1e3)
    return times


def figures() -> dict[str, Any]:
    """Return the named figures: ratios are medians over rounds, their worst over the sizes of heads."""
    rig = anny.load(anny.Identity(), anny.Look())
    found: dict[str, Any] = {"device": opengl.device(), "pixels": SIZE, "samples": 4, "heads": {}}
    for count in SIZES:
        small = head(rig, count)
        times = {name: np.array(values) for name, values in measure(small).items()}
        found["heads"][str(count)] = {
            "vertices": len(small.neutral),
            "triangles": len(small.faces),
            **{f"{name}_ms": round(float(np.median(t)), 2) for name, t in times.items()},
            "frames_per_second": round(1e3 / float(np.median(times["ours"])), 1),
            "vs_usual_loop": round(float(np.median(times["usual_loop"] / times["ours"])), 2),
            "vs_bare_opengl": round(float(np.median(times["ours"] / times["bare_opengl"])), 3),
            "vs_bare_draw": round(float(np.median(times["ours"] / times["bare_draw"])), 3),
        }
    for name, worst in (("vs_usual_loop", min), ("vs_bare_opengl", max), ("vs_bare_draw", max)):
        found[name] = worst(row[name] for row in found["heads"].values())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    found = figures()
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{found['device']}, {SIZE} pixels, four samples a pixel; ms per picture")
    columns = ("vertices", "ours_ms", "usual_loop_ms", "bare_opengl_ms", "bare_draw_ms", "frames_per_second")
    print("".join(f"{name:>19}" for name in columns))
    for row in found["heads"].values():
        print("".join(f"{row[name]:>19}" for name in columns))
    print(f"the usual loop takes {found['vs_usual_loop']} times as long (bar: at least 2.3)")
    print(f"ours takes {found['vs_bare_opengl']} times as long as bare OpenGL (bar: at most 1.25)")
    print(
        f"and {found['vs_bare_draw']} times as long as its draw and read-back alone, of a face that stands still"
    )


if __name__ == "__main__":
    main()
