"""Tiny models with random weights, as the stages leave them on disk."""

from pathlib import Path

import numpy as np
import torch

from rigs import tiny_rig
from talkmesh.animate import animate
from talkmesh.bundle import Bundle, assemble, write_bundle
from talkmesh.framing import Framing
from talkmesh.models.head import Head, HeadConfig, write_head
from talkmesh.models.regressor import Regressor, RegressorConfig
from talkmesh.models.store import write_regressor, write_transcoder
from talkmesh.rig import Rig, write_rig
from test_transcoder import CONFIG, SIZE, model_of

RIG = tiny_rig()
FRAMING = Framing(SIZE, 2.0, 0.5, True)
HEAD = HeadConfig(16, 1, 0.0)


def write_parts(root: Path) -> tuple[Path, Path, Path]:
    """Write a transcoder, a regressor and a rig."""
    torch.manual_seed(0)
    write_transcoder(root / "t", model_of(), FRAMING, 25.0)
    regressor = Regressor(RegressorConfig("resnet18", 4, 0.0, 0, 0, 0, 0, 0), torch.from_numpy(RIG.neutral))
    torch.nn.init.normal_(
        regressor.vertices.weight, std=10.0
    )  # random pictures hardly differ: motion of some mm
    write_regressor(root / "g", regressor.eval(), RIG.hash)
    write_rig(root / "rig.npz", RIG)
    return root / "t", root / "g", root / "rig.npz"


def head_of() -> Head:
    torch.manual_seed(1)
    return Head(HEAD, CONFIG.code, torch.from_numpy(RIG.deltas)).eval()


def bundle_in(root: Path) -> Bundle:
    return assemble(*write_parts(root))


def talking_bundle(root: Path, rig: Rig, fast: bool = False) -> Path:
    """Write a bundle in `root` that moves `rig` visibly, by meshes that its shapes can make; return its folder."""
    torch.manual_seed(0)
    write_transcoder(root / "t", model_of(), FRAMING, 25.0)
    regressor = Regressor(RegressorConfig("resnet18", 4, 0.0, 0, 0, 0, 0, 0), torch.from_numpy(rig.neutral))
    shapes = torch.from_numpy(rig.deltas).reshape(len(rig.names), -1)
    layer = regressor.vertices
    with torch.no_grad():
        layer.weight.copy_(shapes.T @ torch.rand(len(rig.names), layer.in_features))
    parts = root / "t", root / "g", root / "rig.npz"
    write_regressor(parts[1], regressor.eval(), rig.hash)
    write_rig(parts[2], rig)
    moved = torch.from_numpy(animate(assemble(*parts), sound(1.0)).vertices - rig.neutral).flatten(1)
    weights = moved @ torch.linalg.pinv(shapes)
    with (
        torch.no_grad()
    ):  # random pictures hardly differ: what they say is spread over the range of the shapes
        spread = 0.4 / (weights - weights.mean(0)).abs().amax(0)
        layer.weight.copy_(shapes.T @ (spread[:, None] * (torch.linalg.pinv(shapes).T @ layer.weight)))
        layer.bias.add_((0.5 - spread * weights.mean(0)) @ shapes)
    write_regressor(parts[1], regressor, rig.hash)
    if fast:
        head = Head(HEAD, CONFIG.code, torch.from_numpy(rig.deltas))
        with torch.no_grad():
            for part in head.layers:
                if isinstance(part, torch.nn.Linear):
                    part.weight.mul_(4)  # else random codes hardly move the face
            head.layers[-1].bias.zero_()
        write_head(root / "h", head.eval(), rig.hash)
    write_bundle(root / "ours", *parts, root / "h" if fast else None, corpus="tests")
    return root / "ours"


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in syllables."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.1 * np.clip(np.sin(2 * np.pi * 3 * t), 0.02, 1) * noise).astype(np.float32)
