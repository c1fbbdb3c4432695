"""Speed of inference: speech to mesh, against the usual auto-regressive decoder, on the processor.

    python -m benchmarks.inference [--json] [--paper] [--threads N] [--cpu]

Sides take turns in one process with the same threads; each is given speech features (ours: of the front end in
params.yaml; theirs: as many vectors of wav2vec 2.0's width) and returns vertices. Front ends are reported apart.

- full: E_A, D_S, E_G as `talkmesh animate` runs them, default sizes, 5,000 vertices; random weights.
- fast: E_A and the head of the fast path.
- released: FaceFormer's decoder as it was released: every step sends all frames so far through the output layer.
- last frame: the same with the output layer on the newest frame only, whose results are equal.

`--cpu` counts the process's own processor time in place of the clock's: for a machine that is busy otherwise.
`--paper`: the sizes of profiles/paper.yaml too (256 pixels, 12,696 vertices), a second of sound, linear in its length.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from talkmesh import animate as animation
from talkmesh import params
from talkmesh.bundle import Bundle
from talkmesh.coding import Coder
from talkmesh.fitting import RegressorStage, TranscoderStage
from talkmesh.framing import Framing
from talkmesh.models.head import Head, HeadConfig
from talkmesh.models.regressor import Regressor
from talkmesh.models.speech import features
from talkmesh.models.transcoder import Transcoder
from talkmesh.rig import Rig

FPS, SECONDS, VERTICES, SHAPES = 25.0, 20.0, 5_000, 52
GROWTH = (5.0, 10.0, 20.0, 40.0, 60.0)  # seconds of speech
CLOCK: Callable[[], float] = time.perf_counter


class Decoder(nn.Module):
    """FaceFormer's decoder (Fan et al., CVPR 2022) as far as inference needs it: 64 wide, one layer, four heads."""

    period, width, heads = int(FPS), 64, 4

    def __init__(self, vertices: int) -> None:
        super().__init__()
        self.audio = nn.Linear(768, self.width)
        self.enter, self.leave = nn.Linear(3 * vertices, self.width), nn.Linear(self.width, 3 * vertices)
        layer = nn.TransformerDecoderLayer(self.width, self.heads, 2 * self.width, batch_first=True)
        self.layers = nn.TransformerDecoder(layer, 1)
        self.template = nn.Parameter(torch.randn(3 * vertices))
        self.style = nn.Parameter(torch.randn(self.width))
        place = torch.arange(self.period)[:, None] * torch.exp(
            torch.arange(0, self.width, 2) * (-math.log(10_000) / self.width)
        )
        self.place = torch.stack([place.sin(), place.cos()], -1).flatten(1)

    def forward(self, speech: Tensor, released: bool) -> Tensor:
        memory = self.audio(speech)  # (1, T, D)
        frames = memory.shape[1]
        index = torch.arange(frames)
        back = -((index[:, None] - index[None]) // self.period).float()
        slopes = torch.tensor([2.0 ** (-2 * (h + 1)) for h in range(self.heads)])[:, None, None]
        own = (slopes * back).masked_fill(index[:, None] < index[None], -torch.inf)
        cross = index[:, None] != index[None]
        fed, out = self.style[None, None], []
        for i in range(frames):
            x = fed + self.place[index[: i + 1] % self.period]
            y = self.layers(x, memory, own[:, : i + 1, : i + 1], cross[: i + 1])
            if released:
                whole = self.leave(y)
                newest = whole[:, -1]
            else:
                newest = self.leave(y[:, -1])
                out.append(newest)
            fed = torch.cat([fed, (self.enter(newest) + self.style)[:, None]], 1)
        return (whole if released else torch.stack(out, 1)) + self.template


def bundle_of(values: dict[str, Any], size: int, vertices: int) -> Bundle:
    """Return a bundle of the sizes in `values` (a whole params.yaml) with random weights and a made-up rig."""
    model = params.merged(values["transcoder"], values["variants"]["full"])
    model["model"]["speech"] |= {"front_end": values["transcoder"]["model"]["speech"]["front_end"]}
    stage = params.build(TranscoderStage, model, "transcoder")
    geometry = params.build(RegressorStage, values["regressor"], "regressor")
    rng = np.random.default_rng(0)
    neutral = rng.normal(0, 50, (vertices, 3)).astype(np.float32)
    deltas = rng.normal(0, 1, (SHAPES, vertices, 3)).astype(np.float32)
    faces = np.arange(3, dtype=np.int32)[None]
    some = np.arange(40)
    names = tuple(f"shape{i}" for i in range(SHAPES))
    rig = Rig("random", neutral, faces, names, deltas, some, some, some, np.zeros((vertices, 3), np.float32))
    pictures = torch.rand(2, 3, size, size)
    transcoder = Transcoder(stage.model, size, FPS, pictures, torch.ones(2, 2, 3), torch.ones(1, size, size))
    regressor = Regressor(geometry.model, torch.from_numpy(neutral))
    nn.init.normal_(regressor.vertices.weight, std=0.01)
    head = Head(
        params.build(HeadConfig, values["distil"]["model"], "distil.model"),
        stage.model.code,
        torch.from_numpy(deltas),
    )
    for network in (transcoder, regressor):
        network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Bundle(transcoder, regressor, rig, Framing(size, 1.9, 0.5, True), FPS, head=head.eval())


def ours(bundle: Bundle, fed: np.ndarray, fast: bool) -> int:
    """Return the frames made of features (T, F), window by window as `animate` does."""
    coder = Coder(bundle.transcoder)
    codes = coder.close(fed, len(fed))
    return sum(len(part) for part in animation.shown(bundle, [codes], fast))


@torch.inference_mode()
def theirs(decoder: Decoder, speech: Tensor, released: bool) -> int:
    """Return the frames made of features (1, T, 768)."""
    return decoder(speech, released).shape[1]


def measured(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each side; they take turns, the first turn does not count."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, run in sides.items():
            start = CLOCK()
            run()
            if turn:
                taken[name].append(CLOCK() - start)
    return {name: float(np.median(times)) for name, times in taken.items()}


def default_sizes(values: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Measure all sides at the default sizes, and how the full path grows with the length of the speech."""
    bundle = bundle_of(values, values["crop"]["pixels"], VERTICES)
    width = bundle.transcoder.speech.embed.in_features  # type: ignore[union-attr]
    rng = np.random.default_rng(1)
    fed = {s: rng.normal(0, 1, (round(s * FPS), width)).astype(np.float32) for s in {*GROWTH, SECONDS}}
    decoder, speech = Decoder(VERTICES).eval(), torch.randn(1, round(SECONDS * FPS), 768)
    usual = measured(
        {
            "full": lambda: ours(bundle, fed[SECONDS], False),
            "fast": lambda: ours(bundle, fed[SECONDS], True),
            "released": lambda: theirs(decoder, speech, True),
            "last_frame": lambda: theirs(decoder, speech, False),
        },
        rounds,
    )
    plain = animation.autocast
    animation.autocast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=False)  # type: ignore[assignment]
    usual |= measured({"full_float32": lambda: ours(bundle, fed[SECONDS], False)}, rounds)
    animation.autocast = plain
    grown = measured({str(s): lambda s=s: ours(bundle, fed[s], False) for s in GROWTH}, rounds)  # type: ignore[misc]
    slope = np.polyfit(np.log(GROWTH), np.log([grown[str(s)] for s in GROWTH]), 1)[0]
    samples = (0.1 * rng.standard_normal(round(SECONDS * 16_000))).astype(np.float32)
    config = bundle.transcoder.config.speech
    front = measured({"front_end": lambda: features(samples, round(SECONDS * FPS), FPS, config)}, 1)
    return {
        "full_vs_faceformer_released": usual["released"] / usual["full"],
        "full_vs_faceformer_last_frame": usual["last_frame"] / usual["full"],
        "full_x_realtime": SECONDS / usual["full"],
        "fast_x_realtime": SECONDS / usual["fast"],
        "growth_exponent": float(slope),
        "seconds": usual,
        "seconds_by_length": grown,
        "front_end": {"name": config.front_end, "x_realtime": SECONDS / front["front_end"]},
        "bfloat16": torch.cpu._is_avx512_bf16_supported(),
    }


def paper_sizes(values: dict[str, Any]) -> dict[str, Any]:
    """Measure a second of speech at the sizes of profiles/paper.yaml, with the default's front end."""
    overrides = yaml.safe_load(Path("profiles/paper.yaml").read_text(encoding="utf-8"))
    overrides["transcoder"]["model"]["speech"].pop("front_end", None)  # excluded: nothing to download
    bundle = bundle_of(params.merged(values, overrides), 256, 12_696)
    width = bundle.transcoder.speech.embed.in_features  # type: ignore[union-attr]
    fed = np.random.default_rng(1).normal(0, 1, (round(FPS), width)).astype(np.float32)
    decoder, speech = Decoder(12_696).eval(), torch.randn(1, round(SECONDS * FPS), 768)
    taken = measured(
        {
            "full": lambda: ours(bundle, fed, False),
            "fast": lambda: ours(bundle, fed, True),
            "released": lambda: theirs(decoder, speech, True),
            "last_frame": lambda: theirs(decoder, speech, False),
        },
        1,
    )
    return {
        "full_x_realtime": 1 / taken["full"],
        "fast_x_realtime": 1 / taken["fast"],
        "full_vs_faceformer_released": taken["released"] / (SECONDS * taken["full"]),
        "full_vs_faceformer_last_frame": taken["last_frame"] / (SECONDS * taken["full"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--paper", action="store_true", help="also 256 pixels and 12,696 vertices")
    parser.add_argument("--threads", type=int, help="of torch; by default as many as it takes")
    parser.add_argument("--cpu", action="store_true", help="processor time in place of the clock's")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.cpu:
        global CLOCK
        CLOCK = time.process_time
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    values = params.read()
    clock = "processor" if arguments.cpu else "wall"
    result = default_sizes(values, arguments.rounds) | {"threads": torch.get_num_threads(), "clock": clock}
    if arguments.paper:
        result["paper_scale"] = paper_sizes(values)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name}: {f'{value:.3g}' if isinstance(value, float) else value}")


if __name__ == "__main__":
    main()
