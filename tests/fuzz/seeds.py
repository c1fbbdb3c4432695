"""Good files of every kind that talkmesh reads, made on the spot: nobody's data, and as small as they can be."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy import sparse

import flame_file
import gltf_file
import models_on_disk
import studied
import tiny_project
from fuzz.footage import RATE, folder, noise, taken
from fuzz.mutations import Files
from talkmesh import contracts
from talkmesh.bundle import MANIFEST, write_bundle
from talkmesh.contracts import GroundTruth
from talkmesh.export.livelink import write_curves
from talkmesh.models.head import write_head
from talkmesh.rig import Rig, flame, write_rig
from talkmesh.rig.obj import NEUTRAL

ROOT = Path(__file__).parents[2]


# --------------------------------------------------------------------------------------------------------- rigs


@functools.cache
def rig() -> Rig:
    return tiny_project.tiny_rig()


def rigs() -> list[Files]:
    with folder() as root:
        texture = np.full((8, 8, 3), 90, np.uint8)
        uv = np.random.default_rng(0).random((len(rig().neutral), 2)).astype(np.float32)
        write_rig(root / "rig.npz", rig())
        write_rig(root / "textured/rig.npz", dataclasses.replace(rig(), uv=uv, texture=texture))
        return [taken(root / "textured"), {"rig.npz": (root / "rig.npz").read_bytes()}]


def objs() -> list[Files]:
    lines = [f"f {' '.join(f'{i + 1}/{i + 1}' for i in face)}" for face in rig().faces.tolist()]
    meshes = {NEUTRAL[0]: rig().neutral} | dict(zip(rig().names, rig().neutral + rig().deltas, strict=True))
    texts = {
        f"{name}.obj": "\n".join(
            ["# made", "o face", *(f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh), *lines]
        )
        for name, mesh in meshes.items()
    }
    return [{name: text.encode() for name, text in texts.items()}]


def gltfs() -> list[Files]:
    """Plain; sparse, strided, skinned and coloured, as a GLB, as JSON with its buffer inside, and beside it."""
    from PIL import Image

    with folder() as root:
        for k in range(4):
            writer = gltf_file.Writer()
            colours = np.concatenate([rig().colours, np.ones((len(rig().colours), 1))], 1)
            primitive = writer.primitive(
                rig().neutral / 1000, rig().faces, rig().deltas / 1000, COLOR_0=colours
            )
            if k:
                primitive["targets"] = [
                    {"POSITION": writer.accessor(d / 1000, sparse=True)} for d in rig().deltas
                ]
                primitive["attributes"]["POSITION"] = writer.accessor(rig().neutral / 1000, pad=4)
                uv = np.random.default_rng(1).random((len(rig().neutral), 2))
                primitive["attributes"]["TEXCOORD_0"] = writer.accessor(uv)
                Image.new("RGB", (9, 7), (200, 150, 120)).save(root / "t.png")
                writer.json["images"] = [{"bufferView": writer.view((root / "t.png").read_bytes())}]
                writer.json["textures"] = [{"source": 0}]
                texture = {
                    "index": 0,
                    "extensions": {"KHR_texture_transform": {"scale": [2, 2], "rotation": 0.1}},
                }
                look = {"baseColorFactor": [1, 1, 1, 1], "baseColorTexture": texture}
                writer.json["materials"] = [
                    {"pbrMetallicRoughness": look, "alphaMode": "MASK", "alphaCutoff": 0.1}
                ]
                primitive["material"] = 0
                joints = np.zeros((len(rig().neutral), 4))
                primitive["attributes"]["JOINTS_0"] = writer.accessor(joints, "u1")
                primitive["attributes"]["WEIGHTS_0"] = writer.accessor(joints + np.eye(4)[0])
            mesh = writer.mesh([primitive], list(rig().names))
            bone = writer.node(translation=[0, 0.1, 0], children=[1])
            writer.node(root=False, mesh=mesh, rotation=[0, 0, 0, 1], **({"skin": 0} if k else {}))
            if k:
                matrices = writer.accessor(np.eye(4).reshape(1, 16))
                writer.json["skins"] = [{"joints": [bone], "inverseBindMatrices": matrices}]
            (root / f"{k}").mkdir()
            if k < 2:
                writer.glb(root / f"{k}/a.glb")
            else:
                writer.gltf(root / f"{k}/a.gltf", inside=k == 2)
        return [taken(root / str(k)) for k in range(4)]


@functools.cache
def flame_arrays() -> dict[str, Any]:
    """The dictionary of a model of FLAME's structure on the tiny rig's mesh."""
    random, count = np.random.default_rng(3), len(rig().neutral)
    weights = random.random((count, 5))
    return {
        "v_template": rig().neutral.astype(float) / 1000,
        "f": rig().faces.astype(np.uint32),
        "shapedirs": random.normal(0, 1e-3, (count, 3, flame.IDENTITY + 6)),
        "posedirs": random.normal(0, 1e-4, (count, 3, 36)),
        "J_regressor": sparse.csc_matrix(np.full((5, count), 1 / count)),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
    }


def flames() -> list[Files]:
    values = flame_arrays()
    regions = {"lips": np.arange(20, 60), "forehead": np.arange(100, 110), "eye_region": np.arange(90, 100)}
    masks = {"masks.pkl": pickle.dumps(regions, 2)}
    with folder() as root:
        flame_file.write(root / "chumpy.pkl", values)
        np.savez(root / "a.npz", **values | {"J_regressor": values["J_regressor"].toarray()})
        return [
            masks | {"model.pkl": (root / "chumpy.pkl").read_bytes()},
            masks | {"model.pkl": pickle.dumps(values, 2)},
            masks | {"model.npz": (root / "a.npz").read_bytes()},
        ]


def vocasets() -> list[Files]:
    """A folder of VOCASET's structure, with its sounds in a pickle or as files."""
    people, sentences = (
        ("FaceTalk_170728_03272_TA", "FaceTalk_170904_00128_TA"),
        [f"sentence{k:02d}" for k in range(6)],
    )
    frames = np.stack([rig().vertices(np.full(2, k / 20)) for k in range(24)]) / 1000
    index = {p: {s: {k: (k + 3 * i) % 24 for k in range(3)} for i, s in enumerate(sentences)} for p in people}
    said = {"audio": (noise(0.05) * 3e4).astype(np.int16), "sample_rate": 22_000}
    heard = {p: {s: dict(said) for s in sentences} for p in people}
    with folder() as root:
        np.save(root / "data_verts.npy", frames.astype(np.float32))
        soundfile.write(root / "s.wav", noise(0.05), RATE)
        common = {
            "data_verts.npy": (root / "data_verts.npy").read_bytes(),
            "subj_seq_to_idx.pkl": pickle.dumps(index, 2),
            "templates.pkl": pickle.dumps(dict.fromkeys(people, rig().neutral / 1000), 2),
        }
        wavs = {f"wav/{p}_{s}.wav": (root / "s.wav").read_bytes() for p in people for s in sentences[:2]}
    return [common | {"raw_audio_fixed.pkl": pickle.dumps(heard, 2)}, common | wavs]


# ------------------------------------------------------------------------------------- curves, meshes, transcripts


def weights(frames: int = 20) -> np.ndarray:
    return (0.5 + 0.5 * np.sin(np.arange(frames)[:, None] / 3 + np.arange(2))).astype(np.float32)


def curves() -> list[Files]:
    with folder() as root:
        write_curves(root / "a.csv", rig().names, weights(), 60)
        live = (root / "a.csv").read_bytes()
        rows = [f"{k / 30:.4f},{a:.3f},{b:.3f}" for k, (a, b) in enumerate(weights())]
        plain = "\n".join(["time,jawOpen,mouthSmile", *rows])
        names = np.array(rig().names)
        np.savez(root / "b.npz", names=names, fps=30.0, weights=weights())
        np.savez(root / "c.npz", names=names, fps=np.array(30), w_one=weights(), w_two=weights())
        packed = [{"a.npz": (root / f"{k}.npz").read_bytes()} for k in "bc"]
        return [{"a.csv": live}, {"a.csv": plain.encode()}, *packed]


def meshes() -> list[Files]:
    """Predictions and truth of one clip, as this project and as others write them."""
    with folder() as root:
        vertices = rig().vertices(weights())
        contracts.write_prediction(root / "p/a.npz", vertices, 25.0, rig())
        contracts.write_poses(root / "w/a.npz", weights(), 25.0, rig())
        np.save(root / "v.npy", vertices.reshape(len(vertices), -1).astype(np.float32))
        contracts.write_ground_truth(root / "t/a.npz", GroundTruth(25.0, weights(), rig().names))
        contracts.write_ground_truth(
            root / "u/a.npz", GroundTruth(50.0, vertices=vertices.repeat(2, 0), rig_hash=rig().hash)
        )
        write_rig(root / "rig.npz", rig())
        truths = [(root / k / "a.npz").read_bytes() for k in "tu"]
        found = [{"p/a.npz": (root / k / "a.npz").read_bytes(), "t/a.npz": truths[k == "w"]} for k in "pw"]
        found.append({"p/a.npy": (root / "v.npy").read_bytes(), "t/a.npz": truths[0]})
        return [files | {"rig.npz": (root / "rig.npz").read_bytes()} for files in found]


def ids() -> list[Files]:
    with folder() as root:
        np.savez(root / "a.npz", ids=np.arange(40))
        return [{"a.ids": b"1, 2 3\n4 5"}, {"a.json": b"[1, 2, 3]"}, {"a.npz": (root / "a.npz").read_bytes()}]


# -------------------------------------------------------------------------------------- parameters, models, studies


def parameters() -> list[Files]:
    own = (ROOT / "params.yaml").read_bytes()
    profiles = sorted((ROOT / "profiles").glob("*.yaml"))
    return [{"params.yaml": own, f"profiles/{p.name}": p.read_bytes()} for p in profiles]


def parts() -> list[Files]:
    """A transcoder, a head and a rig, without the manifest of a bundle."""
    with folder() as root:
        models_on_disk.write_parts(root)
        write_head(root / "h", models_on_disk.head_of(), models_on_disk.RIG.hash)
        return [{name: data for name, data in taken(root).items() if not name.startswith("g/")}]


def bundles() -> list[Files]:
    with folder() as root:
        made = models_on_disk.write_parts(root)
        write_head(root / "h", models_on_disk.head_of(), models_on_disk.RIG.hash)
        write_bundle(root / "b", *made, root / "h", corpus="made up")
        return [taken(root / "b")]


def manifests() -> list[Files]:
    """A bundle whose large file is small: good for its manifest alone."""
    files = bundles()[0]
    text = json.loads(files[MANIFEST])
    text["files"]["regressor/weights.safetensors"] = hashlib.sha256(b"").hexdigest()
    return [files | {"regressor/weights.safetensors": b"", MANIFEST: json.dumps(text).encode()}]


def studies() -> list[Files]:
    with folder() as root:
        studied.built(root)
        studied.answer_all(root / "study", studied.prefers("ground_truth", "ours", "pseudo", "still"))
        studied.answer_all(root / "study", studied.prefers("ours", "pseudo", "ground_truth", "still"), 3)
        files = taken(root / "study")
        return [{name: b"" if name.endswith(".mp4") else data for name, data in files.items()}]


def projects() -> list[Files]:
    """What stages hand to each other, of one clip."""
    with folder() as root:
        tiny_project.make(root)
        files = taken(root)
        clips = [k for k in files if k.startswith(("data/crops/talk_a/", "data/renders/"))]
        tables = ["data/clips/clips.csv", "data/crops/crops.csv", "data/crops/speakers.json"]
        return [{k: files[k] for k in [*clips, *tables] if not k.endswith(".flac")}]


def released() -> list[Files]:
    """Checkpoints as torch writes them: not of the right networks, which are large."""
    import torch

    with folder() as root:
        for name in ("encoder", "context_model", "vertex_unet"):
            torch.save({"mean": torch.zeros(1, 1, 9), "a.weight": torch.ones(3)}, root / f"{name}.pkl")
        return [taken(root)]
