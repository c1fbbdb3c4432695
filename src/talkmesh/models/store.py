"""The models of the method on disk (`folder` says in what form), with what they need besides their weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from talkmesh import params
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_json
from talkmesh.framing import Framing
from talkmesh.models.folder import fill_model, read_model, write_model
from talkmesh.models.regressor import Regressor, RegressorConfig
from talkmesh.models.transcoder import Transcoder, TranscoderConfig

FRONT_END = "front_end/config.json"  # of a transcoder whose front end is a pre-trained network


def write_transcoder(folder: Path, model: Transcoder, framing: Framing, fps: float) -> None:
    """Write a transcoder with the framing and frame rate it is made for, and the names of its speakers, if it has any.

    Of a pre-trained front end its configuration is kept too: the folder needs no download to be read.
    """
    extra = {"framing": dataclasses.asdict(framing), "fps": fps}
    write_model(folder, model, extra | ({"speakers": list(model.speakers)} if model.speakers else {}))
    network: Any = model.speech.front_end.network if model.speech is not None else None
    if network is not None:
        write_json(folder / FRONT_END, network.config.to_dict())


def read_transcoder(folder: Path) -> tuple[Transcoder, Framing, float]:
    """Read a transcoder, its framing and its frame rate."""
    config, extra, weights = read_model(folder, TranscoderConfig)
    framing = params.build(Framing, extra["framing"], f"{folder}: framing")
    neutral, colours, mask = (torch.zeros_like(weights[name]) for name in ("neutral", "colours", "mask"))
    own = config
    if (folder / FRONT_END).exists():
        speech = dataclasses.replace(config.speech, checkpoint=str(folder / FRONT_END))
        own = dataclasses.replace(config, speech=speech)
    people = extra.get("speakers", ())
    model = Transcoder(own, framing.pixels, extra["fps"], neutral, colours, mask, people)
    model.config = config
    fill_model(folder, model, weights)
    return model, framing, float(extra["fps"])


def write_regressor(folder: Path, model: Regressor, rig_hash: str) -> None:
    """Write a regressor with the hash of the rig whose vertices it returns."""
    write_model(folder, model, {"rig_hash": rig_hash})


def read_regressor(folder: Path, rig_hash: str) -> Regressor:
    """Read a regressor; it must have been trained on the rig of that hash."""
    config, extra, weights = read_model(folder, RegressorConfig)
    if extra.get("rig_hash") != rig_hash:
        raise TalkmeshError(f"{folder} was trained on another rig; run `dvc repro regressor` again")
    model = Regressor(config, torch.zeros_like(weights["neutral"]))
    fill_model(folder, model, weights)
    return model
