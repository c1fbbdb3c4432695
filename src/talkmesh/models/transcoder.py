"""The speech-to-image transcoder: E_A, E_V, D_R and D_S trained together (section 3.2, equations 1 to 5).

Codes are 512-d; an offset code is a code minus the neutral code of its domain (eq. 1; speech uses the real one).
B batch, T frames, H x W pixels, C code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.errors import TalkmeshError
from talkmesh.models.images import disturb, luminance, match_colours
from talkmesh.models.perceptual import Network, PerceptualLoss
from talkmesh.models.speech import SpeechConfig, SpeechEncoder

SHAPES = 2  # numbers of the landmark anchor: inner lip gap and mouth width, see `domains.lip_shape`
SPREAD_FLOOR = 1e-5  # of the variance of codes: eq. 3 and 4 stay finite; larger, it rewards shrinking codes
RESIDUAL_FROM = 64  # channels: in the narrow layers at full size a residual block costs most and gains least
Norm = Literal["l1", "mse", "rmse"]


@dataclass(frozen=True)
class Weights:
    """Weights of the terms; the paper gives none. `anchor` is not in the paper (0 switches it off)."""

    pixel: float
    perceptual: float
    cf: float
    cs: float
    ccl: float
    anchor: float


@dataclass(frozen=True)
class TranscoderConfig:
    """code : size of a code, 512 in the paper; encoder : channels of E_V, one a halving; decoder : channels of D_R
    and D_S, one a doubling; with_speech : false trains E_V, D_R and D_S alone (`image_only`, the first stage of the
    three-stage method); deneutral : offset codes (eq. 1) or raw ones; neutral_gradient : gradients flow through the
    neutral codes; norm : reading of the paper's ||.||_2 for pixels; mouth_weight : extra weight of pixels at the
    mouth; cf_detach : E_A follows E_V and not the reverse; ccl_offset : compare offset codes in eq. 4 in place of
    the raw ones; disturb : strength of the random changes of E_V's input; code_noise : noise on the offset codes that
    decoders learn from, in units of the codes' spread, at the beginning and at the end of training (not in the paper:
    it keeps D_S on the character's own expressions when it is given the speaker's; less of it lets detail come)."""

    code: int
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    with_speech: bool
    deneutral: bool
    neutral_gradient: bool
    norm: Norm
    perceptual: Network
    weights: Weights
    mouth_weight: float
    cf_detach: bool
    ccl_offset: bool
    disturb: float
    code_noise: tuple[float, float]
    speech: SpeechConfig

    def __post_init__(self) -> None:
        for name, widths in (("code", (self.code,)), ("encoder", self.encoder), ("decoder", self.decoder)):
            if not 0 < len(widths) <= 12 or not all(0 < width <= 65_536 for width in widths):
                raise TalkmeshError(
                    f"transcoder.{name} must be 1 to 12 widths of 1 to 65536; got {widths}"[:200]
                )


class VisualEncoder(nn.Module):
    """E_V: luminance (B, 1, H, W), about zero mean and unit variance, to codes (B, C). Shared by both domains.

    No normalisation over the batch: it would mix the statistics of the domains.
    """

    def __init__(self, config: TranscoderConfig, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for i, width in enumerate(config.encoder):
            layers += [
                nn.Conv2d(channels, width, 5 if i == 0 else 3, 2, 2 if i == 0 else 1),
                nn.LeakyReLU(0.1),
            ]
            if i > 0:
                layers.append(Residual(width))
            channels = width
        self.layers = nn.Sequential(*layers)
        side = size >> len(config.encoder)
        self.code = nn.Linear(channels * side * side, config.code)
        # torch's default halves the signal at every layer: codes would start with a spread of a thousandth
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.1)
        nn.init.normal_(self.code.weight, std=self.code.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self.layers(x).flatten(1))


class Residual(nn.Module):
    """x + conv(lrelu(conv(x))), started near the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.leaky_relu(self.first(x), 0.1))


class Decoder(nn.Module):
    """D_R or D_S: offset codes (B, C) to images (B, 3, H, W) in [0, 1], in blocks that double the side."""

    def __init__(self, config: TranscoderConfig, size: int) -> None:
        super().__init__()
        self.side = size >> len(config.decoder)
        channels = config.decoder[0]
        self.start = nn.Linear(config.code, channels * self.side * self.side)
        layers: list[nn.Module] = []
        for width in config.decoder:
            layers += [nn.Conv2d(channels, 4 * width, 3, padding=1), nn.LeakyReLU(0.1), nn.PixelShuffle(2)]
            if width >= RESIDUAL_FROM:
                layers.append(Residual(width))
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1))

    def forward(self, offset: Tensor) -> Tensor:
        x = functional.leaky_relu(self.start(offset), 0.1)
        return torch.sigmoid(self.layers(x.view(len(x), -1, self.side, self.side)).float())


class Transcoder(nn.Module):
    """The networks, and what belongs to them for good: neutral images and colour statistics of both domains.

    Parameters
    ----------
    size : side of the images in pixels
    fps : frame rate of the clips, which ties E_A to time
    neutral : (2, 3, H, W) neutral images of the real and the synthetic domain, in [0, 1], colours matched
    colours : (2, 2, 3) mean and standard deviation of the colours of both domains
    """

    neutral: Tensor
    colours: Tensor
    mask: Tensor  # (1, H, W) in [0, 1]

    def __init__(
        self, config: TranscoderConfig, size: int, fps: float, neutral: Tensor, colours: Tensor, mask: Tensor
    ) -> None:
        super().__init__()
        for name, widths in (("encoder", config.encoder), ("decoder", config.decoder)):
            if size % (1 << len(widths)):
                raise ValueError(f"transcoder.{name} halves {len(widths)} times: {size} pixels do not divide")
        self.config = config
        self.encoder = VisualEncoder(config, size)
        self.real, self.synthetic = Decoder(config, size), Decoder(config, size)
        self.speech = SpeechEncoder(config.speech, config.code, fps) if config.with_speech else None
        self.anchor = nn.Linear(config.code, SHAPES, bias=False) if config.weights.anchor else None
        self.register_buffer("neutral", neutral)
        self.register_buffer("colours", colours)
        self.register_buffer("mask", mask)

    def look(self, images: Tensor, domain: int) -> Tensor:
        """Return what E_V sees of images (B, 3, H, W) of a domain (0 real, 1 synthetic): masked luminance."""
        mean, std = luminance(self.colours[domain].view(2, 3, 1, 1)).view(2)
        return (luminance(images) - mean) / std * self.mask

    def codes_of_neutral(self) -> Tensor:
        """Return the codes (2, C) of the neutral images of both domains."""
        codes = self.encoder(torch.cat([self.look(self.neutral[i : i + 1], i) for i in (0, 1)])).float()
        return codes if self.config.neutral_gradient else codes.detach()

    def neutral_codes(self) -> Tensor:
        """Return what offset codes of both domains are relative to (2, C): the neutral codes, or zero without
        de-neutralisation."""
        if not self.config.deneutral:
            return self.neutral.new_zeros(2, self.config.code)
        return self.codes_of_neutral()

    def offsets_of_images(self, images: Tensor, own: Tensor) -> Tensor:
        """Return offset codes (B, C) of real images in [0, 1] with the colour statistics `own` (B, 2, 3)."""
        matched = match_colours(images, own, self.colours[0])
        return self.encoder(self.look(matched, 0)) - self.neutral_codes()[0]

    def offsets_of_speech(self, features: Tensor, frames: int) -> Tensor:
        """Return offset codes (B, T, C) of speech features (see `speech.features`)."""
        if self.speech is None:
            raise ValueError("this transcoder was trained without speech (image_only)")
        return self.speech(features, frames)


def distance(a: Tensor, b: Tensor, norm: Norm, weight: Tensor | None = None) -> Tensor:
    """Mean distance of a and b (B, ...) under one reading of the paper's ||.||_2; `weight` has mean 1."""
    difference = a.float() - b.float()
    values = difference.abs() if norm == "l1" else difference.square()
    if weight is not None:
        values = values * weight
    return (values.flatten(1).mean(1) + 1e-8).sqrt().mean() if norm == "rmse" else values.mean()


def _fixed(network: nn.Module, x: Tensor) -> Tensor:
    """Apply a network whose parameters take no gradient from what is made of its output; `x` does."""
    return torch.func.functional_call(network, {k: p.detach() for k, p in network.named_parameters()}, (x,))


@dataclass
class Batch:
    """One training batch. Images are in [0, 1] with matched colours; `shapes` are the anchor's labels.

    real (B, 3, H, W), real_shapes (B, 2); decoded (D,): which of them are decoded (decoders cost most of a step; the
    others serve E_A as targets); synthetic (B', 3, H, W), synthetic_shapes (B', 2); speech (W, T, F) or (W, S):
    windows of T frames; window, frame (B,): which frame of which window each real image is.
    """

    real: Tensor
    real_shapes: Tensor
    decoded: Tensor
    synthetic: Tensor
    synthetic_shapes: Tensor
    window: Tensor
    frame: Tensor
    frames: int
    speech: Tensor | None = None


class TranscoderLoss(nn.Module):
    """Equations 1 to 5, each term by name and weighted, and the landmark anchor (not in the paper)."""

    pixels: Tensor  # (H, W) weight of each pixel, mean 1

    def __init__(self, config: TranscoderConfig, size: int) -> None:
        super().__init__()
        self.config = config
        self.perceptual = PerceptualLoss(config.perceptual)
        axis = (torch.arange(size) + 0.5) / size * 2 - 1
        bump = torch.exp(-(axis[None].square() / 0.35 + axis[:, None].square() / 0.18))  # mouth-shaped
        weight = 1 + config.mouth_weight * bump
        self.register_buffer("pixels", weight / weight.mean())

    def forward(self, model: Transcoder, batch: Batch, part: float = 0.0) -> dict[str, Tensor]:
        """Return the weighted terms; `part` of the training lies behind, 0 to 1."""
        c, w = self.config, self.config.weights
        rest = model.codes_of_neutral()  # (2, C)
        neutral = rest if c.deneutral else torch.zeros_like(rest)
        shown = batch.real[batch.decoded]
        seen = [model.look(x, i) for i, x in enumerate((shown, batch.synthetic))]
        codes = model.encoder(torch.cat([disturb(x, c.disturb) * model.mask for x in seen])).float()
        z_r, z_s = codes.split([len(shown), len(batch.synthetic)])
        d_r, d_s = z_r - neutral[0], z_s - neutral[1]  # eq. 1
        noise = c.code_noise[0] + part * (c.code_noise[1] - c.code_noise[0])
        spread = d_r.detach().var(0).mean() + SPREAD_FLOOR
        # the neutral images take part with the offset zero, on which both domains are hinged (eq. 1)
        hinge_r, hinge_s = (rest - neutral).split(1)
        # a decoder that learns from noisy codes ignores what its own domain never shows it
        out_r, out_s = (
            decoder(offset + noise * spread.sqrt() * torch.randn_like(offset))
            for decoder, offset in (
                (model.real, torch.cat([d_r, hinge_r])),
                (model.synthetic, torch.cat([d_s, hinge_s])),
            )
        )
        wanted_r = torch.cat([shown, model.neutral[:1]])
        wanted_s = torch.cat([batch.synthetic, model.neutral[1:]])
        terms = {  # eq. 2
            "pixel_real": w.pixel * distance(out_r, wanted_r, c.norm, self.pixels),
            "pixel_synthetic": w.pixel * distance(out_s, wanted_s, c.norm, self.pixels),
        }
        if c.perceptual != "none" and w.perceptual:
            pairs = torch.cat([out_r, out_s]), torch.cat([wanted_r, wanted_s])
            terms["perceptual"] = 2 * w.perceptual * self.perceptual(*pairs)
        anchored = [(d_r, batch.real_shapes[batch.decoded]), (d_s, batch.synthetic_shapes)]
        if batch.speech is not None and model.speech is not None:
            offset = model.speech(batch.speech, batch.frames).float()[batch.window, batch.frame]  # (B, C)
            with torch.set_grad_enabled(not c.cf_detach):  # E_A follows what E_V sees undisturbed
                target = model.encoder(model.look(batch.real, 0)).float() - neutral[0]
            # eq. 3; z_A - z_R is the same with and without the neutral code that both contain. Relative to the
            # spread of the codes: else both sides can shrink the codes to please this term
            terms["cf"] = w.cf * distance(offset, target, "mse") / spread
            heard = offset[batch.decoded]
            terms["cs"] = w.cs * distance(model.real(heard), shown, c.norm, self.pixels)
            if w.ccl:  # eq. 4
                again = model.encoder(model.look(model.synthetic(heard), 1)).float()
                own = neutral[1] if c.ccl_offset else neutral[0]
                terms["ccl"] = w.ccl * distance(again - own, heard, "mse") / spread
                anchored.append((again - own, batch.real_shapes[batch.decoded]))
            anchored.append((offset, batch.real_shapes))
        if model.anchor is not None:
            # the translated face has to show what the speaker shows, as read by the same head. Only the codes move:
            # D_S would else learn to paint a blot that reads as an open mouth
            translated = (
                _fixed(model.encoder, model.look(_fixed(model.synthetic, d_r), 1)).float() - neutral[1]
            )
            anchored.append((translated, batch.real_shapes[batch.decoded]))
            errors = [  # shapes are unknown (NaN) where no face was found
                ((model.anchor(offset) - shapes.nan_to_num()) * torch.isfinite(shapes)).square().mean()
                for offset, shapes in anchored
            ]
            terms["anchor"] = w.anchor * torch.stack(errors).sum()
        return terms
