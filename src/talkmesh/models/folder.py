"""A network on disk: a folder with weights.safetensors and config.json, enough to build it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from talkmesh import params
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, replacing, write_json

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class _Saved:
    """config.json."""

    config: dict[str, Any]
    extra: dict[str, Any]


def write_model(folder: Path, model: nn.Module, extra: dict[str, Any]) -> None:
    """Write the weights and the configuration (`model.config`) of a network, and what else it needs to be built."""
    with replacing(folder / "weights.safetensors") as temporary:
        save_file({k: v.detach().contiguous().cpu() for k, v in model.state_dict().items()}, temporary)
    write_json(folder / "config.json", {"config": dataclasses.asdict(model.config), "extra": extra})  # type: ignore[arg-type, call-overload]


def read_model(folder: Path, cls: type) -> tuple[Any, dict[str, Any], dict[str, torch.Tensor]]:
    """Return the configuration as a `cls`, the rest that was written beside it, and the weights."""
    saved = params.build(_Saved, read_json(folder / "config.json"), f"{folder}/config.json")
    weights = read_tensors(folder / "weights.safetensors")
    return params.build(cls, saved.config, f"{folder}/config.json"), saved.extra, weights


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors by name; a missing or broken file is an error that names it."""
    try:
        return load_file(path)
    except Exception as error:  # a broken file can fail in any way
        raise TalkmeshError(
            f"{path.parent} holds no readable model ({path.name}: {error}); train it again or copy it whole"
        ) from None


def built(folder: Path, weights: dict[str, torch.Tensor], make: Callable[[], Network]) -> Network:
    """Return the network that `make` builds from a configuration, with its weights, ready for use.

    It is first built without memory and compared with the weights, so that a configuration from a stranger takes no
    more of it than the file of weights has.

    Raises
    ------
    TalkmeshError
        If they do not belong together.
    """
    try:
        with torch.device("meta"):
            wanted = {name: tensor.shape for name, tensor in make().state_dict().items()}
        odd = sorted(wanted.keys() ^ weights.keys())
        odd += [name for name in wanted.keys() & weights.keys() if wanted[name] != weights[name].shape]
        if odd:
            raise ValueError(f"{odd[0]} is missing, too much or of another shape")
        model = make()
        model.load_state_dict(weights)
    except TalkmeshError:
        raise
    except Exception as error:  # torch has an error of its own for every number that cannot be
        raise TalkmeshError(f"{folder}: weights and config.json do not belong together ({error})") from None
    return model.eval()
