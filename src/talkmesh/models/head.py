"""The fast path: a head that maps offset codes straight to weights of the rig's shapes (not in the paper).

Distilled from E_G(D_S(code)): it skips the picture, which takes most of the time. Its predecessor in the field maps the
code of the character's image to animation weights likewise (Moser et al., TOG 2021).
B batch, C code, K blendshapes, V vertices.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from talkmesh.errors import TalkmeshError
from talkmesh.models.folder import built, read_model, write_model
from talkmesh.rig import Rig

SHAPES_PULL = 0.01  # mm^2; shapes that look alike share a motion, and none moves for nothing


@dataclass(frozen=True)
class HeadConfig:
    """width, layers : of the hidden layers; lip_weight : extra weight of lip vertices in the loss."""

    width: int
    layers: int
    lip_weight: float

    def __post_init__(self) -> None:
        if not 0 <= self.layers <= 100 or not 0 < self.width <= 65_536:
            raise TalkmeshError("a head has 0 to 100 hidden layers, of 1 to 65536")


class Head(nn.Module):
    """Offset codes (B, C) to weights (B, K) in [0, 1]; `vertices` puts them on the rig."""

    deltas: Tensor  # (K, V, 3), mm
    scale: Tensor  # ()

    def __init__(self, config: HeadConfig, code: int, deltas: Tensor) -> None:
        super().__init__()
        self.config = config
        widths = [code, *[config.width] * config.layers]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], len(deltas)))
        nn.init.constant_(self.layers[-1].bias, -2.0)  # type: ignore[arg-type]  # starts near rest
        self.register_buffer("deltas", deltas, persistent=False)  # the rig's
        self.register_buffer(
            "scale", torch.ones(())
        )  # of the codes, else their size decides the speed of learning

    @torch.no_grad()
    def measure(self, codes: Tensor) -> None:
        """Take the size of codes (N, C) as the unit."""
        self.scale.copy_(codes.square().mean().sqrt())

    def forward(self, offset: Tensor) -> Tensor:
        return torch.sigmoid(self.layers(offset / self.scale).float())

    def moved(self, weights: Tensor) -> Tensor:
        """Return how far weights (B, K) move the vertices: (B, V, 3) in mm from the neutral face."""
        return (weights @ self.deltas.flatten(1)).view(len(weights), -1, 3)


def head_loss(model: Head, codes: Tensor, wanted: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Mean squared vertex distance in mm^2 to the teacher's motion (B, V, 3); `weight` (V,) has mean 1."""
    weights = model(codes)
    error = ((model.moved(weights) - wanted).square().sum(-1) * weight).mean()
    return {"vertices_mm2": error, "pull": SHAPES_PULL * weights.sum(1).mean()}


def write_head(folder: Path, model: Head, rig_hash: str) -> None:
    """Write the head of a fast path with the hash of the rig whose shapes it weighs."""
    write_model(folder, model, {"rig_hash": rig_hash})


def read_head(folder: Path, rig: Rig) -> Head:
    """Read the head of a fast path; it must have been distilled on that rig."""
    config, extra, weights = read_model(folder, HeadConfig)
    if extra.get("rig_hash") != rig.hash:
        raise TalkmeshError(f"{folder} was distilled on another rig; run `dvc repro distil` again")
    deltas = torch.from_numpy(rig.deltas)
    return built(folder, weights, lambda: Head(config, weights["layers.0.weight"].shape[1], deltas))
