"""glTF files: every way that exporters write a face gives the same face; what is not read is said."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

import heads
from gltf_file import Writer
from talkmesh.errors import TalkmeshError
from talkmesh.rig import accessors, gltf
from talkmesh.rig.rigfile import RigFile

# A sheet of 5 x 5 vertices with two shapes; the second names nothing that moves in the upper row
X, Y = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(1, -1, 5))
SHEET = np.stack([X.ravel(), Y.ravel(), 0.1 * X.ravel() ** 2], 1).astype(np.float32)
QUADS = np.array(
    [[5 * r + c, 5 * r + c + 5, 5 * r + c + 6, 5 * r + c + 1] for r in range(4) for c in range(4)]
)
FACES = np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]])
DELTAS = np.zeros((2, 25, 3), np.float32)
DELTAS[0, 10:, 1] = -np.linspace(0.1, 0.5, 15)
DELTAS[1, 5:, 0] = SHEET[5:, 0] * 0.25
NAMES = ["jawOpen", "mouthStretch_L"]


def sheet(writer: Writer, **node: object) -> Writer:
    writer.node(mesh=writer.mesh([writer.primitive(SHEET, FACES, DELTAS)], NAMES), **node)
    return writer


def same(
    read: RigFile, position: np.ndarray = SHEET, deltas: np.ndarray = DELTAS, atol: float = 1e-6
) -> None:
    """Check that `read` is the sheet: vertices in the file's order, faces turned alike."""
    np.testing.assert_allclose(read.neutral, position, atol=atol)
    np.testing.assert_allclose(read.deltas, deltas, atol=atol)
    np.testing.assert_array_equal(np.sort(read.faces, 0), np.sort(FACES, 0))
    assert read.names == ("jawOpen", "mouthStretchLeft")


def test_glb_and_gltf_with_buffers_inside_and_beside(tmp_path):
    same(gltf.load(sheet(Writer()).glb(tmp_path / "a.glb")))
    same(gltf.load(sheet(Writer()).gltf(tmp_path / "b.gltf", inside=True)))
    same(gltf.load(sheet(Writer()).gltf(tmp_path / "c.gltf", inside=False)))
    (tmp_path / "my data.bin").unlink()
    with pytest.raises(TalkmeshError, match=r"c\.gltf refers to my%20data\.bin, which is not beside it"):
        gltf.load(tmp_path / "c.gltf")


@pytest.mark.parametrize("where", ["mesh", "primitive", "accessors", "nowhere"])
def test_names_of_shapes(tmp_path, where):
    writer = Writer()
    primitive = writer.primitive(SHEET, FACES, DELTAS)
    if where == "primitive":
        primitive["extras"] = {"targetNames": NAMES}
    if where == "accessors":
        for target, name in zip(primitive["targets"], NAMES, strict=True):
            writer.json["accessors"][target["POSITION"]]["name"] = name
    writer.node(mesh=writer.mesh([primitive], NAMES if where == "mesh" else None))
    read = gltf.load(writer.glb(tmp_path / "a.glb"))
    assert read.names == (
        ("jawOpen", "mouthStretchLeft") if where != "nowhere" else ("shape_000", "shape_001")
    )


def test_sparse_and_strided_accessors(tmp_path):
    writer = Writer()
    primitive = writer.primitive(SHEET, FACES, DELTAS)
    primitive["attributes"]["POSITION"] = writer.accessor(SHEET, pad=4)
    primitive["targets"] = [{"POSITION": writer.accessor(d, sparse=True)} for d in DELTAS]
    writer.node(mesh=writer.mesh([primitive], NAMES))
    same(gltf.load(writer.glb(tmp_path / "a.glb")))
    # sparse values laid over values that are not zero
    base = np.array([[1.0], [2], [3], [4]])
    index = writer.accessor(base)
    writer.json["accessors"][index]["sparse"] = {
        "count": 2,
        "indices": {"bufferView": writer.view(b"\1\3"), "componentType": 5121},
        "values": {"bufferView": writer.view(np.array([9, 7], "<f4").tobytes())},
    }
    file = accessors.open_gltf(writer.glb(tmp_path / "b.glb"))
    np.testing.assert_array_equal(file.array(index)[:, 0], [1, 9, 3, 7])


@pytest.mark.parametrize(("kind", "normalized"), [("i2", True), ("i1", True), ("i2", False)])
def test_quantised_meshes(tmp_path, kind, normalized):
    """KHR_mesh_quantization: integers, with the scale in the node; shapes too."""
    top = 2.0 ** (8 * int(kind[1]) - 1) - 1
    scale = 1.25 if normalized else 1.25 / top
    writer = Writer()
    primitive = writer.primitive(SHEET, FACES, DELTAS)
    quantised = [np.round(v / 1.25 * top) for v in (SHEET, *DELTAS)]
    ids = [writer.accessor(v, kind, pad=2 if kind == "i2" else 1, normalized=normalized) for v in quantised]
    primitive["attributes"]["POSITION"] = ids[0]
    primitive["targets"] = [{"POSITION": i} for i in ids[1:]]
    writer.node(mesh=writer.mesh([primitive], NAMES), scale=[scale] * 3)
    writer.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    same(gltf.load(writer.glb(tmp_path / "a.glb")), atol=0.6 * 1.25 / top)


def test_nested_transforms_apply_to_places_in_full_and_to_shapes_without_the_shift(tmp_path):
    half = np.sqrt(0.5)
    writer = sheet(Writer(), root=False, translation=[1, 2, 3])  # innermost
    middle = writer.node(root=False, rotation=[0, 0, half, half], scale=[2, 3, 4], children=[0])
    matrix = np.array([[1, 0, 0, 10], [0, 0, -1, 20], [0, 1, 0, 30], [0, 0, 0, 1.0]])
    writer.node(matrix=matrix.T.ravel().tolist(), children=[middle])

    def by_hand(v: np.ndarray, shift: float) -> np.ndarray:
        v = (v + shift * np.array([1, 2, 3])) * (2, 3, 4)
        v = np.stack([-v[:, 1], v[:, 0], v[:, 2]], 1)  # a quarter turn about z
        return np.stack([v[:, 0], -v[:, 2], v[:, 1]], 1) + shift * np.array([10, 20, 30])

    same(
        gltf.load(writer.glb(tmp_path / "a.glb")),
        by_hand(SHEET, 1),
        np.stack([by_hand(d, 0) for d in DELTAS]),
        atol=1e-5,
    )


def test_a_mirrored_node_keeps_faces_outward(tmp_path):
    read = gltf.load(sheet(Writer(), scale=[-1, 1, 1]).glb(tmp_path / "a.glb"))
    a, b, c = (read.neutral[read.faces[:, i]] for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def skinned(writer: Writer, lean: float = 0.0) -> Writer:
    """The sheet in centimetres, z up, as its bind pose; the joints bring it to metres, y up. The armature's node
    counts, that of the mesh does not; `lean` turns the second joint by so many radians about x."""
    bind = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) * 100  # metres, y up, to centimetres, z up
    primitive = writer.primitive(
        SHEET @ bind.T,
        FACES,
        DELTAS @ bind.T.astype(np.float32),
        WEIGHTS_0=np.stack([1 - (Y.ravel() + 1) / 2, (Y.ravel() + 1) / 2, 0 * Y.ravel(), 0 * Y.ravel()], 1),
    )
    primitive["attributes"]["JOINTS_0"] = writer.accessor(np.tile([0, 1, 0, 0], (25, 1)), "u1")
    mesh = writer.mesh([primitive], NAMES)
    half = np.sqrt(0.5)
    writer.node(root=False, name="low", translation=[0, 0, 50], children=[1])
    writer.node(root=False, name="high", rotation=[np.sin(lean / 2), 0, 0, np.cos(lean / 2)])
    writer.node(name="armature", rotation=[-half, 0, 0, half], scale=[0.01] * 3, children=[0])
    writer.node(mesh=mesh, skin=0, translation=[7, 7, 7])
    inverse = np.eye(4)
    inverse[2, 3] = -50
    ids = writer.accessor(np.stack([inverse.T.ravel()] * 2))
    writer.json["skins"] = [{"joints": [0, 1], "inverseBindMatrices": ids}]
    return writer


def test_a_skinned_mesh_in_its_bind_pose(tmp_path):
    same(gltf.load(skinned(Writer()).glb(tmp_path / "a.glb")), atol=1e-5)


def test_a_skin_that_is_bent_is_bent_as_in_a_viewer(tmp_path):
    read = gltf.load(skinned(Writer(), lean=0.3).glb(tmp_path / "a.glb"))
    joint = np.array([0, 0.5, 0])  # of the second, metres, y up
    turn = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
    weight = ((Y.ravel() + 1) / 2)[:, None]
    bent = (1 - weight) * SHEET + weight * ((SHEET - joint) @ turn.T + joint)
    np.testing.assert_allclose(read.neutral, bent, atol=1e-5)
    np.testing.assert_allclose(
        read.deltas[0], (1 - weight) * DELTAS[0] + weight * DELTAS[0] @ turn.T, atol=1e-5
    )


def test_several_meshes_and_primitives_share_their_shapes_by_name(tmp_path):
    writer = Writer()
    upper, lower = (SHEET[FACES].mean(1)[:, 1] > 0), (SHEET[FACES].mean(1)[:, 1] <= 0)
    two = [writer.primitive(SHEET, FACES[part], DELTAS) for part in (upper, lower)]  # as by two materials
    writer.node(mesh=writer.mesh(two, NAMES))
    teeth = SHEET * 0.2 - (0, 0, 1)
    other = writer.mesh([writer.primitive(teeth, FACES, DELTAS[:1] * 0.5)], ["Face.JawOpen"])
    writer.node(mesh=other)
    still = writer.mesh([writer.primitive(teeth - (0, 0, 1), FACES, DELTAS[:0])])
    writer.node(mesh=still)
    read = gltf.load(writer.glb(tmp_path / "a.glb"))
    assert read.names == ("jawOpen", "mouthStretchLeft")
    assert len(read.neutral) == 75  # the row that the primitives share is there once
    by_place = {tuple(np.round(p, 4)): i for i, p in enumerate(read.neutral)}
    for p, d in zip(teeth, DELTAS[0] * 0.5, strict=True):
        i = by_place[tuple(np.round(p, 4))]
        np.testing.assert_allclose(read.deltas[0, i], d, atol=1e-6)
        assert not read.deltas[1, i].any()
    assert not read.deltas[:, [by_place[tuple(np.round(p, 4))] for p in teeth - (0, 0, 1)]].any()


def test_seams_are_joined_and_touching_lips_are_not(tmp_path):
    """Every triangle with vertices of its own, as files with hard edges have them; and a cut along the middle row
    whose two sides lie in one place but move apart."""
    own = FACES.ravel()
    read = gltf.load(_exploded(own, DELTAS[:, own]).glb(tmp_path / "a.glb"))
    assert len(read.neutral) == 25
    assert len(read.origin) == len(own)
    np.testing.assert_allclose(read.neutral[read.origin], SHEET[own], atol=1e-6)
    np.testing.assert_allclose(read.deltas[:, read.origin], DELTAS[:, own], atol=1e-6)
    deltas = DELTAS[:, own].copy()
    upper = np.repeat(SHEET[FACES].mean(1)[:, 1] > 0, 3)
    deltas[0, upper] = 0
    read = gltf.load(_exploded(own, deltas).glb(tmp_path / "b.glb"))
    assert len(read.neutral) == 30


def _exploded(own: np.ndarray, deltas: np.ndarray) -> Writer:
    writer = Writer()
    faces = np.arange(len(own)).reshape(-1, 3)
    writer.node(mesh=writer.mesh([writer.primitive(SHEET[own], faces, deltas)], NAMES))
    return writer


def test_a_body_is_left_out_and_so_are_transparent_and_double_triangles(tmp_path):
    writer = Writer()
    primitive = writer.primitive(SHEET, np.concatenate([FACES, FACES[:, ::-1]]), DELTAS)
    body = writer.primitive(SHEET * (1, 4, 1) - (0, 6, 0), FACES, DELTAS[:0])
    lens = writer.primitive(SHEET + np.array([0, 0, 0.5]), FACES, DELTAS[:0])
    lens["material"] = 0
    writer.json["materials"] = [
        {"alphaMode": "BLEND", "pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 0.2]}}
    ]
    for part in (primitive, body, lens):
        writer.node(mesh=writer.mesh([part], NAMES if part is primitive else None))
    read = gltf.load(writer.glb(tmp_path / "a.glb"))
    same(RigFile(read.neutral[:25], read.faces[:32], read.names, read.deltas[:, :25]))
    assert read.neutral[:, 1].min() > -3  # of the body, the neck
    assert (read.neutral[:, 2] < 0.4).all()
    assert (read.origin >= 0).sum() == len(read.neutral)


def test_colours_of_texture_material_and_vertices(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :2] = (255, 128, 64)  # upper left
    picture[2:, 2:] = (10, 200, 30)
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    for shift in (0.0, 1.0, -2.0):  # textures repeat
        writer = Writer()
        uv = np.where(np.arange(25)[:, None] % 2, 0.25, 0.75) * np.ones((25, 2)) + shift
        primitive = writer.primitive(SHEET, FACES, DELTAS, TEXCOORD_0=uv)
        primitive["material"] = 0
        writer.json |= {
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
            "textures": [{"source": 0}],
            "images": [{"bufferView": writer.view(data.getvalue()), "mimeType": "image/png"}],
        }
        writer.node(mesh=writer.mesh([primitive], NAMES))
        colours = gltf.load(writer.glb(tmp_path / "a.glb")).colours
        np.testing.assert_allclose(colours[1::2] * 255, np.tile([255, 128, 64], (12, 1)), atol=0.6)
        np.testing.assert_allclose(colours[::2] * 255, np.tile([10, 200, 30], (13, 1)), atol=0.6)
    writer = Writer()
    grey = np.full((25, 4), 65535)
    grey[:, :3] = round(0.5 * 65535)
    primitive = writer.primitive(SHEET, FACES, DELTAS)
    primitive["attributes"]["COLOR_0"] = writer.accessor(grey, "u2", normalized=True)
    primitive["material"] = 0
    writer.json["materials"] = [{"pbrMetallicRoughness": {"baseColorFactor": [1, 0.5, 0, 1]}}]
    writer.node(mesh=writer.mesh([primitive], NAMES))
    colours = gltf.load(writer.glb(tmp_path / "b.glb")).colours
    np.testing.assert_allclose(
        colours, np.tile([0.7354, 0.5371, 0], (25, 1)), atol=2e-4
    )  # sRGB of 0.5, 0.25, 0
    assert gltf.load(sheet(Writer()).glb(tmp_path / "c.glb")).colours is None


@pytest.mark.parametrize("kind", ["glb", "inside", "beside"])
def test_a_head_comes_back_to_float_precision(tmp_path, kind):
    pytest.importorskip("anny")
    rig = heads.plain()
    writer = Writer()
    linear = np.where(rig.colours <= 0.04045, rig.colours / 12.92, ((rig.colours + 0.055) / 1.055) ** 2.4)
    parts = writer.primitive(rig.neutral / 1000, rig.faces, rig.deltas / 1000, COLOR_0=linear)
    writer.node(mesh=writer.mesh([parts], [f"Face.{n[0].upper()}{n[1:]}" for n in rig.names]))
    path = tmp_path / f"a.{'glb' if kind == 'glb' else 'gltf'}"
    read = gltf.load(writer.glb(path) if kind == "glb" else writer.gltf(path, inside=kind == "inside"))
    assert read.names == rig.names
    assert (read.origin >= 0).all()  # nothing of a head is taken for a body
    np.testing.assert_allclose(read.neutral[read.origin] * 1000, rig.neutral, atol=1e-4)
    np.testing.assert_allclose(read.deltas[:, read.origin] * 1000, rig.deltas, atol=1e-4)
    alone = np.bincount(read.origin)[read.origin] == 1
    assert alone.mean() > 0.98
    np.testing.assert_allclose(read.colours[read.origin[alone]], rig.colours[alone], atol=1e-5)


def test_trimesh_sees_the_same_geometry(tmp_path):
    """An independent reader of structure, transforms and buffers (it knows no shapes)."""
    trimesh = pytest.importorskip("trimesh")
    writer = sheet(Writer(), translation=[1, 2, 3], rotation=[0.5, 0.5, 0.5, 0.5], scale=[1, 2, 3])
    path = writer.glb(tmp_path / "a.glb")
    theirs = trimesh.load(path, process=False).to_geometry()
    np.testing.assert_allclose(gltf.load(path).neutral, theirs.vertices, atol=1e-6)


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        (
            "KHR_draco_mesh_compression",
            r"is compressed \(KHR_draco_mesh_compression\).*save it without compression",
        ),
        ("EXT_meshopt_compression", r"is compressed \(EXT_meshopt_compression\)"),
        ("EXT_mesh_gpu_instancing", "needs the extension EXT_mesh_gpu_instancing"),
    ],
)
def test_what_is_not_read_is_said(tmp_path, extension, words):
    writer = sheet(Writer())
    writer.json["extensionsRequired"] = ["KHR_texture_transform", extension]
    with pytest.raises(TalkmeshError, match=words):
        gltf.load(writer.glb(tmp_path / "a.glb"))


def test_broken_files_are_named(tmp_path):
    def fails(words: str, change=None, data: bytes | None = None) -> None:
        path = tmp_path / "x.glb"
        writer = sheet(Writer())
        if change:
            change(writer.json)
        writer.glb(path)
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(TalkmeshError, match=rf"x\.glb.*{words}"):
            gltf.load(path)

    whole = sheet(Writer()).glb(tmp_path / "whole.glb").read_bytes()
    fails("not a glTF file", data=b"")
    fails("not a glTF file", data=b"solid cube")
    fails("not a glTF file", data=whole[: len(whole) // 2])
    fails("not a glTF file", data=b'{"asset": {}}')
    fails("version 1.0", lambda j: j["asset"].update(version="1.0"))
    fails("broken.*IndexError", lambda j: j["nodes"][0].update(mesh=7))
    fails("broken.*IndexError", lambda j: j["accessors"].pop())
    fails("broken.*do not fit", lambda j: j["accessors"][0].update(count=26))
    fails("broken.*KeyError", lambda j: j["accessors"][0].update(componentType=1))
    fails("broken.*RecursionError", lambda j: j["nodes"][0].update(children=[0]))
    fails("no morph targets", lambda j: [p.pop("targets") for p in j["meshes"][0]["primitives"]])
    writer = Writer()
    writer.node(mesh=writer.mesh([writer.primitive(SHEET, FACES, DELTAS * 0)], NAMES))
    with pytest.raises(TalkmeshError, match=r"z\.glb has no morph targets that move anything"):
        gltf.load(writer.glb(tmp_path / "z.glb"))
    with pytest.raises(TalkmeshError, match=r"nothing\.glb cannot be read: No such file"):
        gltf.load(tmp_path / "nothing.glb")
    path = sheet(Writer()).gltf(tmp_path / "y.gltf", inside=True)
    description = json.loads(path.read_text())
    description["buffers"][0]["uri"] = "https://example.org/face.bin"
    path.write_text(json.dumps(description))
    with pytest.raises(TalkmeshError, match=r"y\.gltf refers to https://example\.org/face\.bin: download it"):
        gltf.load(path)
