"""Whether the translated face shows the speaker's expression: lip shapes read off D_S's pictures, against landmarks.

Pictures of 64 pixels are too small for a landmark detector. But of renders the lip shape is known, so a linear reader
of codes is fitted to them, and reads E_V(D_S(code)) as well. Nothing is learned from it: it watches the translation
while it trains, and chooses the weights that are kept.

N images, H x W pixels, C code. Lip shapes are those of `domains.lip_shape`: inner gap and mouth width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from talkmesh.models.transcoder import CHARACTER, Transcoder

RIDGE = 1e-3  # of the variance of the codes


@torch.no_grad()
def shape_reader(model: Transcoder, renders: Tensor, shapes: Tensor) -> Tensor:
    """Return the linear map (C, 2) from offset codes to lip shapes that fits renders (N, 3, H, W) best.

    It has no constant: the neutral face has the shape zero and the offset zero. Without de-neutralisation it reads
    what codes are relative to the neutral image all the same.
    """
    codes = _seen(model, renders)
    moments = codes.T @ codes / len(codes)
    moments += RIDGE * moments.diagonal().mean() * torch.eye(len(moments), device=codes.device)
    return torch.linalg.solve(moments, codes.T @ shapes.float() / len(codes))


@torch.no_grad()
def shown_shapes(model: Transcoder, offsets: Tensor, reader: Tensor) -> Tensor:
    """Return the lip shapes (N, 2) of the pictures that D_S makes of offset codes (N, C)."""
    return _seen(model, model.synthetic(offsets)) @ reader


def mismatch(shown: Tensor, wanted: Tensor) -> Tensor:
    """Return the error of lip shapes (N, 2) as a share of a still face's, mean over gap and width: 0 is perfect.

    Amplitude counts: a face that moves right and too little is wrong by what is lacking. Frames of unknown shape (NaN)
    do not count.
    """
    known = torch.isfinite(wanted).all(1)
    error, motion = (x[known].square().mean(0) for x in (shown - wanted, wanted))
    return (error / motion.clamp_min(1e-12)).sqrt().mean()


def _seen(model: Transcoder, images: Tensor) -> Tensor:
    """Return the codes (N, C) of pictures of the character, relative to that of its neutral picture."""
    return model.encoder(model.look(images, CHARACTER)).float() - model.codes_of_neutral()[CHARACTER]
