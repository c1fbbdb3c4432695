"""MeshTalk (Richard et al., ICCV 2021): a categorical code of expression, and an autoregressive model of it.

First an autoencoder: motion and sound are fused into `heads` categories of `classes` classes a frame (Gumbel softmax,
straight through), and a U-net puts them on the neutral mesh. Its cross-modality loss makes the mouth follow the sound
and the upper face the motion. Then a context model learns to draw the categories from sound and past categories.
Layers have their released names. What is ours: speech features of any width and rate (the released model hears log-mel
spectra, 100 a second: `released`), masks made from the rig, one weight decay; no eyelid term, as rigs name no lids.
B batch, T frames, F features, P feature vectors a frame, V vertices, H heads, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.models.speech import FrontEnd, SpeechConfig
from talkmesh.rig import Rig

CODE = 128  # width of the codes of sound and of motion
HIDDEN = 64  # of the context model, a head
CONTEXT = 100  # feature vectors that one code of sound looks at besides its own
SLOPE = 0.2  # of all leaky rectifiers
MOUTH_MM = 25.0  # reach of the mouth's mask around the lips
SMOOTH_TAPS, SMOOTH_SIGMA = 9, 2.0  # frames


@dataclass(frozen=True)
class MeshTalkConfig:
    """heads, classes : of the categorical code, 16 and 128 in the released model."""

    heads: int
    classes: int


class AudioEncoder(nn.Module):
    """Feature vectors (B, L, F) to codes of what surrounds them (B, L - 100, 128), before the mean over a frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convert_dimensions = nn.Conv1d(width, 128, 5)
        convs = [nn.Conv1d(128, 128, 5, dilation=d) for d in (2, 4, 6, 2, 4, 6)]
        self.convs = nn.ModuleList(convs)
        self.code = nn.Linear(128, CODE)
        for conv in (self.convert_dimensions, *convs):
            assert conv.bias is not None
            nn.init.xavier_uniform_(conv.weight)
            nn.init.constant_(conv.bias, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.leaky_relu(self.convert_dimensions(x.transpose(1, 2)), SLOPE)
        for conv in self.convs:
            y = functional.dropout(functional.leaky_relu(conv(x), SLOPE), 0.2, self.training)
            edge = (x.shape[2] - y.shape[2]) // 2
            x = (x[:, :, edge:-edge] + y) / 2
        return x.transpose(1, 2)


class ExpressionEncoder(nn.Module):
    """Meshes (B, T, V, 3) to codes of motion (B, T, 128)."""

    mean: Tensor  # (1, 1, V, 3)
    stddev: Tensor

    def __init__(self, vertices: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, 1, vertices, 3))
        self.register_buffer("stddev", torch.ones(1, 1, vertices, 3))
        self.layers = nn.ModuleList([nn.Linear(3 * vertices, 256), nn.Linear(256, 128)])
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.code = nn.Linear(128, CODE)

    def forward(self, meshes: Tensor) -> Tensor:
        x = ((meshes - self.mean) / self.stddev).flatten(2)
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE)
        return self.code(self.lstm(x)[0])


class FusionMlp(nn.Module):
    """Codes of motion and sound (B, T, 128) to log probabilities (B, T, H, C)."""

    def __init__(self, heads: int, classes: int) -> None:
        super().__init__()
        self.heads = heads
        self.mlp = nn.Sequential(
            nn.Linear(2 * CODE, 256),
            nn.LeakyReLU(SLOPE),
            nn.Linear(256, 256),
            nn.LeakyReLU(SLOPE),
            nn.Linear(256, heads * classes),
        )

    def forward(self, motion: Tensor, sound: Tensor) -> Tensor:
        return self.mlp(torch.cat([motion, sound], -1)).unflatten(-1, (self.heads, -1)).log_softmax(-1)


class MultimodalEncoder(nn.Module):
    """The three parts that make categories of meshes and sound."""

    def __init__(self, heads: int, classes: int, width: int, vertices: int) -> None:
        super().__init__()
        self.audio_encoder = AudioEncoder(width)
        self.expression_encoder = ExpressionEncoder(vertices)
        self.fusion_model = FusionMlp(heads, classes)


class VertexUnet(nn.Module):
    """Neutral meshes (B, V, 3) and categories (B, T, H, C) to meshes (B, T, V, 3)."""

    mean: Tensor  # (1, 1, V, 3)
    stddev: Tensor

    def __init__(self, heads: int, classes: int, vertices: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, 1, vertices, 3))
        self.register_buffer("stddev", torch.ones(1, 1, vertices, 3))
        down, up = (3 * vertices, 512, 256, 128), (128, 256, 512, 3 * vertices)
        self.encoder = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(down))
        self.fusion = nn.Linear(heads * classes + 128, 128)
        self.temporal = nn.LSTM(128, 128, 2, batch_first=True)
        self.decoder = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(up))
        self.vertex_bias = nn.Parameter(torch.zeros(3 * vertices))

    def forward(self, neutral: Tensor, categories: Tensor) -> Tensor:
        x = ((neutral[:, None] - self.mean) / self.stddev).flatten(2)  # (B, 1, 3V)
        skips = []
        for layer in self.encoder:
            skips.append(x)
            x = functional.leaky_relu(layer(x), SLOPE)
        x = torch.cat([x.expand(-1, categories.shape[1], -1), categories.flatten(2)], -1)
        x = self.temporal(functional.leaky_relu(self.fusion(x), SLOPE))[0]
        for layer in self.decoder:
            x = skips.pop() + functional.leaky_relu(layer(x), SLOPE)
        return (x + self.vertex_bias).unflatten(-1, (-1, 3)) * self.stddev + self.mean


class MaskedContextConvolution(nn.Module):
    """(B, T, H in) to (B, T, H out). A head sees the heads before it now, every head in the past, and the sound.

    dilation 0 : nothing of the past; else the last frame and that `dilation` frames before it.
    """

    mask: Tensor  # (H out, H in, 1)

    def __init__(self, inputs: int, outputs: int, heads: int, dilation: int) -> None:
        super().__init__()
        self.outputs, self.dilation = outputs, dilation
        self.unmasked_linear = nn.Conv1d(CODE, outputs * heads, 1)
        self.masked_linear = nn.Conv1d(inputs * heads, outputs * heads, 1)
        head_in = torch.arange(heads).repeat_interleave(inputs)
        head_out = torch.arange(heads).repeat_interleave(outputs)
        self.register_buffer("mask", (head_out[:, None] > head_in[None]).float()[:, :, None])
        if dilation:
            self.historic = nn.Conv1d(inputs * heads, outputs * heads, 2, dilation=dilation)

    def forward(self, x: Tensor, sound: Tensor | None) -> Tensor:
        x = x.transpose(1, 2)
        y = functional.conv1d(x, self.masked_linear.weight * self.mask, self.masked_linear.bias)
        if sound is not None:
            y = y + self.unmasked_linear(sound.transpose(1, 2))
        if self.dilation:
            y = y + self.historic(functional.pad(x[:, :, :-1], (self.dilation + 1, 0)))
        return y.transpose(1, 2)

    def before(self, past: Sequence[Tensor], sound: Tensor | None) -> Tensor:
        """Return what a frame owes to past inputs (each (H in)) and to the sound (128,): (H out)."""
        y = self.masked_linear.bias
        assert y is not None
        if sound is not None:
            y = y + functional.linear(sound, self.unmasked_linear.weight[:, :, 0], self.unmasked_linear.bias)
        if self.dilation and past:
            older = past[-1 - self.dilation] if len(past) > self.dilation else torch.zeros_like(past[-1])
            y = y + self.historic.weight.flatten(1) @ torch.stack([older, past[-1]], 1).flatten()
        if self.dilation:
            assert self.historic.bias is not None
            y = y + self.historic.bias
        return y

    def head(self, h: int, x: Tensor, before: Tensor) -> Tensor:
        """Return the outputs of head h for a frame whose earlier heads are known: x (h in)."""
        rows = slice(h * self.outputs, (h + 1) * self.outputs)
        return before[rows] + self.masked_linear.weight[rows, : len(x), 0] @ x


class ContextModel(nn.Module):
    """Categories (B, T, H, C) and codes of sound (B, T, 128) to log probabilities of each category given what was
    drawn before it (B, T, H, C)."""

    def __init__(self, heads: int, classes: int) -> None:
        super().__init__()
        self.heads, self.classes = heads, classes
        self.embedding = MaskedContextConvolution(classes, HIDDEN, heads, 0)
        self.context_layers = nn.ModuleList(
            MaskedContextConvolution(HIDDEN, HIDDEN, heads, d) for d in (1, 2, 4, 8)
        )
        self.logits = MaskedContextConvolution(HIDDEN, classes, heads, 0)

    def forward(self, categories: Tensor, sound: Tensor) -> Tensor:
        x = self.embedding(categories.flatten(2), None)
        for layer in self.context_layers:
            x = functional.leaky_relu(layer(x, sound), SLOPE)
        return self.logits(x, None).unflatten(-1, (self.heads, self.classes)).log_softmax(-1)

    @torch.no_grad()
    def sample(self, sound: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw categories (T, H, C), one-hot, for codes of sound (T, 128), head by head; without generator the
        likeliest."""
        layers = [self.embedding, *self.context_layers, self.logits]
        # inputs of each layer, one tensor a past frame
        past: list[list[Tensor]] = [[] for _ in layers]
        drawn = sound.new_zeros(len(sound), self.heads, self.classes)
        for t, heard in enumerate(sound):
            inputs = [
                sound.new_zeros(self.heads * (self.classes if i == 0 else HIDDEN)) for i in range(len(layers))
            ]
            before = []
            for i, layer in enumerate(layers):
                assert isinstance(layer, MaskedContextConvolution)
                before.append(layer.before(past[i], heard if layer.dilation else None))
            for h in range(self.heads):
                for i, layer in enumerate(layers):
                    assert isinstance(layer, MaskedContextConvolution)
                    width = self.classes if i == 0 else HIDDEN
                    y = layer.head(h, inputs[i][: h * width], before[i])
                    if layer.dilation:
                        y = functional.leaky_relu(y, SLOPE)
                    if i + 1 < len(layers):
                        inputs[i + 1][h * HIDDEN : (h + 1) * HIDDEN] = y
                if generator is None:
                    chosen = int(y.argmax())
                else:
                    chosen = int(torch.multinomial(y.softmax(0), 1, generator=generator))
                drawn[t, h, chosen] = 1
                inputs[0][h * self.classes + chosen] = 1
            for i in range(len(layers)):
                past[i].append(inputs[i])
        return drawn


class MeshTalk(nn.Module):
    """Speech features (B, T + 2 margin, P F) to offsets from the neutral mesh (B, T, V, 3) in mm."""

    mouth: Tensor  # (V,)
    upper: Tensor  # (V,)

    def __init__(self, config: MeshTalkConfig, speech: SpeechConfig, fps: float, vertices: int) -> None:
        super().__init__()
        self.config = config
        self.front_end = FrontEnd(speech, fps)
        self.per_frame = speech.per_frame
        self.margin = -(-CONTEXT // (2 * self.per_frame))
        width = self.front_end.width // self.per_frame
        self.encoder = MultimodalEncoder(config.heads, config.classes, width, vertices)
        self.unet = VertexUnet(config.heads, config.classes, vertices)
        self.context = ContextModel(config.heads, config.classes)
        self.register_buffer("mouth", torch.ones(vertices))
        self.register_buffer("upper", torch.ones(vertices))

    @torch.no_grad()
    def start(self, rig: Rig, offsets: Tensor) -> None:
        """Work in units of the size of offsets (N, V, 3) about the mean mesh. One size for all vertices: on one
        person a vertex of the ear hardly moves, and would be blown up by its own."""
        mean = torch.from_numpy(rig.neutral) + offsets.mean(0)
        motion, unet = self.encoder.expression_encoder, self.unet
        for own_mean, own_size in ((motion.mean, motion.stddev), (unet.mean, unet.stddev)):
            own_mean.copy_(mean)
            own_size.fill_(offsets.square().mean().sqrt().item())
        distance = np.linalg.norm(rig.neutral[:, None] - rig.neutral[rig.lips][None], axis=-1).min(1)
        self.mouth.copy_(torch.from_numpy(np.exp(-0.5 * (distance / MOUTH_MM) ** 2)))
        self.upper.zero_()[torch.from_numpy(rig.upper).long()] = 1

    def forward(self, speech: Tensor, speaker: Tensor, neutral: Tensor, frames: int) -> Tensor:
        """Draw one animation a sequence. Always the same: draws are seeded."""
        sound = self._sound(speech, frames)
        generator = torch.Generator(sound.device).manual_seed(0)
        drawn = torch.stack([self.context.sample(s, generator) for s in sound])
        offsets = self.unet(neutral, drawn) - neutral[:, None]
        return torch.stack([smooth(o, self.upper) for o in offsets]).float()

    def reconstruct(self, speech: Tensor, neutral: Tensor, offsets: Tensor) -> Tensor:
        """Return offsets (B, T, V, 3) after the way through the categories: what the context model cannot exceed."""
        return self.unet(neutral, self._categories(speech, neutral, offsets)[0]) - neutral[:, None]

    def losses(self, speech: Tensor, speaker: Tensor, neutral: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        """The autoencoder's: reconstruction and cross-modality, in units of the mean square of all offsets."""
        meshes = neutral[:, None] + offsets
        sound, motion = self._sound(speech, offsets.shape[1]), self.encoder.expression_encoder(meshes)
        other_sound, other_motion = (x.roll(int(torch.randint(1, len(x), ())), 0) for x in (sound, motion))

        def error(m: Tensor, s: Tensor) -> Tensor:
            categories = functional.gumbel_softmax(self.encoder.fusion_model(m, s), hard=True)
            return ((self.unet(neutral, categories) - meshes) / self.unet.stddev).square()

        def within(e: Tensor, mask: Tensor) -> Tensor:
            return (e * mask[:, None]).mean((0, 1, 3)).sum() / mask.sum()

        return {
            "reconstruction": error(motion, sound).mean(),
            "mouth": within(error(other_motion, sound), self.mouth),
            "upper": within(error(motion, other_sound), self.upper),
        }

    def context_losses(
        self, speech: Tensor, speaker: Tensor, neutral: Tensor, offsets: Tensor
    ) -> dict[str, Tensor]:
        """The context model's: cross entropy of the categories that the finished autoencoder finds, nats a head."""
        self.encoder.eval()
        with torch.no_grad():
            categories, sound = self._categories(speech, neutral, offsets)
        predicted = self.context(categories, sound)
        return {"entropy": functional.nll_loss(predicted.flatten(0, 2), categories.argmax(-1).flatten())}

    def _sound(self, speech: Tensor, frames: int) -> Tensor:
        """Return a code of sound for every frame (B, T, 128)."""
        fed = self.front_end(speech, frames + 2 * self.margin)  # (B, T + 2 margin, P F)
        p, first = self.per_frame, self.margin * self.per_frame - CONTEXT // 2
        fed = fed.reshape(len(fed), -1, fed.shape[2] // p)
        every = self.encoder.audio_encoder(fed)[:, first : first + frames * p]
        return self.encoder.audio_encoder.code(every.unflatten(1, (frames, p)).mean(2))

    def _categories(self, speech: Tensor, neutral: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the likeliest categories of meshes and sound, one-hot (B, T, H, C), and the codes of sound."""
        sound = self._sound(speech, offsets.shape[1])
        motion = self.encoder.expression_encoder(neutral[:, None] + offsets)
        found = self.encoder.fusion_model(motion, sound)
        return functional.one_hot(found.argmax(-1), self.config.classes).to(found), sound


def smooth(offsets: Tensor, mask: Tensor) -> Tensor:
    """Smooth offsets (T, V, 3) over time where `mask` (V,) says so: categories drawn apart jump a little."""
    taps = torch.arange(SMOOTH_TAPS, device=offsets.device) - SMOOTH_TAPS // 2
    kernel = torch.exp(-0.5 * taps**2 / SMOOTH_SIGMA**2)
    x = offsets.permute(1, 2, 0).reshape(-1, 1, len(offsets))
    x = functional.pad(x, (SMOOTH_TAPS // 2, SMOOTH_TAPS // 2), mode="replicate")
    soft = functional.conv1d(x, (kernel / kernel.sum())[None, None].to(x)).view(*offsets.shape[1:], -1)
    return torch.lerp(offsets, soft.permute(2, 0, 1), mask[None, :, None])
