"""The speech encoder E_A: sound to one 512-d offset code a video frame (section 3.2 of the paper).

The paper's z_A is this offset plus the neutral code of the real domain, so that eq. 1 holds as printed.

A front end turns 16 kHz samples into features at the times of the video frames; a transformer encoder with a bounded
context turns them into codes. Frame j is shown from j / fps to (j + 1) / fps; its features are read at the middle.

B batch, S samples, T video frames, F features, D model width, C code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json
from talkmesh.models.hearing import (
    AFTER,
    BEFORE,
    BLOCK,
    LEVEL_TARGET,
    MELS,
    PHONEMES,
    POSTERIORS,
    RATE,
    SPECTROGRAM,
    Listener,
    Reader,
    frame_times,
    levelled,
)

LOUDNESS = 10 ** (LEVEL_TARGET / 20)  # about the standard deviation of levelled speech
FAMILY = ("wav2vec2", "hubert", "wavlm")  # of transformers' kinds of models
KERNEL = 9  # frames, of the convolution by which positions enter


@dataclass(frozen=True)
class SpeechConfig:
    """front_end : `hama` phoneme posteriors, `log_mel`, both side by side, or `wav2vec2` (any wav2vec 2.0, HuBERT or
    WavLM checkpoint through transformers, as in the paper; a download); checkpoint : its hub name or folder,
    or a config.json alone for random weights;
    per_frame : feature vectors read per video frame, spread evenly over it; context : frames that attention sees to
    either side, per layer."""

    front_end: Literal["hama", "log_mel", "hama_log_mel", "wav2vec2"]
    checkpoint: str
    per_frame: int
    width: int
    layers: int
    heads: int
    context: int
    dropout: float

    def __post_init__(self) -> None:
        if not (0 < self.layers <= 100 and 0 < self.width <= 65_536 and 0 < self.per_frame <= 100):
            raise TalkmeshError(
                "E_A has 1 to 100 layers, of width 1 to 65536, and reads 1 to 100 vectors a frame"
            )
        if self.heads < 1 or self.width % self.heads or self.context < 0:
            raise TalkmeshError(
                f"E_A: a width of {self.width} is not shared by {self.heads} heads, or context is below 0"
            )


def check_front_end(path: Path) -> None:
    """Raise a `TalkmeshError` unless `path` describes a network of the wav2vec 2.0 family, of a size that can be built.

    It is beside the weights: nothing is fetched for a stored model, and no code but that of transformers is run.
    """
    found = read_json(path)
    fine = isinstance(found, dict) and found.get("model_type") in FAMILY and "auto_map" not in found
    layers = found.get("num_hidden_layers", 12) if fine else 0
    if type(layers) is not int or not 0 < layers <= 100 or len(str(found)) > 100_000:
        raise TalkmeshError(
            f"{path} describes no model of the kinds {', '.join(FAMILY)}; copy the model whole"
        )


def check_sound(samples: np.ndarray) -> None:
    """Raise a `TalkmeshError` unless samples are (S,), finite and at least 0.1 s."""
    if samples.ndim != 1 or len(samples) < RATE // 10:
        raise TalkmeshError(f"the sound is too short: {samples.size / RATE:.2f} s, at least 0.1 s is needed")
    if not np.isfinite(samples).all():
        raise TalkmeshError("the sound holds NaN or infinite samples")


def features(samples: np.ndarray, frames: int, fps: float, config: SpeechConfig) -> np.ndarray:
    """Return what the speech encoder is fed for a clip.

    Parameters
    ----------
    samples : (S,) float32 in [-1, 1], 16 kHz mono
    frames, fps : of the video (or of the wanted animation)

    Returns
    -------
    (frames, F) float32; but for `wav2vec2` the levelled samples (S,), whose network is part of the model and reads
    them at the frame times itself.

    Raises
    ------
    TalkmeshError
        If the sound is shorter than 0.1 s or holds NaN.
    """
    check_sound(samples)
    if config.front_end == "wav2vec2":
        return levelled(samples) / LOUDNESS
    listener = Listener(readers(config), fps, config.per_frame)
    parts = [listener.push(samples)]
    parts.append(listener.finish(max(frames, listener.frames)))
    return np.concatenate([part for part in parts if len(part)])[:frames]


def readers(config: SpeechConfig) -> list[Reader]:
    """Return the fixed front ends of a configuration."""
    chosen = [(POSTERIORS, "hama"), (SPECTROGRAM, "log_mel")]
    return [reader for reader, name in chosen if name in config.front_end]


class FrontEnd(nn.Module):
    """What `features` returns, made features (B, T, F) at the frames' times.

    Phonemes and spectra (B, T, F) pass as they are; samples (B, S) go through the pre-trained network.
    """

    def __init__(self, config: SpeechConfig, fps: float) -> None:
        super().__init__()
        self.config, self.fps = config, fps
        self.network: nn.Module | None = None
        if config.front_end == "wav2vec2":
            self.network, width = _pretrained(config.checkpoint)
        else:
            width = PHONEMES * ("hama" in config.front_end) + MELS * ("log_mel" in config.front_end)
        self.width = width * config.per_frame

    def forward(self, x: Tensor, frames: int | None = None) -> Tensor:
        if self.network is None:
            return x
        if frames is None:
            raise ValueError("a trainable front end needs the number of video frames")
        hidden = self.network(x).last_hidden_state  # (B, N, D), 320 samples apart and centred on 200
        times = torch.from_numpy(frame_times(frames, self.fps, self.config.per_frame)).to(hidden.device)
        position = ((times * RATE - 200) / 320).clamp(0, hidden.shape[1] - 1)
        low = position.long().clamp(max=max(hidden.shape[1] - 2, 0))
        part = (position - low)[None, :, None].to(hidden.dtype)
        high = (low + 1).clamp(max=hidden.shape[1] - 1)
        return (hidden[:, low] * (1 - part) + hidden[:, high] * part).reshape(len(hidden), frames, -1)

    def listener(self) -> Listener:
        """Return what gives the features of frames in order, from the first sample on, as sound arrives."""
        if self.network is None:
            return Listener(readers(self.config), self.fps, self.config.per_frame)
        # this network sees all it is given, so it is given what it had in training: a few seconds
        hidden = Reader(self._hidden, 320, 200, BLOCK, BEFORE, AFTER)
        return Listener([hidden], self.fps, self.config.per_frame)

    @torch.inference_mode()
    def _hidden(self, samples: np.ndarray) -> np.ndarray:
        assert self.network is not None
        fed = torch.from_numpy(samples / LOUDNESS)[None].to(next(self.network.parameters()).device)
        fed = functional.pad(fed, (0, max(400 - fed.shape[1], 0)))  # one window of its first layers
        return self.network(fed).last_hidden_state[0].float().cpu().numpy()


class SpeechEncoder(nn.Module):
    """E_A: features (B, T, F) or samples (B, S) to codes (B, T, C).

    Attention reaches `context` frames to either side in each layer and positions enter by a depthwise convolution,
    so the code of a frame depends on a bounded neighbourhood only: windows and the whole give the same function.
    Codes are predicted about the mean and in units of the spread of those that E_A is to follow (`measure`).
    """

    mean: Tensor  # (C,)
    spread: Tensor  # ()

    def __init__(self, config: SpeechConfig, code: int, fps: float) -> None:
        super().__init__()
        self.config = config
        self.front_end = FrontEnd(config, fps)
        self.embed = nn.Linear(self.front_end.width, config.width)
        self.position = nn.Conv1d(
            config.width, config.width, KERNEL, padding=KERNEL // 2, groups=config.width
        )
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            4 * config.width,
            config.dropout,
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(config.width), False)
        self.code = nn.Linear(config.width, code)
        self.register_buffer("mean", torch.zeros(code))
        self.register_buffer("spread", torch.ones(()))

    @torch.no_grad()
    def measure(self, codes: Tensor) -> None:
        """Start from the mean and the spread of `codes` (N, C): else learning to be as large takes most steps."""
        self.mean.copy_(codes.mean(0))
        self.spread.copy_(codes.var(0).mean().sqrt())

    @property
    def reach(self) -> int:
        """Frames to either side on which a code depends: windows with this margin compute the same as the whole."""
        return self.config.layers * self.config.context + KERNEL // 2

    def forward(self, x: Tensor, frames: int | None = None) -> Tensor:
        return self.encode(self.front_end(x, frames))

    def encode(self, x: Tensor) -> Tensor:
        """Turn features (B, T, F) into codes (B, T, C)."""
        x = self.embed(x)  # (B, T, D)
        x = x + functional.gelu(self.position(x.transpose(1, 2)).transpose(1, 2))
        index = torch.arange(x.shape[1], device=x.device)
        far = (index[:, None] - index[None]).abs() > self.config.context  # (T, T), True = not seen
        return self.mean + self.spread * self.code(self.layers(x, mask=far))


def _pretrained(checkpoint: str) -> tuple[nn.Module, int]:
    """Load a wav2vec 2.0 family checkpoint from the hub or a folder, its convolutional part frozen, and its width."""
    from transformers import AutoConfig, AutoModel

    try:
        if checkpoint.endswith(
            "config.json"
        ):  # what a stored model has of it: its weights are with the others
            model = AutoModel.from_config(AutoConfig.from_pretrained(checkpoint))
        else:
            model = AutoModel.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TalkmeshError(
            f"speech checkpoint '{checkpoint}' cannot be loaded ({reason}); give a hub name that is reachable, a "
            "local folder, or set transcoder.speech.front_end to hama"
        ) from None
    if not hasattr(model, "feature_extractor"):
        raise TalkmeshError(
            f"'{checkpoint}' is no wav2vec 2.0, HuBERT or WavLM model: it has no feature extractor"
        )
    for parameter in model.feature_extractor.parameters():
        parameter.requires_grad_(False)
    # masking of time spans is a pre-training device: it would blank speech that the lips do follow
    model.config.apply_spec_augment = False
    return model, int(model.config.hidden_size)
