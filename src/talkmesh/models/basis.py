"""A linear basis of motion, to start the last layer of a network with: else learning it takes most steps.

N meshes, V vertices, K vectors of the basis.
"""

from __future__ import annotations

import torch
from torch import Tensor


def principal(offsets: Tensor, count: int) -> Tensor:
    """Return the principal directions (K, 3V) of offsets (N, V, 3) from the neutral mesh.

    Not centred: all coefficients zero is the neutral face. Each direction is scaled by the root mean square of its
    coefficients, so that coefficients of unit size span the motion. Where there are fewer directions than wanted
    the rest is zero.
    """
    x = offsets.flatten(1).double()
    values, vectors = torch.linalg.eigh(x @ x.T)  # (N, N) is small, (3V, 3V) is not
    keep = min(count, len(x))
    values, vectors = values.flip(0)[:keep].clamp(min=0), vectors.flip(1)[:, :keep]
    found = values > values[0] * 1e-9
    basis = torch.zeros(count, x.shape[1])
    # x.T @ v has length sqrt(value), the root of the sum over meshes of the squared coefficients
    basis[:keep][found] = ((x.T @ vectors[:, found]).T / len(x) ** 0.5).float()
    return basis
