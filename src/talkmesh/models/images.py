"""Images as the networks see them: colour normalised, luminance only, slightly warped.

Residual head motion, light and colour are coded as if they were expression; what E_V never sees it cannot code.
B batch, H x W pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)  # Rec. 601


def colour_statistics(images: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation (2, 3) of the colours in [0, 1] of images (T, H, W, 3) under the mask."""
    inside = images[:, mask[..., 0] > 0.5].reshape(-1, 3).astype(np.float32) / 255
    return np.stack([inside.mean(0), inside.std(0) + 1e-3]).astype(np.float32)


def match_colours(images: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
    """Move images (B, 3, H, W) with colour statistics `own` (B, 2, 3) to the statistics `wanted` ([B,] 2, 3)."""
    mean, std = own[:, 0, :, None, None], own[:, 1, :, None, None]
    return (images - mean) / std * wanted[..., 1, :, None, None] + wanted[..., 0, :, None, None]


def luminance(images: Tensor) -> Tensor:
    """Return the luminance (B, 1, H, W) of images (B, 3, H, W)."""
    weights = images.new_tensor(LUMA)
    return (images * weights[:, None, None]).sum(1, keepdim=True)


def disturb(images: Tensor, strength: float) -> Tensor:
    """Change what E_V sees of images (B, 1, H, W) in ways that are no expression.

    A small similarity and a smooth random warp (residual head motion), gain, bias and a smooth field of light, blur
    and noise. What is decoded stays undisturbed, so decoders learn to ignore all of it; above all D_S does, whose
    own renders are always lit and framed alike. Each image draws its own share of `strength` between 0 and 1, so
    that undisturbed images, among them the neutral ones, are not strange to the decoders. At 1: rotation 4 degrees,
    scale 6 %, shift 3 % (half-ranges), local shift 1.5 %, gain 20 %, bias 0.2, light 0.4, noise 0.1 (standard
    deviations, in units of the image's own).
    """
    b, _, h, w = images.shape
    device = images.device
    amount = strength * torch.rand(b, 1, device=device)
    r = (torch.rand(b, 5, device=device) * 2 - 1) * amount
    angle, scale = r[:, 0] * 0.07, 1 + r[:, 1] * 0.06
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = r[:, 2:4] * 0.06  # of the range [-1, 1]
    theta = torch.stack(
        [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
    )
    grid = functional.affine_grid(theta, [b, 1, h, w], align_corners=False)
    amount = amount.view(b, 1, 1, 1)
    fields = torch.randn(b, 3, 5, 5, device=device) * torch.tensor([0.03, 0.03, 0.4], device=device).view(
        1, 3, 1, 1
    )
    fields = functional.interpolate(fields * amount, size=(h, w), mode="bicubic", align_corners=True)
    grid = grid + fields[:, :2].permute(0, 2, 3, 1)
    moved = functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    soft = functional.avg_pool2d(functional.pad(moved, (1, 1, 1, 1), mode="replicate"), 3, 1)
    moved = torch.lerp(moved, soft, r[:, 4].abs().clamp(max=1).view(b, 1, 1, 1))
    gain = 1 + 0.2 * amount * torch.randn(b, 1, 1, 1, device=device)
    bias = 0.2 * amount * torch.randn(b, 1, 1, 1, device=device)
    return moved * gain + bias + fields[:, 2:] + 0.1 * amount * torch.randn_like(moved)
