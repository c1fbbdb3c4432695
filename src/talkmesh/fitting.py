"""Fitting the two models of the method: what a step draws, what validation measures.

`train.fit` is the loop; here stands what is particular to the transcoder and to the regressor.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from talkmesh.agreement import mismatch, shape_reader, shown_shapes
from talkmesh.contracts import Renders
from talkmesh.domains import (
    Clip,
    Real,
    heard_offsets,
    neutral_images,
    to_images,
    to_tensor,
)
from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, read_json
from talkmesh.following import follow
from talkmesh.framing import Framing, soft_mask
from talkmesh.lineage import Place, place
from talkmesh.models.images import match_colours
from talkmesh.models.regressor import Regressor, RegressorConfig, augment, rmse
from talkmesh.models.transcoder import CHARACTER, Transcoder, TranscoderConfig, TranscoderLoss, distance
from talkmesh.preview import contact_sheet
from talkmesh.processes import processes
from talkmesh.rig import Rig
from talkmesh.sampler import Sampler
from talkmesh.train import BEST, Log, TrainConfig, device_of, fit

logger = logging.getLogger(__name__)

SOURCES = (
    "fitting.py",
    "following.py",
    "lineage.py",
    "domains.py",
    "sampler.py",
    "train.py",
    "processes.py",
    "models",
)  # a change of these makes checkpoints stale
Curves = list[tuple[int, str, float, str]]
READ = 500  # renders that the reader of lip shapes is fitted to, at each validation


@dataclass(frozen=True)
class BatchConfig:
    """windows : windows of speech a step; window : their length in frames; frames : real images of each;
    decoded : how many of them are decoded (a divisor of `frames`); synthetic : renders a step; alike : share of them
    that are drawn as often as the speaker makes their lip shapes, the rest evenly: two domains with one spread."""

    windows: int
    window: int
    frames: int
    decoded: int
    synthetic: int
    alike: float


@dataclass(frozen=True)
class TranscoderStage:
    """The section `transcoder` of params.yaml. start : folder of a trained transcoder whose networks are taken over
    (`full` goes on from `image_only`), or any path without a model to start from scratch; speakers : names of those
    who are learned from, a D_R each; empty for the only one of the corpus; image_rate : learning rate of E_V, D_R and
    D_S as a share of E_A's; shared_rate : a further factor for all but D_R. Below 1 it fits a trained model to a
    speaker whom it does not know; 0 fixes all but D_R; alone : steps in which E_A, if it is new, first learns by itself
    to follow the codes that E_V has for the films: no picture is decoded, so that they cost a tenth of a joint step;
    continued : steps of a training that goes on from the last one with the same settings when recordings have changed
    (0: it begins anew)."""

    start: str
    speakers: tuple[str, ...]
    image_rate: float
    shared_rate: float
    alone: int
    continued: int
    model: TranscoderConfig
    batch: BatchConfig
    train: TrainConfig


@dataclass(frozen=True)
class RegressorStage:
    """The section `regressor` of params.yaml; `held_out` is the share of renders for validation."""

    model: RegressorConfig
    train: TrainConfig
    held_out: float

    def split(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which of `count` renders are trained on, and which are validated on, sorted."""
        order = np.random.default_rng(self.train.seed).permutation(count)
        held = max(int(count * self.held_out), 1)
        return order[held:], np.sort(order[:held])


def work_folder(kind: str, *parts: Any) -> Path:
    """Return the folder of the checkpoints of one training: named by all that it depends on, code included."""
    return Path("work") / kind / content_hash(*_code(), *parts)


def _code() -> list[Path]:
    here = Path(__file__).parent
    return [
        f
        for name in SOURCES
        for f in ([here / name] if name.endswith(".py") else sorted((here / name).glob("*.py")))
    ]


def transcoder_place(
    stage: TranscoderStage, real: Real, held_out: Real, renders: Renders, rig: Rig, framing: Framing
) -> Place:
    """Return where a transcoder's checkpoints lie, and what it goes on from: named by all that it depends on."""
    taken = Path(stage.start) / "weights.safetensors"
    settings = content_hash(*_code(), replace(stage, continued=0), framing, rig.hash, renders.poses)
    seen = [
        part
        for side in (real, held_out)
        for clip in side.clips
        for part in (clip.images, clip.colours, clip.shapes, clip.good, clip.speech, clip.speaker)
    ]
    data = content_hash(
        *([taken] if taken.exists() else []),
        renders.images,
        real.neutral.numpy(),
        real.colours,
        real.fps,
        *seen,
    )
    return place(Path("work/transcoder"), settings, data, stage.continued)


def fit_transcoder(
    stage: TranscoderStage,
    real: Real,
    held_out: Real,
    renders: Renders,
    rig: Rig,
    framing: Framing,
    where: Place,
    log: Log,
) -> tuple[Transcoder, Curves]:
    """Train a transcoder (eq. 5); validated on the clips of `held_out`, in the mode in which it will be used.

    If `where` names a training before this one, its weights are the start, and `stage.continued` is for how long.

    Two figures make the score, their product, so that a tenth less of either counts the same: the pixel distance
    between real frames and D_R's picture of them, and the mismatch of lip shapes between real frames and D_S's
    picture (`agreement`); from speech where the model has E_A, from the frames themselves where not. Logged beside
    it: the spread of the codes (0 = collapse), the distance of the neutral codes, and the anchor's reading.
    """
    torch.manual_seed(stage.train.seed)
    device = device_of(stage.train)
    neutral, colours = neutral_images(real, renders, framing)
    mask = torch.from_numpy(np.moveaxis(soft_mask(framing), -1, 0))
    model = Transcoder(stage.model, framing.pixels, real.fps, neutral, colours, mask, real.speakers)
    knows_speech = _take_over(model, Path(stage.start))
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    how = _go_on(model, stage, where.before) if where.before else stage.train
    loss = TranscoderLoss(stage.model, framing.pixels).to(device)
    b = stage.batch
    numbers = (b.windows, b.window, b.frames, b.decoded, b.synthetic, b.alike)
    sampler = Sampler(real, renders, rig, framing, *numbers, stage.model.closures)
    if model.speech is not None and not knows_speech and where.before is None:
        follow(model, sampler, held_out, stage, where.work / "alone", log)

    def losses(rng: np.random.Generator, part: float) -> dict[str, Tensor]:
        return loss(model, sampler.draw(rng, device), part)

    drawn = np.linspace(0, len(renders.images) - 1, min(len(renders.images), READ)).astype(int)
    shown = to_tensor(renders.images[drawn]).to(device), torch.from_numpy(sampler.shapes[drawn]).to(device)

    def validate(candidate: nn.Module) -> dict[str, float]:
        assert isinstance(candidate, Transcoder)
        return _transcoder_figures(candidate, held_out, shape_reader(candidate, *shown), loss.pixels, device)

    def rate_of(name: str) -> float:
        rate = 1.0 if name.startswith("speech.") else stage.image_rate
        return rate if name.startswith(("real.", "others.")) else rate * stage.shared_rate

    for (
        name,
        parameter,
    ) in model.named_parameters():  # what is fixed costs no gradient, and weighs in no clipping
        parameter.requires_grad_(parameter.requires_grad and rate_of(name) > 0)

    def picture(candidate: nn.Module) -> np.ndarray:
        assert isinstance(candidate, Transcoder)
        return decoded_sheet(candidate, held_out)

    curves = fit(model, losses, validate, how, where.work, log, "transcoder", rate_of, picture)
    if processes().first:
        where.finished()
    return model.cpu(), curves


def _go_on(model: Transcoder, stage: TranscoderStage, before: Path) -> TrainConfig:
    """Fill `model` with the weights of the training before, and return how it is trained on.

    Neutral images and colours stay those of the present recordings.
    """
    of_the_data = dict(model.named_buffers(recurse=False))
    weights = {k: v for k, v in load_file(before / BEST).items() if k not in of_the_data}
    model.load_state_dict(weights, strict=False)
    logger.info("going on from the training in %s for %d steps", before, stage.continued)
    warmup = min(stage.train.warmup, stage.continued // 10)
    return replace(stage.train, steps=stage.continued, warmup=warmup)


def _take_over(model: Transcoder, folder: Path) -> bool:
    """Fill `model` with the weights of the transcoder in `folder`, if there is one; what it lacks stays random.

    D_R of a speaker whom that one does not know, or knows without a name, starts as its first. Neutral images and
    colours remain those of the clips. Returned is whether there was an E_A.
    """
    if not (folder / "weights.safetensors").exists():
        return False
    own, found = model.state_dict(), load_file(folder / "weights.safetensors")
    known = read_json(folder / "config.json")["extra"].get("speakers", [])
    decoders = ("real.", *(f"others.{i}." for i in range(len(found["neutral"]) - 2)))
    weights = {k: v for k, v in found.items() if k not in dict(model.named_buffers(recurse=False))}
    weights = {k: v for k, v in weights.items() if not k.startswith(decoders)}
    for i, name in enumerate(model.speakers or ("",)):
        source = decoders[known.index(name) if name in known else 0]
        target = "real." if i == 0 else f"others.{i - 1}."
        weights |= {target + k.removeprefix(source): v for k, v in found.items() if k.startswith(source)}
    wrong = [k for k, v in weights.items() if k in own and own[k].shape != v.shape]
    if wrong:
        raise TalkmeshError(
            f"{folder} has other sizes than transcoder.model asks for ({wrong[0]}): equal them"
        )
    model.load_state_dict(weights, strict=False)
    return any(k.startswith("speech.") for k in weights)


def _transcoder_figures(
    model: Transcoder, real: Real, reader: Tensor, pixels: Tensor, device: torch.device
) -> dict[str, float]:
    rows = []
    codes: dict[str, list[Tensor]] = {"image": [], "speech": []}
    shapes = []
    for clip in real.clips:
        index = np.flatnonzero(clip.good)[::4]
        own = torch.from_numpy(clip.colours)[None].to(device)
        images = to_tensor(clip.images[index]).to(device)
        wanted = match_colours(images, own, model.colours[clip.speaker]).clamp(0, 1)
        shapes.append(torch.from_numpy(clip.shapes[index]).to(device))
        offsets = {"image": model.offsets_of_images(images, own, clip.speaker)}
        heard = heard_offsets(model, clip, index)
        if heard is not None:
            offsets["speech"] = heard
        row = {}
        for name, offset in offsets.items():
            codes[name].append(offset)
            row[name] = distance(model.decoders[clip.speaker](offset), wanted, "l1", pixels)
            if model.anchor is not None:
                row[f"anchor_{name}"] = (model.anchor(offset) - shapes[-1]).abs().nanmean()
        rows.append({k: float(v) for k, v in row.items()})
    figures = {k: float(np.mean([r[k] for r in rows])) for k in rows[0]}
    together = {name: torch.cat(parts) for name, parts in codes.items() if parts}
    for name, offset in together.items():
        read = torch.cat([shown_shapes(model, part, reader) for part in offset.split(64)])
        figures[f"mismatch_{name}"] = float(mismatch(read, torch.cat(shapes)))
    neutral, variance = model.neutral_codes(), together["image"].var(0).mean()
    apart = (neutral[:CHARACTER] - neutral[CHARACTER]).square().mean().sqrt()
    figures["code_std"] = float(variance.sqrt())
    figures["neutral_distance"] = float(apart / variance.sqrt())
    used = "speech" if "speech" in together else "image"
    if used == "speech":
        figures["codes"] = float((together["speech"] - together["image"]).square().mean() / variance)
    return figures | {"score": figures[used] * figures[f"mismatch_{used}"]}


def fit_regressor(
    stage: RegressorStage, renders: Renders, rig: Rig, work: Path, log: Log
) -> tuple[Regressor, Curves]:
    """Train a regressor (eq. 6) on renders; validated on held-out renders by lip vertex error in mm."""
    torch.manual_seed(stage.train.seed)
    device = device_of(stage.train)
    model = Regressor(stage.model, torch.from_numpy(rig.neutral)).to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train, test = stage.split(len(renders.images))
    weight = torch.ones(len(rig.neutral))
    weight[torch.from_numpy(rig.lips).long()] += stage.model.lip_weight
    weight = (weight / weight.mean()).to(device)
    lips = torch.from_numpy(rig.lips).long()
    deltas = torch.from_numpy(rig.deltas.reshape(len(rig.names), -1)).to(device)
    neutral = torch.from_numpy(rig.neutral).to(device)

    def vertices(index: np.ndarray) -> Tensor:
        poses = torch.from_numpy(renders.poses[index]).to(device)
        return (poses @ deltas).view(len(index), -1, 3) + neutral

    def losses(rng: np.random.Generator, part: float) -> dict[str, Tensor]:
        drawn = rng.choice(train, min(stage.model.batch, len(train)), replace=False)
        index = np.sort(processes().share(drawn))
        images = augment(to_tensor(renders.images[index]).to(device), stage.model)
        return {"rmse_mm": rmse(model(images), vertices(index), weight)}

    def validate(candidate: nn.Module) -> dict[str, float]:
        errors, still = [], []
        for chunk in np.array_split(test, max(len(test) // 128, 1)):
            truth = vertices(chunk)[:, lips]
            got = candidate(to_tensor(renders.images[chunk]).to(device))[:, lips]
            errors.append((got - truth).norm(dim=-1).amax(1))
            still.append((neutral[lips] - truth).norm(dim=-1).amax(1))
        lve = float(torch.cat(errors).mean())
        return {"lve_mm": lve, "still_lve_mm": float(torch.cat(still).mean()), "score": lve}

    curves = fit(model, losses, validate, stage.train, work, log, "regressor")
    return model.cpu(), curves


@torch.no_grad()
def decoded_sheet(model: Transcoder, real: Real, columns: int = 10) -> np.ndarray:
    """Return a picture (H, W, 3) uint8: real frames, D_R's and D_S's pictures of them, and from speech, if any."""
    device, clips = model.neutral.device, _in_turn(real.clips)
    rows: list[list[np.ndarray]] = [[], [], [], [], []]
    for i in range(columns):
        clip = clips[i % len(clips)]
        decoder = model.decoders[clip.speaker]
        known = np.flatnonzero(clip.good)
        frame = int(known[int(len(known) * (0.3 + 0.4 * i / columns))])
        images = to_tensor(clip.images[frame : frame + 1]).to(device)
        own = torch.from_numpy(clip.colours)[None].to(device)
        seen = model.offsets_of_images(images, own, clip.speaker)
        matched = match_colours(images, own, model.colours[clip.speaker]).clamp(0, 1)
        rows[0].append(to_images(torch.lerp(images, matched, model.mask))[0])
        rows[1].append(to_images(decoder(seen))[0])
        rows[2].append(to_images(model.synthetic(seen))[0])
        heard = heard_offsets(model, clip, np.array([frame]))
        if heard is not None:
            rows[3].append(to_images(decoder(heard))[0])
            rows[4].append(to_images(model.synthetic(heard))[0])
    return contact_sheet(np.stack([image for row in rows for image in row]), columns, scale=2)


def _in_turn(clips: list[Clip]) -> list[Clip]:
    """Return the first clip of each speaker, then the second of each, and so on."""
    turns = [[other.speaker for other in clips[:i]].count(clip.speaker) for i, clip in enumerate(clips)]
    return [clips[i] for i in np.argsort(turns, kind="stable")]
