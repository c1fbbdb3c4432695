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
from talkmesh.models.closures import Closures, importance
from talkmesh.models.speech import SpeechEncoder
from talkmesh.models.transcoder import Transcoder
from talkmesh.sampler import Sampler
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
    knows no more than their mean. Closed lips count more in both (`models.closures`).
    """
    encoder, device = model.speech, device_of(stage.train)
    assert encoder is not None
    closures = model.config.closures
    wanted = [_wanted(model, clip) for clip in sampler.real.clips]
    encoder.measure(torch.cat([codes[good] for codes, good, _ in wanted]))
    if not stage.alone:
        return
    known = [(clip, _wanted(model, clip)) for clip in held_out.clips]

    def losses(rng: np.random.Generator, part: float) -> dict[str, Tensor]:
        fed, places = sampler.heard(rng)
        told = encoder(fed.to(device), sampler.window).float()
        parts = [
            (row, *(x[start : start + sampler.window] for x in wanted[index]))
            for row, (index, start) in zip(told, places, strict=True)
        ]
        return {"codes": _error(encoder, parts, closures)}

    def validate(candidate: nn.Module) -> dict[str, float]:
        assert isinstance(candidate, SpeechEncoder)
        parts = [
            (candidate(torch.from_numpy(clip.speech)[None].to(device), len(told[0]))[0], *told)
            for clip, told in known
        ]
        return {"score": float(_error(candidate, parts, closures))}

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


def _wanted(model: Transcoder, clip: Clip) -> tuple[Tensor, Tensor, Tensor]:
    """Return what E_A is to say (T, C), which frames are good (T,), and their lip shapes (T, 2)."""
    codes, good = offsets(model, clip)
    return codes, good, torch.from_numpy(clip.shapes).to(codes.device)


def _error(
    encoder: SpeechEncoder, parts: list[tuple[Tensor, Tensor, Tensor, Tensor]], closures: Closures
) -> Tensor:
    """Return the mean squared distance of the good frames of all parts (told, codes, good, lip shapes), as a share of
    the codes' variance; what is told past the end of a clip is left out."""
    errors = [((told[: len(c)] - c)[good] / encoder.spread).square().mean(1) for told, c, good, _ in parts]
    shapes = torch.cat([shapes[good] for _, _, good, shapes in parts])
    return (torch.cat(errors) * importance(shapes, closures)).mean()
