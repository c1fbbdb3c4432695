"""FaceFormer (Fan et al., CVPR 2022): an autoregressive transformer from speech to a mesh sequence.

Network, masks and free-running training are the published ones, for any topology and length. Two ways to roll out:

- `plain_loop`, as released: every frame runs the decoder over all frames so far and projects all of them to vertices;
- `roll_out`: keys and values of past frames are kept, a frame costs one query. What is fed back, vertices embedded
  again, is an affine map of the decoder's output, composed once; vertices are made at the end, all at once. The same
  function, in time that grows with the length.

Training goes through `roll_out` with gradients; a plain loop would draw new dropout for past frames at every frame.
B batch, T frames, M audio features a frame, F width of the speech features, D width, H heads, V vertices, S speakers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.models.speech import SpeechConfig, SpeechEncoder
from talkmesh.rig import Rig


@dataclass(frozen=True)
class FaceFormerConfig:
    """speech : width of the speech features; width : of the decoder; period : frames after which positions repeat;
    audio_per_frame : audio features that a frame attends to, 1 (as for VOCASET) or 2 (as for BIWI)."""

    speech: int
    width: int
    heads: int
    period: int
    dropout: float
    audio_per_frame: int = 1


def slopes(heads: int) -> Tensor:
    """Return ALiBi's slope of every head (H,), for a power of two: 1/4, 1/16, 1/64, 1/256 for four heads."""
    return 2.0 ** (-8.0 / heads * torch.arange(1, heads + 1))


def distance_bias(heads: int, period: int, frames: int) -> Tensor:
    """Return what attention to a frame 0 to T - 1 frames ago loses, (H, T): a step a period."""
    return -slopes(heads)[:, None] * (torch.arange(frames) // period)


def self_mask(heads: int, period: int, frames: int) -> Tensor:
    """Return the additive mask (H, T, T) of biased causal attention."""
    ago = torch.arange(frames)[:, None] - torch.arange(frames)[None]
    bias = distance_bias(heads, period, frames)[:, ago.clamp(min=0)]
    return bias.masked_fill(ago < 0, -math.inf)


def cross_mask(frames: int, audio_per_frame: int) -> Tensor:
    """Return the mask (T, T M) of the alignment of speech and motion, True = not seen: a frame hears itself only."""
    return torch.arange(frames)[:, None] != torch.arange(frames * audio_per_frame)[None] // audio_per_frame


def positions(period: int, width: int) -> Tensor:
    """Return the sinusoids (period, D) that are repeated."""
    angle = torch.arange(period)[:, None] * torch.exp(
        torch.arange(0, width, 2) * (-math.log(10_000.0) / width)
    )
    return torch.stack([torch.sin(angle), torch.cos(angle)], 2).flatten(1)


class FaceFormer(nn.Module):
    """Speech (B, T, F) to offsets from the neutral mesh (B, T, V, 3) in mm; layers have their released names."""

    margin = 0  # frames of speech needed on either side of those predicted
    positions: Tensor  # (period, D)
    scale: Tensor  # ()

    def __init__(self, config: FaceFormerConfig, speech: nn.Module, vertices: int, speakers: int) -> None:
        super().__init__()
        d = config.width
        self.config = config
        self.audio_encoder = speech
        self.audio_feature_map = nn.Linear(config.speech, d)
        self.vertice_map = nn.Linear(3 * vertices, d)
        layer = nn.TransformerDecoderLayer(d, config.heads, 2 * d, config.dropout, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, 1)
        self.vertice_map_r = nn.Linear(d, 3 * vertices)
        self.obj_vector = nn.Linear(speakers, d, bias=False)
        nn.init.zeros_(self.vertice_map_r.weight)  # starts at the neutral face
        nn.init.zeros_(self.vertice_map_r.bias)
        self.register_buffer("positions", positions(config.period, d), persistent=False)
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def start(self, rig: Rig, offsets: Tensor) -> None:
        """Work in units of the size of offsets (N, V, 3)."""
        self.scale.copy_(offsets.square().mean().sqrt())

    def forward(self, speech: Tensor, speaker: Tensor, neutral: Tensor, frames: int) -> Tensor:
        memory = self.audio_feature_map(self.audio_encoder(speech, frames))  # (B, T M, D)
        vertices = self.roll_out(memory, self.obj_vector(speaker))
        return self.scale * vertices.float().view(len(memory), frames, -1, 3)

    def losses(self, speech: Tensor, speaker: Tensor, neutral: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        """Mean squared error of a free run, in units of the mean square of all offsets: 1 = a still face."""
        predicted = self(speech, speaker, neutral, offsets.shape[1])
        return {"position": ((predicted - offsets) / self.scale).square().mean()}

    def plain_loop(self, memory: Tensor, style: Tensor) -> Tensor:
        """Return vertices (B, T, 3V) in units of `scale` from memory (B, T M, D) and style (B, D), as released."""
        c, m = self.config, self.config.audio_per_frame
        frames = memory.shape[1] // m
        fed = style[:, None]
        table = self.positions.repeat(-(-frames // c.period), 1)
        drop = nn.Dropout(c.dropout).train(self.training)
        mask = self_mask(c.heads, c.period, frames).to(memory).repeat(len(memory), 1, 1)
        hears = cross_mask(frames, m).to(memory.device)
        for t in range(1, frames + 1):
            x = drop(fed + table[:t])
            x = self.transformer_decoder(x, memory, tgt_mask=mask[:, :t, :t], memory_mask=hears[:t])
            vertices = self.vertice_map_r(x)  # (B, t, 3V)
            fed = torch.cat([fed, self.vertice_map(vertices[:, -1:]) + style[:, None]], 1)
        return vertices

    def roll_out(self, memory: Tensor, style: Tensor) -> Tensor:
        """Return vertices (B, T, 3V) in units of `scale` from memory (B, T M, D) and style (B, D)."""
        frames = memory.shape[1] // self.config.audio_per_frame
        # what is fed back: vertice_map(vertice_map_r(y)), composed
        back = self.vertice_map.weight @ self.vertice_map_r.weight  # (D, D)
        constant = self.vertice_map(self.vertice_map_r.bias) + style  # (B, D)
        step = _Step(self, memory)
        outputs, x = [], style
        for t in range(frames):
            y = step(x, t)
            outputs.append(y)
            x = functional.linear(y, back) + constant
        return self.vertice_map_r(torch.stack(outputs, 1))


class _Step:
    """The decoder layer for one frame at a time: what it needs of past frames and of the sound is kept."""

    def __init__(self, model: FaceFormer, memory: Tensor) -> None:
        c = model.config
        layer = model.transformer_decoder.layers[0]
        assert isinstance(layer, nn.TransformerDecoderLayer)
        self.layer, self.heads, self.period = layer, c.heads, c.period
        self.table = model.positions
        self.dropout = c.dropout if model.training else 0.0
        b, n, d = memory.shape
        self.frames = n // c.audio_per_frame
        bias = distance_bias(c.heads, c.period, self.frames).to(memory)
        self.bias = bias.flip(1)[:, None]  # (H, 1, T), the latest frame last
        cross = layer.multihead_attn
        heard = functional.linear(memory, cross.in_proj_weight[d:], cross.in_proj_bias[d:])
        # (B, T, 2, H, M, D / H)
        heard = heard.view(b, self.frames, c.audio_per_frame, 2, c.heads, d // c.heads).permute(
            0, 1, 3, 4, 2, 5
        )
        self.heard_keys, self.heard_values = heard[:, :, 0], heard[:, :, 1]
        # in place where nothing has to be differentiated: joining would copy the past once a frame
        self.past = (
            None if torch.is_grad_enabled() else memory.new_zeros(2, b, c.heads, self.frames, d // c.heads)
        )

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """Return the decoder's output (B, D) for frame t, fed with x (B, D)."""
        layer = self.layer
        x = self._drop(x + self.table[t % self.period])
        x = layer.norm1(x + self._drop(self._attend(x, t)))
        x = layer.norm2(x + self._drop(self._hear(x, t)))
        return layer.norm3(x + self._drop(layer.linear2(self._drop(functional.relu(layer.linear1(x))))))

    def _attend(self, x: Tensor, t: int) -> Tensor:
        b, d = x.shape
        own = self.layer.self_attn
        qkv = functional.linear(x, own.in_proj_weight, own.in_proj_bias).view(
            b, 3, self.heads, 1, d // self.heads
        )
        query = qkv[:, 0]  # (B, H, 1, D / H)
        now = qkv[:, 1:].transpose(0, 1)  # (2, B, H, 1, D / H)
        if not torch.is_grad_enabled():
            assert self.past is not None
            self.past[:, :, :, t : t + 1] = now
            keys, values = self.past[:, :, :, : t + 1]
        else:
            self.past = now if self.past is None else torch.cat([self.past, now], 3)
            keys, values = self.past
        bias = self.bias[:, :, self.frames - 1 - t :]
        return own.out_proj(self._mix(query, keys, values, bias))

    def _hear(self, x: Tensor, t: int) -> Tensor:
        b, d = x.shape
        cross = self.layer.multihead_attn
        query = functional.linear(x, cross.in_proj_weight[:d], cross.in_proj_bias[:d])
        query = query.view(b, self.heads, 1, d // self.heads)
        return cross.out_proj(self._mix(query, self.heard_keys[:, t], self.heard_values[:, t], None))

    def _mix(self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
        """Attention of one query a head: (B, D)."""
        score = query @ keys.transpose(-1, -2) / query.shape[-1] ** 0.5
        weight = self._drop((score if bias is None else score + bias).softmax(-1))
        return (weight @ values).flatten(1)

    def _drop(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout) if self.dropout else x


def build(
    config: FaceFormerConfig, speech: SpeechConfig, fps: float, vertices: int, speakers: int
) -> FaceFormer:
    """Return a FaceFormer that hears through the project's speech encoder E_A, in the place of wav2vec 2.0's."""
    return FaceFormer(config, SpeechEncoder(speech, config.speech, fps), vertices, speakers)
