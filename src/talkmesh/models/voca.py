"""VOCA (Cudeiro et al., CVPR 2019): a window of speech and a speaker to a mesh, frame by frame.

Network and losses are the published ones. What is ours: speech features of any width and rate (the published ones are
29 logits of DeepSpeech, 60 a second), any number of speakers, any topology.
B batch, T frames, P feature vectors a frame, W window, F width of one feature vector, V vertices, S speakers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.models.basis import principal
from talkmesh.models.speech import FrontEnd, SpeechConfig
from talkmesh.rig import Rig

WINDOW = 16  # feature vectors; four strides of 2 leave one


@dataclass(frozen=True)
class VocaConfig:
    """code : width of the last but one layer, 50; velocity : weight of the loss on motion, 10."""

    code: int
    velocity: float


class SpeechToMesh(nn.Module):
    """The network proper: windows (N, W, F) and speakers (N, S) to offsets (N, V, 3), in the unit it is trained in."""

    def __init__(self, width: int, speakers: int, code: int, vertices: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, eps=1e-5, momentum=0.1)  # TensorFlow's momentum is the complement
        channels = (width + speakers, 32, 32, 64, 64)
        self.convs = nn.ModuleList(nn.Conv1d(a, b, 3, stride=2) for a, b in pairwise(channels))
        self.fc1 = nn.Linear(64 + speakers, 128)
        self.fc2 = nn.Linear(128, code)
        self.mesh = nn.Linear(code, 3 * vertices)
        for conv in self.convs:
            assert isinstance(conv, nn.Conv1d)
            assert conv.bias is not None
            nn.init.trunc_normal_(conv.weight, std=0.02, a=-0.04, b=0.04)
            nn.init.trunc_normal_(conv.bias, std=0.02, a=-0.04, b=0.04)
        for layer in (self.fc1, self.fc2):
            nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.mesh.weight)
        nn.init.zeros_(self.mesh.bias)

    def forward(self, windows: Tensor, speakers: Tensor) -> Tensor:
        x = self.norm(windows.transpose(1, 2))  # (N, F, W)
        x = torch.cat([x, speakers[:, :, None].expand(-1, -1, x.shape[2])], 1)
        for conv in self.convs:
            x = functional.relu(conv(functional.pad(x, (0, 1))))  # TensorFlow's SAME: one zero, at the end
        x = torch.tanh(self.fc1(torch.cat([x.flatten(1), speakers], 1)))
        return self.mesh(self.fc2(x)).view(len(x), -1, 3)


class Voca(nn.Module):
    """Speech features (B, T + 2 margin, P F) to offsets from the neutral mesh (B, T, V, 3) in mm."""

    scale: Tensor  # ()

    def __init__(
        self, config: VocaConfig, speech: SpeechConfig, fps: float, vertices: int, speakers: int
    ) -> None:
        super().__init__()
        self.config = config
        self.front_end = FrontEnd(speech, fps)
        self.per_frame = speech.per_frame
        self.margin = -(-WINDOW // (2 * self.per_frame))
        self.network = SpeechToMesh(self.front_end.width // self.per_frame, speakers, config.code, vertices)
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def start(self, rig: Rig, offsets: Tensor) -> None:
        """Start from the size and the principal components of offsets (N, V, 3), as published."""
        self.scale.copy_(offsets.square().sum(-1).mean().sqrt())
        self.network.mesh.weight.copy_(principal(offsets / self.scale, self.config.code).T)

    def forward(self, speech: Tensor, speaker: Tensor, neutral: Tensor, frames: int) -> Tensor:
        fed = self.front_end(speech, frames + 2 * self.margin)  # (B, T + 2 margin, P F)
        b = len(fed)
        windows = windows_of(
            fed.reshape(b, -1, fed.shape[2] // self.per_frame), frames, self.per_frame, self.margin
        )
        who = speaker[:, None].expand(-1, frames, -1).flatten(0, 1)  # (B T, S)
        return self.scale * self.network(windows.flatten(0, 1), who).float().view(b, frames, -1, 3)

    def losses(self, speech: Tensor, speaker: Tensor, neutral: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        """Squared distance of vertices, and of their motion from frame to frame; 1 = a still face."""
        error = (self(speech, speaker, neutral, offsets.shape[1]) - offsets) / self.scale
        return {
            "position": error.square().sum(-1).mean(),
            "velocity": self.config.velocity * error.diff(dim=1).square().sum(-1).mean(),
        }


def windows_of(x: Tensor, frames: int, per_frame: int, margin: int) -> Tensor:
    """Cut windows (B, T, W, F) out of feature vectors (B, (T + 2 margin) P, F).

    The window of a frame is centred on it; with one vector a frame it is published VOCA's: 8 before, 7 after.
    """
    first = margin * per_frame + per_frame // 2 - WINDOW // 2
    every = x[:, first:].unfold(1, WINDOW, per_frame)[:, :frames]  # (B, T, F, W)
    return every.transpose(2, 3)
