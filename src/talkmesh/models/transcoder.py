"""The speech-to-image transcoder: E_A, E_V, D_R and D_S trained together (section 3.2, equations 1 to 5).

Codes are 512-d; an offset code is a code minus the neutral code of its domain (eq. 1; speech uses the real one).
Of several speakers each is a domain with a neutral image and a D_R of its own (section 5, the first way out).
B batch, T frames, H x W pixels, C code, S speakers. Domains are numbered: the speakers from 0 on, the character last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.errors import TalkmeshError
from talkmesh.models.closures import Closures
from talkmesh.models.images import disturb, luminance, match_colours
from talkmesh.models.perceptual import Network, PerceptualLoss
from talkmesh.models.speech import SpeechConfig, SpeechEncoder

SHAPES = 2  # numbers of the landmark anchor: inner lip gap and mouth width, see `domains.lip_shape`
SPREAD_FLOOR = 1e-5  # of the variance of codes: eq. 3 and 4 stay finite; larger, it rewards shrinking codes
CHARACTER = -1  # number of the synthetic domain
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
    """code : size of a code, 512 in the paper; encoder : channels of E_V, one a halving; decoder : channels of D_R and
    D_S, one a doubling; with_speech : false trains E_V, D_R and D_S alone (`image_only`, the first stage of the
    three-stage method); deneutral : offset codes (eq. 1) or raw ones; neutral_gradient : gradients flow through
    the neutral codes; norm : reading of the paper's ||.||_2 for pixels; mouth_weight : extra weight of pixels
    at the mouth; closures : see `closures`; cf_detach : E_A follows E_V and not the reverse; ccl_offset :
    compare offset codes in eq. 4 in place of the raw ones; disturb : strength of the random changes of E_V's
    input; code_noise : noise on the offset codes that decoders learn from, in units of the codes' spread, at
    the beginning and at the end of training (not in the paper: it keeps D_S on the character's own expressions
    when it is given the speaker's; less of it lets detail come)."""

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
    closures: Closures
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
    """The networks, and what belongs to them for good: neutral images and colour statistics of all domains.

    Parameters
    ----------
    size : side of the images in pixels
    fps : frame rate of the clips, which ties E_A to time
    neutral : (S + 1, 3, H, W) neutral images of the speakers and of the character, in [0, 1], colours matched
    colours : (S + 1, 2, 3) mean and standard deviation of the colours of these domains
    speakers : names of the speakers; empty where there is one, whose name does not matter
    """

    neutral: Tensor
    colours: Tensor
    mask: Tensor  # (1, H, W) in [0, 1]

    def __init__(
        self,
        config: TranscoderConfig,
        size: int,
        fps: float,
        neutral: Tensor,
        colours: Tensor,
        mask: Tensor,
        speakers: Sequence[str] = (),
    ) -> None:
        super().__init__()
        for name, widths in (("encoder", config.encoder), ("decoder", config.decoder)):
            if size % (1 << len(widths)):
                raise ValueError(f"transcoder.{name} halves {len(widths)} times: {size} pixels do not divide")
        if len(neutral) - 1 != max(len(speakers), 1):
            raise ValueError(f"{len(neutral)} neutral images do not fit {len(speakers)} names of speakers")
        self.config, self.speakers = config, tuple(speakers)
        self.encoder = VisualEncoder(config, size)
        self.real, self.synthetic = Decoder(config, size), Decoder(config, size)
        self.speech = SpeechEncoder(config.speech, config.code, fps) if config.with_speech else None
        self.anchor = nn.Linear(config.code, SHAPES, bias=False) if config.weights.anchor else None
        # the first speaker's D_R is `real`: the weights of a model of one speaker keep their names
        self.others = nn.ModuleList(Decoder(config, size) for _ in speakers[1:])
        self.register_buffer("neutral", neutral)
        self.register_buffer("colours", colours)
        self.register_buffer("mask", mask)

    @property
    def decoders(self) -> tuple[nn.Module, ...]:
        """D_R of every speaker, and D_S: by the number of the domain."""
        return self.real, *self.others, self.synthetic

    def number(self, speaker: str) -> int:
        """Return which domain a speaker is; in a model without names whoever it is is the only one.

        Raises
        ------
        TalkmeshError
            If the model has names, and this is none of them.
        """
        if self.speakers and speaker not in self.speakers:
            raise TalkmeshError(
                f"this model knows no speaker '{speaker}', only {', '.join(self.speakers)}: add the name to "
                "transcoder.speakers and train again"
            )
        return self.speakers.index(speaker) if self.speakers else 0

    def look(self, images: Tensor, domain: int) -> Tensor:
        """Return what E_V sees of images (B, 3, H, W) of a domain: masked luminance."""
        mean, std = luminance(self.colours[domain].view(2, 3, 1, 1)).view(2)
        return (luminance(images) - mean) / std * self.mask

    def codes_of_neutral(self) -> Tensor:
        """Return the codes (S + 1, C) of the neutral images of all domains."""
        seen = [self.look(self.neutral[i : i + 1], i) for i in range(len(self.neutral))]
        codes = self.encoder(torch.cat(seen)).float()
        return codes if self.config.neutral_gradient else codes.detach()

    def neutral_codes(self) -> Tensor:
        """Return what offset codes of all domains are relative to (S + 1, C): the neutral codes, or zero without
        de-neutralisation."""
        if not self.config.deneutral:
            return self.neutral.new_zeros(len(self.neutral), self.config.code)
        return self.codes_of_neutral()

    def offsets_of_images(self, images: Tensor, own: Tensor, speaker: int = 0) -> Tensor:
        """Return offset codes (B, C) of images in [0, 1] of a speaker, with the colour statistics `own` (B, 2, 3)."""
        matched = match_colours(images, own, self.colours[speaker])
        return self.encoder(self.look(matched, speaker)) - self.neutral_codes()[speaker]

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


def by_speaker(made: Callable[[Tensor, int], Tensor], x: Tensor, counts: Sequence[int]) -> Tensor:
    """Apply `made` to each speaker's part of x (B, ...) and the speaker's number; the parts have `counts` rows."""
    return torch.cat([made(part, i) for i, part in enumerate(x.split(list(counts))) if len(part)])


def _hinged(parts: Sequence[Tensor], neutral: Tensor) -> list[Tensor]:
    """Put behind each domain's part (B, ...) what belongs to its neutral image, a row of `neutral` (S + 1, ...)."""
    return [torch.cat([part, own]) for part, own in zip(parts, neutral.split(1), strict=True)]


def _fixed(network: nn.Module, x: Tensor) -> Tensor:
    """Apply a network whose parameters take no gradient from what is made of its output; `x` does."""
    return torch.func.functional_call(network, {k: p.detach() for k, p in network.named_parameters()}, (x,))


@dataclass
class Batch:
    """One training batch. Images are in [0, 1] with matched colours; `shapes` are the anchor's labels.

    real (B, 3, H, W), real_shapes (B, 2); decoded (D,): which of them are decoded (decoders cost most of a step; the
    others serve E_A as targets); synthetic (B', 3, H, W), synthetic_shapes (B', 2); speech (W, T, F) or (W, S):
    windows of T frames; window, frame (B,): which frame of which window each real image is; speakers: how many of
    the real images show each speaker, one speaker's after the other's, the same share of each decoded; empty for one;
    weight (B, 1): how much each real image counts in eq. 3, or None.
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
    speakers: tuple[int, ...] = ()
    weight: Tensor | None = None


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
        rest = model.codes_of_neutral()  # (S + 1, C)
        neutral = rest if c.deneutral else torch.zeros_like(rest)
        shown = batch.real[batch.decoded]
        counts = batch.speakers or (len(batch.real),)
        few = [n * len(shown) // len(batch.real) for n in counts]  # of those decoded

        def own(counts: Sequence[int]) -> Tensor:  # each image's speaker's neutral code, (B, C)
            return torch.cat([neutral[i].expand(n, -1) for i, n in enumerate(counts)])

        seen = [by_speaker(model.look, shown, few), model.look(batch.synthetic, CHARACTER)]
        codes = model.encoder(torch.cat([disturb(x, c.disturb) * model.mask for x in seen])).float()
        z_r, z_s = codes.split([len(shown), len(batch.synthetic)])
        d_r, d_s = z_r - own(few), z_s - neutral[CHARACTER]  # eq. 1
        noise = c.code_noise[0] + part * (c.code_noise[1] - c.code_noise[0])
        spread = d_r.detach().var(0).mean() + SPREAD_FLOOR
        # the neutral images take part with the offset zero, on which all domains are hinged (eq. 1)
        offsets = _hinged([*d_r.split(few), d_s], rest - neutral)
        *wanted, wanted_s = _hinged([*shown.split(few), batch.synthetic], model.neutral)
        # a decoder that learns from noisy codes ignores what its own domain never shows it
        *outs, out_s = (
            decoder(offset + noise * spread.sqrt() * torch.randn_like(offset))
            for decoder, offset in zip(model.decoders, offsets, strict=True)
        )
        out_r, wanted_r = torch.cat(outs), torch.cat(wanted)
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
                target = model.encoder(by_speaker(model.look, batch.real, counts)).float() - own(counts)
            # eq. 3; z_A - z_R is the same with and without the neutral code that both contain. Relative to the
            # spread of the codes: else both sides can shrink the codes to please this term
            terms["cf"] = w.cf * distance(offset, target, "mse", batch.weight) / spread
            heard = offset[batch.decoded]
            spoken = by_speaker(lambda z, speaker: model.decoders[speaker](z), heard, few)
            terms["cs"] = w.cs * distance(spoken, shown, c.norm, self.pixels)
            if w.ccl:  # eq. 4
                again = model.encoder(model.look(model.synthetic(heard), CHARACTER)).float()
                hinge = neutral[CHARACTER] if c.ccl_offset else own(few)
                terms["ccl"] = w.ccl * distance(again - hinge, heard, "mse") / spread
                anchored.append((again - hinge, batch.real_shapes[batch.decoded]))
            anchored.append((offset, batch.real_shapes))
        if model.anchor is not None:
            # the translated face has to show what the speaker shows, as read by the same head. Only the codes move:
            # D_S would else learn to paint a blot that reads as an open mouth
            painted = model.look(_fixed(model.synthetic, d_r), CHARACTER)
            translated = _fixed(model.encoder, painted).float() - neutral[CHARACTER]
            anchored.append((translated, batch.real_shapes[batch.decoded]))
            errors = [  # shapes are unknown (NaN) where no face was found
                ((model.anchor(offset) - shapes.nan_to_num()) * torch.isfinite(shapes)).square().mean()
                for offset, shapes in anchored
            ]
            terms["anchor"] = w.anchor * torch.stack(errors).sum()
        return terms
