"""The methods that ours is compared with: what they learn from, how they are trained, what they predict.

All learn from the same sequences (speech and meshes of one topology), through the one training loop, and are
validated in the mode in which they are used: whole clips, from speech alone.
T frames, V vertices, F speech features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, read_json
from talkmesh.models import faceformer, linear, meshtalk, selftalk, voca
from talkmesh.models.folder import built, read_model, write_model
from talkmesh.models.speech import SpeechConfig
from talkmesh.params import build as build_config
from talkmesh.rig import Rig
from talkmesh.sequences import Sampler, Sequence, Stretches, cut_speech, one_hot, speakers_of
from talkmesh.train import Log, TrainConfig, device_of, fit

STARTED_FROM = 1000  # meshes whose principal components a network starts from
Curves = list[tuple[int, str, float, str]]


@dataclass(frozen=True)
class LinearRecipe:
    """train : differences to what all are trained with; likewise below."""

    model: linear.LinearConfig
    batch: Stretches
    train: dict[str, Any]


@dataclass(frozen=True)
class VocaRecipe:
    """See `models.voca`."""

    model: voca.VocaConfig
    batch: Stretches
    train: dict[str, Any]


@dataclass(frozen=True)
class FaceFormerRecipe:
    """See `models.faceformer`."""

    model: faceformer.FaceFormerConfig
    batch: Stretches
    train: dict[str, Any]


@dataclass(frozen=True)
class SelfTalkRecipe:
    """See `models.selftalk`."""

    model: selftalk.SelfTalkConfig
    batch: Stretches
    train: dict[str, Any]


@dataclass(frozen=True)
class MeshTalkRecipe:
    """batch, train : of the autoencoder; context_batch, context_train : of the context model after it."""

    model: meshtalk.MeshTalkConfig
    batch: Stretches
    train: dict[str, Any]
    context_batch: Stretches
    context_train: dict[str, Any]


Recipe = LinearRecipe | VocaRecipe | FaceFormerRecipe | SelfTalkRecipe | MeshTalkRecipe


@dataclass(frozen=True)
class Method:
    """model : which of the recipes; targets : data/clips for the exact meshes beside the clips, or the folder of
    another method's predictions; more : a corpus of speech and meshes in data/raw whose speakers are learned from as
    well, or data/clips for none; changes : to the recipe."""

    model: str
    targets: str
    more: str
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BaselineStage:
    """The section `baseline` of params.yaml. methods : what is built, by its name in results; train : how."""

    methods: dict[str, Method]
    train: TrainConfig
    linear: LinearRecipe
    voca: VocaRecipe
    faceformer: FaceFormerRecipe
    selftalk: SelfTalkRecipe
    meshtalk: MeshTalkRecipe

    def recipe(self, model: str) -> Recipe:
        """Return the recipe of that name."""
        found = getattr(self, model, None)
        if not isinstance(found, Recipe):
            known = ", ".join(f.name for f in dataclasses.fields(self) if f.name not in ("methods", "train"))
            raise TalkmeshError(f"params.yaml: baseline.methods names the model '{model}'; known are {known}")
        return found

    def training(self, differences: dict[str, Any]) -> TrainConfig:
        """Return how to train where a recipe has these differences."""
        values = dataclasses.asdict(self.train) | differences
        return build_config(TrainConfig, values, "params.yaml: baseline, train of a recipe")


class Network(Protocol):
    """What all baselines have: `margin` frames of speech are needed on either side of those predicted."""

    margin: int

    def start(self, rig: Rig, offsets: Tensor) -> None:
        """Take scale and, where the method does, principal components from offsets (N, V, 3) in mm."""

    def __call__(self, speech: Tensor, speaker: Tensor, neutral: Tensor, frames: int) -> Tensor:
        """Offsets (B, T, V, 3) in mm; speaker (B, S) one-hot, neutral (B, V, 3) mm."""

    def losses(self, speech: Tensor, speaker: Tensor, neutral: Tensor, offsets: Tensor) -> dict[str, Tensor]:
        """The weighted terms of the loss."""


@dataclass(frozen=True)
class Baseline:
    """A trained method: the network, the kind it is of, and what it was trained with."""

    model: str
    network: nn.Module
    speech: SpeechConfig
    fps: float
    speakers: tuple[str, ...]
    rig_hash: str


def build(
    model: str, config: Any, speech: SpeechConfig, fps: float, vertices: int, speakers: int
) -> nn.Module:
    """Return an untrained network."""
    match model:
        case "linear":
            return linear.Linear(config, speech, fps, vertices)
        case "voca":
            return voca.Voca(config, speech, fps, vertices, speakers)
        case "faceformer":
            return faceformer.build(config, speech, fps, vertices, speakers)
        case "selftalk":
            return selftalk.SelfTalk(config, speech, fps, vertices)
        case "meshtalk":
            return meshtalk.MeshTalk(config, speech, fps, vertices)
    raise ValueError(f"there is no baseline '{model}'")


def work_folder(
    stage: BaselineStage, model: str, speech: SpeechConfig, fps: float, rig: Rig, sequences: list[Sequence]
) -> Path:
    """Return the folder of the checkpoints of one training: named by all that it depends on, code included."""
    here = Path(__file__).parent
    names = ("baselines", "sequences", "train", "models/speech", "models/basis", f"models/{model}")
    code = [here / f"{name}.py" for name in names]
    data = [part for s in sequences for part in (s.speaker, s.speech, s.offsets, s.neutral)]
    return Path("work/baseline") / content_hash(
        *code, stage.recipe(model), stage.train, speech, fps, rig.hash, *data
    )


def fit_baseline(
    stage: BaselineStage,
    model: str,
    speech: SpeechConfig,
    fps: float,
    sequences: list[Sequence],
    held_out: list[Sequence],
    rig: Rig,
    work: Path,
    log: Log,
) -> tuple[Baseline, Curves]:
    """Train the network of one recipe; validated on whole clips of `held_out` by lip vertex error in mm.

    Raises
    ------
    TalkmeshError
        If a batch is too small for the method.
    """
    recipe = stage.recipe(model)
    train = stage.training(recipe.train)
    if model == "meshtalk" and recipe.batch.sequences < 2:
        raise TalkmeshError(
            "params.yaml: baseline.meshtalk.batch.sequences must be 2 or more: it swaps clips"
        )
    torch.manual_seed(train.seed)
    speakers = speakers_of(sequences)
    network = build(model, recipe.model, speech, fps, len(rig.neutral), len(speakers))
    trained = Baseline(model, network, speech, fps, speakers, rig.hash)
    every = max(sum(len(s.offsets) for s in sequences) // STARTED_FROM, 1)
    started = np.concatenate([s.offsets[every // 2 :: every] for s in sequences])
    cast(Network, network).start(rig, torch.from_numpy(started))
    network.to(device_of(train))
    lips = torch.from_numpy(rig.lips).long()

    def figures(candidate: nn.Module) -> dict[str, float]:
        candidate_is = dataclasses.replace(trained, network=candidate)
        got = [predict(candidate_is, s.speech, s.speaker, s.neutral, len(s.offsets)) for s in held_out]
        return _figures(got, held_out, lips)

    if isinstance(recipe, MeshTalkRecipe):
        context = stage.training(recipe.context_train)
        curves = _fit_meshtalk(trained, recipe, train, context, sequences, held_out, lips, figures, work, log)
    else:
        losses = cast(Network, network).losses
        curves = _fit(trained, losses, recipe.batch, train, sequences, figures, work, log)
    network.cpu()
    return trained, curves


def _fit(
    trained: Baseline,
    losses: Callable[..., dict[str, Tensor]],
    batch: Stretches,
    train: TrainConfig,
    sequences: list[Sequence],
    validate: Callable[[nn.Module], dict[str, float]],
    work: Path,
    log: Log,
) -> Curves:
    device = device_of(train)
    sampler = Sampler(sequences, trained.speakers, batch, cast(Network, trained.network).margin, trained.fps)
    return fit(
        trained.network,
        lambda rng, part: losses(*sampler.draw(rng, device)),
        validate,
        train,
        work,
        log,
        trained.model,
    )


def _fit_meshtalk(
    trained: Baseline,
    recipe: MeshTalkRecipe,
    train: TrainConfig,
    context: TrainConfig,
    sequences: list[Sequence],
    held_out: list[Sequence],
    lips: Tensor,
    validate: Callable[[nn.Module], dict[str, float]],
    work: Path,
    log: Log,
) -> Curves:
    """The autoencoder first, judged by its reconstruction; then, that frozen, the context model, judged as used."""
    network = cast(meshtalk.MeshTalk, trained.network)

    def reconstruction(candidate: nn.Module) -> dict[str, float]:
        got = []
        for s in held_out:
            fed, _, neutral = _as_batch(trained, s.speech, s.speaker, s.neutral, len(s.offsets))
            offsets = torch.from_numpy(np.array(s.offsets))[None].to(neutral.device)
            got.append(
                (cast(meshtalk.MeshTalk, candidate).reconstruct(fed, neutral, offsets)[0]).cpu().numpy()
            )
        return _figures(got, held_out, lips)

    network.context.requires_grad_(False)
    first = _fit(
        trained, network.losses, recipe.batch, train, sequences, reconstruction, work / "autoencoder", log
    )
    network.context.requires_grad_(True)
    network.encoder.requires_grad_(False)
    network.unet.requires_grad_(False)
    losses, batch = network.context_losses, recipe.context_batch
    second = _fit(trained, losses, batch, context, sequences, validate, work / "context", log)
    return [(step, f"autoencoder_{name}", value, split) for step, name, value, split in first] + [
        (train.steps + step, name, value, split) for step, name, value, split in second
    ]


def _figures(got: list[np.ndarray], held_out: list[Sequence], lips: Tensor) -> dict[str, float]:
    """Return mean lip vertex errors in mm of predicted offsets, and of the still face."""

    def lve(p: np.ndarray | float, s: Sequence) -> float:
        return float(np.linalg.norm((p - s.offsets)[:, lips.numpy()], axis=-1).max(1).mean())

    error = float(np.mean([lve(p, s) for p, s in zip(got, held_out, strict=True)]))
    still = float(np.mean([lve(0.0, s) for s in held_out]))
    return {"lve_mm": error, "still_lve_mm": still, "score": error}


def _as_batch(
    trained: Baseline, speech: np.ndarray, speaker: str, neutral: np.ndarray, frames: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return speech, speaker and neutral mesh of a whole clip as a batch of one."""
    device = next(trained.network.parameters()).device
    margin = cast(Network, trained.network).margin
    fed = torch.from_numpy(cut_speech(speech, 0, frames, margin, trained.fps))[None]
    who = one_hot(speaker, trained.speakers)[None]
    return fed.to(device), who.to(device), torch.from_numpy(neutral)[None].to(device)


@torch.no_grad()
def predict(
    trained: Baseline, speech: np.ndarray, speaker: str, neutral: np.ndarray, frames: int
) -> np.ndarray:
    """Return the offsets (T, V, 3) in mm from `neutral` (V, 3) that a method predicts for a whole clip.

    speech : what `models.speech.features` returns
    """
    offsets: Tensor = trained.network(*_as_batch(trained, speech, speaker, neutral, frames), frames)
    return offsets[0].cpu().numpy()


def write_baseline(folder: Path, trained: Baseline) -> None:
    """Write a trained method."""
    extra = {f.name: getattr(trained, f.name) for f in dataclasses.fields(trained) if f.name != "network"}
    write_model(folder, trained.network, extra | {"speech": dataclasses.asdict(trained.speech)})


def read_baseline(folder: Path, rig: Rig) -> Baseline:
    """Read a trained method; it must have been trained on `rig`."""
    kinds = {
        "linear": linear.LinearConfig,
        "voca": voca.VocaConfig,
        "faceformer": faceformer.FaceFormerConfig,
        "selftalk": selftalk.SelfTalkConfig,
        "meshtalk": meshtalk.MeshTalkConfig,
    }
    try:
        model = str(read_json(folder / "config.json")["extra"]["model"])
        config, extra, weights = read_model(folder, kinds[model])
    except (KeyError, TypeError) as error:
        raise TalkmeshError(f"{folder}/config.json names no method that is known ({error})") from None
    if extra["rig_hash"] != rig.hash:
        raise TalkmeshError(f"{folder} was trained on another rig; run `dvc repro baseline` again")
    speech = build_config(SpeechConfig, extra["speech"], f"{folder}/config.json: speech")
    shape = extra["fps"], len(rig.neutral), len(extra["speakers"])
    network = built(folder, weights, lambda: build(model, config, speech, *shape))
    return Baseline(model, network, speech, float(extra["fps"]), tuple(extra["speakers"]), rig.hash)
