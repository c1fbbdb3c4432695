"""The plainest supervised method: the same speech encoder E_A, with a linear map to the mesh in place of images.

Not in the paper. It isolates what the visual path is worth: features, encoder and loop are those of `ours`.
B batch, T frames, F features, V vertices, S speakers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from talkmesh.models.basis import principal
from talkmesh.models.speech import SpeechConfig, SpeechEncoder
from talkmesh.rig import Rig


@dataclass(frozen=True)
class LinearConfig:
    """code : coefficients that E_A predicts; the map from them starts as principal components of the meshes."""

    code: int


class Linear(nn.Module):
    """Speech features (B, T, F) to offsets from the neutral mesh (B, T, V, 3) in mm. Who speaks is not looked at."""

    margin = 0  # frames of speech needed on either side of those predicted
    scale: Tensor  # ()

    def __init__(self, config: LinearConfig, speech: SpeechConfig, fps: float, vertices: int) -> None:
        super().__init__()
        self.config = config
        self.speech = SpeechEncoder(speech, config.code, fps)
        self.mesh = nn.Linear(config.code, 3 * vertices)
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def start(self, rig: Rig, offsets: Tensor) -> None:
        """Start from the size and the principal components of offsets (N, V, 3)."""
        self.scale.copy_(offsets.square().mean().sqrt())
        self.mesh.weight.copy_(principal(offsets / self.scale, self.config.code).T)
        self.mesh.bias.zero_()

    def forward(self, speech: Tensor, speaker: Tensor, neutral: Tensor, frames: int) -> Tensor:
        code = self.speech(speech, frames)
        return self.scale * self.mesh(code).float().view(len(code), frames, -1, 3)

    def losses(self, speech: Tensor, speaker: Tensor, neutral: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        """Mean squared error, in units of the mean square of all offsets: 1 = a still face."""
        predicted = self(speech, speaker, neutral, offsets.shape[1])
        return {"position": ((predicted - offsets) / self.scale).square().mean()}
