"""Tiny models with random weights, as the stages leave them on disk."""

from pathlib import Path

import numpy as np
import torch

from rigs import tiny_rig
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
    """Write a bundle in `root` whose mesh is always one that `rig` can make, and moves; return its folder."""
    torch.manual_seed(0)
    write_transcoder(root / "t", model_of(), FRAMING, 25.0)
    regressor = Regressor(RegressorConfig("resnet18", 4, 0.0, 0, 0, 0, 0, 0), torch.from_numpy(rig.neutral))
    drive = 0.02 * torch.rand(len(rig.names), regressor.vertices.in_features)
    with torch.no_grad():
        regressor.vertices.weight.copy_(torch.from_numpy(rig.deltas).reshape(len(rig.names), -1).T @ drive)
    write_regressor(root / "g", regressor.eval(), rig.hash)
    write_rig(root / "rig.npz", rig)
    if fast:
        head = Head(HEAD, CONFIG.code, torch.from_numpy(rig.deltas))
        with torch.no_grad():
            for layer in head.layers:
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.mul_(4)  # else random codes hardly move the face
            head.layers[-1].bias.zero_()
        write_head(root / "h", head.eval(), rig.hash)
    parts = root / "t", root / "g", root / "rig.npz"
    write_bundle(root / "ours", *parts, root / "h" if fast else None, corpus="tests")
    return root / "ours"


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in syllables."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.1 * np.clip(np.sin(2 * np.pi * 3 * t), 0.02, 1) * noise).astype(np.float32)
