"""E_A before joint training: it learns to follow the codes that E_V has for the films, alone.

The term L_cf of eq. 3 without the others: E_V stands still, so that its codes are computed once. T frames, C code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from talkmesh.domains import Clip, Real, seen_offsets
from talkmesh.models.speech import SpeechEncoder
from talkmesh.models.transcoder import Transcoder
from talkmesh.sampler import Sampler, weights
from talkmesh.train import Log, device_of, fit

if TYPE_CHECKING:
    from talkmesh.fitting import TranscoderStage

CHUNK = 256  # frames that E_V looks at together
VALIDATIONS = 10  # of the whole


class Aside:
    """The curves of one part of a training, under a name of their own."""

    def __init__(self, log: Log, name: str) -> None:
        self.log, self.name = log, name

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        self.log.metrics({f"{self.name}/{key}": value for key, value in values.items()}, step)

    def image(self, image: np.ndarray, name: str) -> None:
        self.log.image(image, f"{self.name}/{name}")

    def flush(self) -> None:
        self.log.flush()


def follow(
    model: Transcoder, sampler: Sampler, held_out: Real, stage: TranscoderStage, work: Path, log: Log
) -> None:
    """Let the model's E_A learn its codes (eq. 3) for `stage.alone` steps; of its other parts nothing moves.

    Validated on the clips of `held_out`: the squared distance of the codes in units of their variance, 1 where E_A
    knows no more than their mean. Sounds that close the lips count more (`models.closures`).
    """
    encoder, device = model.speech, device_of(stage.train)
    assert encoder is not None
    wanted = _wanted(model, sampler.real.clips, sampler.weights)
    encoder.measure(torch.cat([codes[good] for codes, good, _ in wanted]))
    if not stage.alone:
        return
    known = _wanted(model, held_out.clips, weights(held_out, model.config.closures))

    def losses(rng: np.random.Generator, part: float) -> dict[str, Tensor]:
        fed, places = sampler.heard(rng)
        told = encoder(fed.to(device), sampler.window).float()
        errors = []
        for row, (index, start) in zip(told, places, strict=True):
            errors.append(_error(encoder, row, *(x[start : start + sampler.window] for x in wanted[index])))
        return {"codes": torch.cat(errors).mean()}

    def validate(candidate: nn.Module) -> dict[str, float]:
        assert isinstance(candidate, SpeechEncoder)
        errors = []
        for clip, told in zip(held_out.clips, known, strict=True):
            fed = torch.from_numpy(clip.speech)[None].to(device)
            errors.append(_error(candidate, candidate(fed, len(clip.images))[0], *told))
        return {"score": float(torch.cat(errors).mean())}

    train = replace(stage.train, steps=stage.alone, validate_every=max(stage.alone // VALIDATIONS, 1))
    fit(encoder, losses, validate, train, work, Aside(log, "alone"), "E_A alone")


def offsets(model: Transcoder, clip: Clip) -> tuple[Tensor, Tensor]:
    """Return the offset codes (T, C) of all frames of a clip, and which of them are good (T,)."""
    with torch.no_grad():
        parts = [
            seen_offsets(model, clip, np.arange(i, min(i + CHUNK, len(clip.images))))
            for i in range(0, len(clip.images), CHUNK)
        ]
    codes = torch.cat(parts).float()
    return codes, torch.from_numpy(clip.good).to(codes.device)


def _wanted(
    model: Transcoder, clips: list[Clip], weight: list[np.ndarray]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return of each clip what E_A is to say (T, C), which frames are good (T,), and how much each counts (T,)."""
    pairs = zip(clips, weight, strict=True)
    return [(*offsets(model, clip), torch.from_numpy(own).to(model.neutral.device)) for clip, own in pairs]


def _error(encoder: SpeechEncoder, told: Tensor, codes: Tensor, good: Tensor, weight: Tensor) -> Tensor:
    """Return the squared distances (N,) of the good frames, as a share of the codes' variance, each times its weight;
    what lies past the end of the clip is left out."""
    error = ((told[: len(codes)] - codes)[good] / encoder.spread).square().mean(1)
    return error * weight[good]
