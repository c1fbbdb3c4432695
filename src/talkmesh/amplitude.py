"""How far the character opens its lips: as far as the speaker, read off the meshes that come out.

N frames, C code.
"""

from __future__ import annotations

import numpy as np
import torch

from talkmesh.animate import CHUNK
from talkmesh.bundle import Bundle
from talkmesh.domains import Real, heard_offsets, lip_shape, seen_offsets

GAINS = (0.4, 1.6)  # beyond, codes leave what decoders have learned
HALVINGS = 7  # of that range: to within 0.01
FRAMES = 400  # looked at


@torch.no_grad()
def matching_gain(bundle: Bundle, real: Real) -> float:
    """Return the gain of the translation with which the mesh opens the lips as far as the speaker did.

    As far: the standard deviation of the inner lip gap, in neutral mouth widths, is that of the landmarks. Codes are
    those of speech where the model has E_A, else those of faces. The least error would not do for the first: where
    codes are guessed, it is reached by mumbling. Where no lips are known to move, the gain is 1.

    Parameters
    ----------
    real : clips that are not tested; for speech, ones that E_A has not learned from, for it knows those by heart
    """
    model, codes, gaps = bundle.transcoder, [], []
    every = max(sum(int(clip.good.sum()) for clip in real.clips) // FRAMES, 1)
    for clip in real.clips:
        index = np.flatnonzero(clip.good & np.isfinite(clip.shapes).all(1))[::every]
        heard = heard_offsets(model, clip, index)
        codes.append(seen_offsets(model, clip, index) if heard is None else heard)
        gaps.append(clip.shapes[index, 0])
    offsets, gap = torch.cat(codes), np.concatenate(gaps)
    if len(gap) < 2 or not gap.std():
        return 1.0
    aim, (low, high) = gap.std(), GAINS
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _opening(bundle, middle * offsets) < aim else (low, middle)
    return (low + high) / 2


def _opening(bundle: Bundle, offsets: torch.Tensor) -> float:
    """Return the standard deviation of the lip gap of the meshes of offset codes (N, C), as the camera sees them."""
    model, rig = bundle.transcoder, bundle.rig
    points = [bundle.regressor(model.synthetic(part))[:, rig.landmarks, :2] for part in offsets.split(CHUNK)]
    return float(lip_shape(torch.cat(points).numpy(), rig.neutral[rig.landmarks, :2])[:, 0].std())
