"""A non-autoregressive baseline after SelfTalk (Peng et al., ACM MM 2023): all frames of a clip at once.

Not in the paper. What is kept: one transformer decoder layer that reads the speech as its own query and memory,
without mask, positions or speaker, a last layer that starts at zero, losses on position and velocity. What is left
out: the branch that reads lips back into text, which needs a second speech recogniser in training.
B batch, T frames, F features, D width, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talkmesh.models.speech import SpeechConfig, SpeechEncoder
from talkmesh.rig import Rig


@dataclass(frozen=True)
class SelfTalkConfig:
    """speech : width of E_A's codes; width : of the decoder; velocity : weight of the loss on motion."""

    speech: int
    width: int
    heads: int
    dropout: float
    velocity: float


class SelfTalk(nn.Module):
    """Speech features (B, T, F) to offsets from the neutral mesh (B, T, V, 3) in mm."""

    margin = 0  # frames of speech needed on either side of those predicted
    scale: Tensor  # ()

    def __init__(self, config: SelfTalkConfig, speech: SpeechConfig, fps: float, vertices: int) -> None:
        super().__init__()
        self.config = config
        self.speech = SpeechEncoder(speech, config.speech, fps)
        self.embed = nn.Linear(config.speech, config.width)
        self.decoder = nn.TransformerDecoderLayer(
            config.width, config.heads, 2 * config.width, config.dropout, batch_first=True
        )
        self.mesh = nn.Linear(config.width, 3 * vertices)
        nn.init.zeros_(self.mesh.weight)
        nn.init.zeros_(self.mesh.bias)
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def start(self, rig: Rig, offsets: Tensor) -> None:
        """Work in units of the size of offsets (N, V, 3)."""
        self.scale.copy_(offsets.square().mean().sqrt())

    def forward(self, speech: Tensor, speaker: Tensor, neutral: Tensor, frames: int) -> Tensor:
        x = self.embed(self.speech(speech, frames))
        x = self.decoder(x, x)
        return self.scale * self.mesh(x).float().view(len(x), frames, -1, 3)

    def losses(self, speech: Tensor, speaker: Tensor, neutral: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        """Mean squared error of position and of motion from frame to frame; 1 = a still face."""
        error = (self(speech, speaker, neutral, offsets.shape[1]) - offsets) / self.scale
        velocity = self.config.velocity * error.diff(dim=1).square().mean()
        return {"position": error.square().mean(), "velocity": velocity}
