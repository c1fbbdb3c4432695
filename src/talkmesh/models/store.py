"""Models on disk: a folder with weights.safetensors and config.json, enough to build the network again."""

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
from talkmesh.framing import Framing
from talkmesh.models.regressor import Regressor, RegressorConfig
from talkmesh.models.transcoder import Transcoder, TranscoderConfig


def write_transcoder(folder: Path, model: Transcoder, framing: Framing, fps: float) -> None:
    """Write a transcoder with the framing and frame rate it is made for."""
    _write(folder, model, {"framing": dataclasses.asdict(framing), "fps": fps})


def read_transcoder(folder: Path) -> tuple[Transcoder, Framing, float]:
    """Read a transcoder, its framing and its frame rate."""
    config, extra, weights = _read(folder, TranscoderConfig)
    framing = params.build(Framing, extra["framing"], f"{folder}: framing")
    shapes = (weights[name] for name in ("neutral", "colours", "mask"))
    model = Transcoder(config, framing.size, extra["fps"], *(torch.zeros_like(t) for t in shapes))
    _fill(folder, model, weights)
    return model, framing, float(extra["fps"])


def write_regressor(folder: Path, model: Regressor, rig_hash: str) -> None:
    """Write a regressor with the hash of the rig whose vertices it returns."""
    _write(folder, model, {"rig_hash": rig_hash})


def read_regressor(folder: Path, rig_hash: str) -> Regressor:
    """Read a regressor; it must have been trained on the rig of that hash."""
    config, extra, weights = _read(folder, RegressorConfig)
    if extra.get("rig_hash") != rig_hash:
        raise TalkmeshError(f"{folder} was trained on another rig; run `dvc repro regressor` again")
    model = Regressor(config, torch.zeros_like(weights["neutral"]))
    _fill(folder, model, weights)
    return model


def _write(folder: Path, model: nn.Module, extra: dict[str, Any]) -> None:
    with replacing(folder / "weights.safetensors") as temporary:
        save_file({k: v.detach().contiguous().cpu() for k, v in model.state_dict().items()}, temporary)
    write_json(folder / "config.json", {"config": dataclasses.asdict(model.config), "extra": extra})  # type: ignore[arg-type, call-overload]


def _read(folder: Path, cls: type) -> tuple[Any, dict[str, Any], dict[str, torch.Tensor]]:
    saved = read_json(folder / "config.json")
    try:
        weights = load_file(folder / "weights.safetensors")
        return params.build(cls, saved["config"], f"{folder}/config.json"), saved["extra"], weights
    except (SafetensorError, OSError, KeyError) as error:
        raise TalkmeshError(
            f"{folder} holds no readable model ({error}); train it again or copy it whole"
        ) from None


def _fill(folder: Path, model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    try:
        model.load_state_dict(weights)
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise TalkmeshError(f"{folder}: weights and config.json do not belong together ({reason})") from None
    model.eval()
