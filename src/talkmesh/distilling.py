"""Distilling the fast path: codes, what the full path makes of them, and the training of the head.

N codes, C numbers each, V vertices, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from talkmesh.animate import CHUNK, vertices_of
from talkmesh.bundle import Bundle
from talkmesh.contracts import Renders
from talkmesh.domains import Real, heard_offsets, seen_offsets, to_tensor
from talkmesh.models.head import Head, HeadConfig, head_loss
from talkmesh.models.transcoder import CHARACTER
from talkmesh.train import Log, TrainConfig, device_of, fit

Curves = list[tuple[int, str, float, str]]


@dataclass(frozen=True)
class DistilStage:
    """The section `distil` of params.yaml. methods : method: the variant whose fast path it is; codes : how many are
    learned from, of crops, speech and renders in equal parts; noise : on them, in units of their spread, so that the
    head is also right a little beside what it was shown; held_out : share of codes kept for validation."""

    methods: dict[str, str]
    codes: int
    noise: float
    model: HeadConfig
    batch: int
    held_out: float
    train: TrainConfig


@torch.inference_mode()
def codes_seen(bundle: Bundle, real: Real, renders: Renders, count: int, seed: int) -> Tensor:
    """Return about `count` offset codes (N, C): of the speakers' crops, of their speech, of renders."""
    model, rng = bundle.transcoder, np.random.default_rng(seed)
    lengths = np.array([len(clip.images) for clip in real.clips])
    share = min(count // 3 / lengths.sum(), 1.0)
    parts = []
    for clip, length in zip(real.clips, lengths, strict=True):
        count_here = min(max(round(share * length), 1), int(clip.good.sum()))
        index = np.sort(rng.choice(np.flatnonzero(clip.good), count_here, replace=False))
        heard = heard_offsets(model, clip, index)
        parts += [seen_offsets(model, clip, index)] + ([] if heard is None else [heard])
    drawn = np.sort(rng.choice(len(renders.images), min(count // 3, len(renders.images)), replace=False))
    neutral = model.neutral_codes()[CHARACTER]
    for some in np.array_split(drawn, max(len(drawn) // 128, 1)):
        parts.append(model.encoder(model.look(to_tensor(renders.images[some]), CHARACTER)) - neutral)
    return torch.cat(parts)


def taught(bundle: Bundle, codes: Tensor) -> np.ndarray:
    """Return the motion (N, V, 3) in mm from the neutral face that the full path gives codes (N, C)."""
    chunks = tqdm(codes.split(CHUNK), "the full path", mininterval=2.0)
    return np.concatenate([vertices_of(bundle, chunk, fast=False) - bundle.rig.neutral for chunk in chunks])


def fit_head(
    stage: DistilStage, bundle: Bundle, real: Real, renders: Renders, work: Path, log: Log
) -> tuple[Head, Curves]:
    """Train the head; validated on held-out codes by lip vertex error in mm to the full path.

    Logged beside it: the lip vertex error of a still face on the same codes, of which the error is to be a small part.
    """
    torch.manual_seed(stage.train.seed)
    device, rig = device_of(stage.train), bundle.rig
    rng = np.random.default_rng(stage.train.seed)
    codes = codes_seen(bundle, real, renders, stage.codes, stage.train.seed).clone()
    codes = codes[torch.from_numpy(rng.permutation(len(codes)))]
    codes = codes + stage.noise * torch.rand(len(codes), 1) * codes.std(0).mean() * torch.randn_like(codes)
    motion = torch.from_numpy(taught(bundle, codes))
    codes = codes.to(device)
    held = max(int(len(codes) * stage.held_out), 1)
    model = Head(stage.model, codes.shape[1], torch.from_numpy(rig.deltas))
    model.measure(codes.cpu())
    model.to(device)
    lips = torch.from_numpy(rig.lips).long()
    weight = torch.ones(len(rig.neutral))
    weight[lips] += stage.model.lip_weight
    weight = (weight / weight.mean()).to(device)

    def losses(rng: np.random.Generator, part: float) -> dict[str, Tensor]:
        index = torch.from_numpy(rng.integers(held, len(codes), stage.batch))
        return head_loss(model, codes[index.to(device)], motion[index].to(device), weight)

    def validate(candidate: nn.Module) -> dict[str, float]:
        assert isinstance(candidate, Head)
        got = candidate.moved(candidate(codes[:held])).cpu()[:, lips]
        lve = float((got - motion[:held, lips]).norm(dim=-1).amax(1).mean())
        still = float(motion[:held, lips].norm(dim=-1).amax(1).mean())
        return {"lve_mm": lve, "still_lve_mm": still, "score": lve}

    curves = fit(model, losses, validate, stage.train, work, log, "fast path")
    return model.cpu(), curves
