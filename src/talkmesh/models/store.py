"""The models of the method on disk (`folder` says in what form), with what they need besides their weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from talkmesh import params
from talkmesh.errors import TalkmeshError
from talkmesh.files import write_json
from talkmesh.framing import Framing
from talkmesh.models.folder import built, read_model, write_model
from talkmesh.models.regressor import Regressor, RegressorConfig
from talkmesh.models.speech import check_front_end
from talkmesh.models.transcoder import Transcoder, TranscoderConfig

FASTEST, LARGEST = 1000.0, 4096  # frames a second, pixels
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
    made = params.build(_Made, {"speakers": []} | extra, f"{folder}/config.json: extra")
    own = config
    if config.with_speech and config.speech.front_end == "wav2vec2":
        check_front_end(folder / FRONT_END)
        speech = dataclasses.replace(config.speech, checkpoint=str(folder / FRONT_END))
        own = dataclasses.replace(config, speech=speech)

    def make() -> Transcoder:
        neutral, colours, mask = (torch.zeros(weights[name].shape) for name in ("neutral", "colours", "mask"))
        return Transcoder(own, made.framing.pixels, made.fps, neutral, colours, mask, made.speakers)

    model = built(folder, weights, make)
    model.config = config
    return model, made.framing, made.fps


@dataclass(frozen=True)
class _Made:
    """What a transcoder is made for."""

    framing: Framing
    fps: float
    speakers: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 < self.fps <= FASTEST or not 0 < self.framing.pixels <= LARGEST:
            raise TalkmeshError(
                f"no model is made for {self.fps:g} frames a second of {self.framing.pixels} pixels"
            )


@dataclass(frozen=True)
class _Of:
    """The rig that a regressor was trained on."""

    rig_hash: str


def write_regressor(folder: Path, model: Regressor, rig_hash: str) -> None:
    """Write a regressor with the hash of the rig whose vertices it returns."""
    write_model(folder, model, {"rig_hash": rig_hash})


def read_regressor(folder: Path, rig_hash: str) -> Regressor:
    """Read a regressor; it must have been trained on the rig of that hash."""
    config, extra, weights = read_model(folder, RegressorConfig)
    if params.build(_Of, extra, f"{folder}/config.json: extra").rig_hash != rig_hash:
        raise TalkmeshError(f"{folder} was trained on another rig; run `dvc repro regressor` again")
    return built(folder, weights, lambda: Regressor(config, torch.zeros(weights["neutral"].shape)))
