"""What FaceFormer's key and value cache is worth: `python -m benchmarks.faceformer [--json]`.

`speedup_20s`: how many times faster 600 frames are rolled out than by the released loop, which runs the decoder over
all frames so far and projects all of them to vertices, at every frame. `max_diff`: largest difference of a vertex
between both, as a share of the height of the face, which the motion is made to fill by a tenth. `growth_exponent`:
slope of log time over log length, from 10 to 60 s. Random weights of the released sizes (5,023 vertices, width 64,
30 frames a second), speech features given; CPU time of one thread, so that what else runs counts little; the best of
several runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from talkmesh.models.faceformer import FaceFormer, FaceFormerConfig

FPS = 30
VERTICES, SPEAKERS = 5023, 8
LENGTHS_S = (10, 20, 30, 40, 60)
MOTION = 0.1  # of the height of the face, largest


def model(seed: int = 0) -> FaceFormer:
    """Return a network that moves: a released one's last layer is not zero, as an untrained one's is."""
    torch.manual_seed(seed)
    made = FaceFormer(FaceFormerConfig(768, 64, 4, 30, 0.1), nn.Identity(), VERTICES, SPEAKERS)
    nn.init.normal_(made.vertice_map_r.weight, std=0.02)
    nn.init.normal_(made.vertice_map_r.bias, std=0.02)
    return made.eval()


def speech(frames: int) -> tuple[Tensor, Tensor]:
    """Return memory (1, T, D) that varies as speech does, a few times a second, and a style (1, D)."""
    random = torch.randn(1, 64, frames // 6 + 2)
    smooth = nn.functional.interpolate(random, frames, mode="linear")
    return smooth.transpose(1, 2).contiguous(), torch.randn(1, 64)


@torch.no_grad()
def timed(
    run: Callable[[Tensor, Tensor], Tensor], fed: tuple[Tensor, Tensor], times: int
) -> tuple[float, Tensor]:
    """Return the CPU seconds of the fastest run, and what it returned."""
    seconds = []
    for _ in range(times):
        begin = time.process_time()
        made = run(*fed)
        seconds.append(time.process_time() - begin)
    return min(seconds), made


def measure(times: int) -> dict[str, float]:
    """Return the figures."""
    torch.set_num_threads(1)
    net, fed = model(), {s: speech(s * FPS) for s in LENGTHS_S}
    timed(net.roll_out, fed[10], 1)  # what is slow only once
    plain, wanted = timed(net.plain_loop, fed[20], 1)
    seconds = {s: timed(net.roll_out, fed[s], times)[0] for s in LENGTHS_S}
    _, got = timed(net.roll_out, fed[20], 1)
    slope = np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0]
    return {
        "speedup_20s": plain / seconds[20],
        "max_diff": float((got - wanted).abs().max() / wanted.abs().max() * MOTION),
        "growth_exponent": float(slope),
        "plain_20s_s": plain,
    } | {f"cache_{s}s_s": value for s, value in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5, help="runs of each length, the best counts")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.times)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<18} {value:.3g}")


if __name__ == "__main__":
    main()
