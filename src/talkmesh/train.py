"""The one training loop: AdamW, warm-up and cosine, clipping, EMA, validation, checkpoints that resume exactly.

All randomness of a step comes from (seed, step), so a resumed run draws what the uninterrupted one would have drawn.
Several processes (`talkmesh.processes`) draw the same batch and compute a share of it each.
"""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from talkmesh.errors import TalkmeshError
from talkmesh.files import replacing
from talkmesh.processes import processes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """steps : optimiser steps; learning_rate : peak; warmup : steps; ema : decay of the averaged weights; clip :
    gradient norm; validate_every : steps; patience : validations without a better score after which training stops (0:
    never); compile : whether torch compiles the networks first, which pays in long trainings and needs a C++ compiler;
    precision : `auto` takes bfloat16 where the hardware has it; device : `auto` takes CUDA where there is one."""

    steps: int
    learning_rate: float
    warmup: int
    weight_decay: float
    clip: float
    ema: float
    validate_every: int
    patience: int
    compile: bool
    precision: Literal["auto", "float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]
    seed: int


class Log(Protocol):
    """Where curves go while training runs (see `tracking`)."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record values at a step."""

    def image(self, image: np.ndarray, name: str) -> None:
        """Record a picture (H, W, 3) uint8."""

    def flush(self) -> None:
        """Write what is held back."""


def device_of(config: TrainConfig) -> torch.device:
    """Return the device to train on; of several processes, each has a GPU of its own."""
    processes()  # makes this process' GPU the current one
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def precision_of(config: TrainConfig, device: torch.device) -> torch.dtype:
    """Return the dtype of autocast: bfloat16 pays only where the hardware multiplies it."""
    if config.precision != "auto":
        return torch.float32 if config.precision == "float32" else torch.bfloat16
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def fit(
    model: nn.Module,
    losses: Callable[[np.random.Generator, float], dict[str, Tensor]],
    validate: Callable[[nn.Module], dict[str, float]],
    config: TrainConfig,
    work: Path,
    log: Log,
    title: str,
    rate_of: Callable[[str], float] = lambda name: 1.0,
    picture: Callable[[nn.Module], np.ndarray] | None = None,
) -> list[tuple[int, str, float, str]]:
    """Train `model` in place; on return it holds the averaged weights that validated best.

    Parameters
    ----------
    losses : draws a batch with the generator and returns the weighted terms by name, whose sum is minimised; it is
        also told which part of the steps lies behind, 0 to 1
    validate : returns figures by name for a model; `score` (lower is better) chooses the weights kept
    work : folder of the checkpoint; a run that finds one goes on from there
    rate_of : factor of the learning rate for the parameter of that name
    picture : draws what a model makes, to watch while it trains

    Returns
    -------
    curves, rows of (step, name, value, split)

    Raises
    ------
    TalkmeshError
        If a loss is not finite: names the term and the step.
    """
    device, team = device_of(config), processes()
    precision = precision_of(config, device)
    if config.compile:
        for part in model.children():
            for network in part if isinstance(part, nn.ModuleList) else [part]:
                network.compile()
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    trained = [p for _, p in named]
    factors = sorted({rate_of(name) for name, _ in named})
    groups = [{"params": [p for name, p in named if rate_of(name) == f], "factor": f} for f in factors]
    optimiser = torch.optim.AdamW(
        groups, config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
    )
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    state = _State(work)
    start = state.load(model, optimiser, average)
    progress = tqdm(
        range(start, config.steps),
        title,
        config.steps,
        initial=start,
        mininterval=2.0,
        disable=not team.first,
    )
    sums: dict[str, Tensor] = {}
    counted = 0
    for step in progress:
        if state.waited(config):
            break
        torch.manual_seed((config.seed * 1_000_003 + step) * team.count + team.rank)
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * group["factor"] * _schedule(step, config)
        model.train()
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            terms = losses(np.random.default_rng([config.seed, step]), step / config.steps)
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            bad = ", ".join(f"{name} = {float(value.detach()):.3g}" for name, value in terms.items())
            raise TalkmeshError(
                f"{title}: the loss is not finite at step {step} ({bad}); lower the learning rate or look at the data"
            )
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        team.average_gradients(trained)
        torch.nn.utils.clip_grad_norm_(trained, config.clip)
        optimiser.step()
        decay = min(config.ema, (step + 1) / (step + 10))
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)
        for name, value in terms.items():
            sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach()
        counted += 1
        if (step + 1) % config.validate_every == 0 or step + 1 == config.steps:
            means = {name: float(value) / counted for name, value in sums.items()}
            sums, counted = {}, 0
            with _averaged(model, average):
                figures = validate(model)
                if picture and team.first:
                    log.image(picture(model), f"progress/{step + 1:06d}.png")
            figures["score"] = team.agreed(figures["score"])
            state.record(step + 1, means, figures)
            better = state.judge(figures["score"])
            if team.first:
                log.metrics({f"train/{k}": v for k, v in means.items()}, step + 1)
                log.metrics({f"val/{k}": v for k, v in figures.items()}, step + 1)
                log.flush()
                if better:
                    _save(state.best_path, average)
                state.save(step + 1, model, optimiser, average)
            progress.set_postfix(
                {k: f"{v:.4g}" for k, v in figures.items()} | {"loss": f"{sum(means.values()):.4g}"}
            )
    team.wait()
    model.load_state_dict(load_file(state.best_path))
    model.eval()
    return state.curves


def _schedule(step: int, config: TrainConfig) -> float:
    """Return the factor of the learning rate: linear warm-up, then half a cosine down to zero."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    part = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * part))


@contextmanager
def _averaged(model: nn.Module, average: dict[str, Tensor]) -> Iterator[None]:
    """Give a model the averaged weights, without gradients, and afterwards its own again."""
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.load_state_dict(trained)


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    with replacing(path) as temporary:
        save_file({k: v.detach().contiguous().cpu() for k, v in tensors.items()}, temporary, metadata)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())


class _State:
    """What survives a kill: weights, optimiser, average, curves and the best score, in one file."""

    def __init__(self, work: Path) -> None:
        self.path, self.best_path = work / "checkpoint.safetensors", work / "best.safetensors"
        self.curves_path = work / "curves.csv"
        self.best, self.worse = math.inf, 0  # lowest score, and validations since
        self.curves: list[tuple[int, str, float, str]] = []

    def record(self, step: int, means: dict[str, float], figures: dict[str, float]) -> None:
        self.curves += [(step, name, value, "train") for name, value in means.items()]
        self.curves += [(step, name, value, "val") for name, value in figures.items()]

    def judge(self, score: float) -> bool:
        """Return whether this is the best score so far, and count how long there was none."""
        better = score < self.best
        self.best, self.worse = (score, 0) if better else (self.best, self.worse + 1)
        return better

    def waited(self, config: TrainConfig) -> bool:
        """Return whether there was no better score for as long as `patience` allows."""
        return 0 < config.patience <= self.worse

    def save(
        self, step: int, model: nn.Module, optimiser: torch.optim.Optimizer, average: dict[str, Tensor]
    ) -> None:
        tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in average.items()}
        for i, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{k}": torch.as_tensor(v) for k, v in moments.items()}
        write_curves(self.curves_path, self.curves)
        _save(self.path, tensors, {"step": str(step), "best": repr(self.best), "worse": str(self.worse)})

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer, average: dict[str, Tensor]) -> int:
        """Restore the last checkpoint, if there is a readable one, and return its step (else 0)."""
        if not (self.path.exists() and self.best_path.exists() and self.curves_path.exists()):
            return 0
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata()
            tensors = load_file(self.path)
            load_file(self.best_path)
        except (SafetensorError, OSError) as error:
            logger.warning("%s is not readable (%s): training starts again", self.path, error)
            return 0
        step = int(metadata["step"])
        model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        for name in average:
            average[name].copy_(tensors[f"average.{name}"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, i, key = name.split(".", 2)
                moments.setdefault(int(i), {})[key] = value
        optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
        # moments have to lie in memory as the weights do (channels-last): a fused step goes through both in order
        for parameter, own in optimiser.state.items():
            for key, value in own.items():
                if value.shape == parameter.shape:
                    own[key] = torch.zeros_like(parameter).copy_(value)
        self.best, self.worse = float(metadata["best"]), int(metadata["worse"])
        self.curves = [row for row in read_curves(self.curves_path) if row[0] <= step]
        logger.info("going on from step %d of %s", step, self.path)
        return step


def write_curves(path: Path, rows: list[tuple[int, str, float, str]]) -> None:
    """Write curves as CSV with the columns step, name, value, split."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", "name", "value", "split"])
        writer.writerows((step, name, repr(float(value)), split) for step, name, value, split in rows)


def read_curves(path: Path) -> list[tuple[int, str, float, str]]:
    """Read what `write_curves` wrote."""
    with open(path, newline="", encoding="utf-8") as file:
        return [(int(r["step"]), r["name"], float(r["value"]), r["split"]) for r in csv.DictReader(file)]
