"""The face-to-geometry regressor E_G: character image to mesh (section 3.3, equation 6).

A ResNet and one fully connected layer to 3V coordinates, here as offsets from the neutral mesh in mm.
B batch, H x W pixels, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


@dataclass(frozen=True)
class RegressorConfig:
    """network : `resnet34` is the paper's; batch : images a step; lip_weight : extra weight of lip vertices in the
    loss (0 = the paper's plain RMSE); jitter, rotation (degrees), scale, shift (shares), blur (pixels) : half-ranges
    of the augmentation. Blur is not in the paper: decoded images are softer than renders."""

    network: Literal["resnet18", "resnet34"]
    batch: int
    lip_weight: float
    jitter: float
    rotation: float
    scale: float
    shift: float
    blur: float


class Regressor(nn.Module):
    """E_G: images (B, 3, H, W) in [0, 1] to vertices (B, V, 3) in mm."""

    def __init__(self, config: RegressorConfig, neutral: Tensor) -> None:
        super().__init__()
        import torchvision

        self.config = config
        self.body = getattr(torchvision.models, config.network)(weights=None)
        features = self.body.fc.in_features
        self.body.fc = nn.Identity()
        self.vertices = nn.Linear(features, neutral.numel())
        # start at the neutral face: the first gradients then say where to move, not where the face is
        nn.init.zeros_(self.vertices.weight)
        nn.init.zeros_(self.vertices.bias)
        self.register_buffer("neutral", neutral)

    def forward(self, images: Tensor) -> Tensor:
        return self.place(self.read(images))

    def read(self, images: Tensor) -> Tensor:
        """Return what the last layer is given (B, 512)."""
        return self.body(images * 2 - 1)

    def place(self, read: Tensor) -> Tensor:
        """Return the vertices (B, V, 3) of what was read (B, 512)."""
        return self.neutral + self.vertices(read).float().view(len(read), -1, 3)


def folded(model: Regressor) -> Regressor:
    """Put the normalisations of a trained regressor into the convolutions before them, in place: the same function
    for less work. It cannot be trained or stored after that."""
    pairs = (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1"))  # the last: where a block changes its size
    for part in list(model.body.modules()):
        for name, norm in pairs:
            layer, after = (part._modules.get(n) for n in (name, norm))
            if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                part._modules[name] = fuse_conv_bn_eval(layer, after)
                part._modules[norm] = nn.Identity()
    return model


def rmse(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Equation 6: root of the mean squared vertex distance in mm over the batch; `weight` (V,) has mean 1."""
    return ((predicted - truth).square().sum(-1) * weight).mean().sqrt()


def augment(images: Tensor, config: RegressorConfig) -> Tensor:
    """Colour jitter and random affine (section 3.3), a blur besides; drawn image by image from torch's generator."""
    b, _, h, w = images.shape
    r = torch.rand(b, 8, device=images.device) * 2 - 1
    angle, zoom = r[:, 0] * config.rotation * torch.pi / 180, 1 + r[:, 1] * config.scale
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = r[:, 2:4] * 2 * config.shift
    theta = torch.stack(
        [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
    )
    grid = functional.affine_grid(theta, [b, 1, h, w], align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    if config.blur:
        soft = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
        amount = (r[:, 4] * config.blur).abs().clamp(max=1)[:, None, None, None]
        images = torch.lerp(images, soft, amount)
    gain = 1 + config.jitter * (torch.rand(b, 3, 1, 1, device=images.device) * 2 - 1)
    contrast, bias = (1 + config.jitter * r[:, i, None, None, None] for i in (5, 6))
    middle = images.mean((1, 2, 3), keepdim=True)
    return ((images - middle) * contrast + middle * bias).mul(gain).clamp(0, 1)
