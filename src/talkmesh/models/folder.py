"""A network on disk: a folder with weights.safetensors and config.json, enough to build it again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from talkmesh import params
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, replacing, write_json


def write_model(folder: Path, model: nn.Module, extra: dict[str, Any]) -> None:
    """Write the weights and the configuration (`model.config`) of a network, and what else it needs to be built."""
    with replacing(folder / "weights.safetensors") as temporary:
        save_file({k: v.detach().contiguous().cpu() for k, v in model.state_dict().items()}, temporary)
    write_json(folder / "config.json", {"config": dataclasses.asdict(model.config), "extra": extra})  # type: ignore[arg-type, call-overload]


def read_model(folder: Path, cls: type) -> tuple[Any, dict[str, Any], dict[str, torch.Tensor]]:
    """Return the configuration as a `cls`, the rest that was written beside it, and the weights."""
    saved = read_json(folder / "config.json")
    try:
        weights = load_file(folder / "weights.safetensors")
        return params.build(cls, saved["config"], f"{folder}/config.json"), saved["extra"], weights
    except (SafetensorError, OSError, KeyError) as error:
        raise TalkmeshError(
            f"{folder} holds no readable model ({error}); train it again or copy it whole"
        ) from None


def fill_model(folder: Path, model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Put weights into a network of the same shapes, ready for use."""
    try:
        model.load_state_dict(weights)
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise TalkmeshError(f"{folder}: weights and config.json do not belong together ({reason})") from None
    model.eval()
