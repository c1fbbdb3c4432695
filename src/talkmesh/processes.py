"""The processes that train one model together, one a GPU: ``accelerate launch`` starts them, this module hides them.

TALKMESH_LAUNCH : what a training stage is started with, such as
``accelerate launch --multi_gpu --num_processes 4`` (the same words serve for processes on CPUs). It is no parameter,
so that DVC takes a model for the same whichever machine has trained it.

Each process draws its share of every batch; gradients are averaged, so all hold the same weights at every step. The
first one writes; the others only compute.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from talkmesh.errors import TalkmeshError

Items = TypeVar("Items", list[Any], np.ndarray)


@dataclass(frozen=True)
class Processes:
    """rank : number of this process, from 0; count : how many there are."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, items: Items) -> Items:
        """Return the part of a batch that this process computes; shares differ by one item at most.

        Raises
        ------
        TalkmeshError
            If there are fewer items than processes.
        """
        if len(items) < self.count:
            raise TalkmeshError(
                f"a batch of {len(items)} cannot be shared by {self.count} processes: raise it or take fewer"
            )
        return items[self.rank :: self.count]

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes, in one message."""
        if self.count == 1:
            return
        held = [p for p in parameters if p.requires_grad]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in held])
        torch.distributed.all_reduce(flat)
        start = 0
        for p in held:
            p.grad = (flat[start : start + p.numel()] / self.count).view_as(p)
            start += p.numel()

    def agreed(self, value: float) -> float:
        """Return the first process' value, so that all take the same decision."""
        if self.count == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            torch.distributed.barrier()


def processes() -> Processes:
    """Return what `accelerate launch` (or torchrun) has started this process as; alone without it.

    Raises
    ------
    TalkmeshError
        If there are several processes and accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    try:
        from accelerate import PartialState
    except ModuleNotFoundError:
        raise TalkmeshError(
            "training on several processes needs accelerate: uv pip install accelerate"
        ) from None
    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes)


def relaunch(module: str) -> None:
    """Start `module` again with its arguments as `TALKMESH_LAUNCH` says, in place of this process; else do nothing.

    Raises
    ------
    TalkmeshError
        If the program that it names is not found.
    """
    words = shlex.split(os.environ.get("TALKMESH_LAUNCH", ""))
    if not words or "WORLD_SIZE" in os.environ:
        return
    beside = os.path.join(os.path.dirname(sys.executable), words[0])  # of this environment, activated or not
    program = beside if os.path.exists(beside) else words[0]
    sys.stdout.flush()
    try:
        os.execvp(program, [program, *words[1:], "-m", module, *sys.argv[1:]])
    except FileNotFoundError:
        raise TalkmeshError(f"TALKMESH_LAUNCH names '{words[0]}', which is not installed") from None
