"""The speech encoder E_A: sound to one 512-d offset code a video frame (section 3.2 of the paper).

The paper's z_A is this offset plus the neutral code of the real domain, so that eq. 1 holds as printed.

A front end turns 16 kHz samples into features at the times of the video frames; a transformer encoder with a bounded
context turns them into codes. Frame j is shown from j / fps to (j + 1) / fps; its features are read at the middle.

B batch, S samples, T video frames, F features, D model width, C code.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.errors import TalkmeshError

RATE = 16_000  # Hz
HAMA_HOP = 320  # samples between two phoneme posteriors: 20 ms, centred on multiples of the hop
MEL_HOP = 160  # samples between two mel frames: 10 ms, centred
MELS = 80
PHONEMES = 191  # hama's classes
LOG_FLOOR = -12.0  # natural logarithm; posteriors below are noise


@dataclass(frozen=True)
class SpeechConfig:
    """front_end : `hama` phoneme posteriors, `log_mel`, both side by side, or `wav2vec2` (any wav2vec 2.0, HuBERT or
    WavLM checkpoint through transformers, as in the paper; a download); checkpoint : its hub name or folder;
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


def frame_times(frames: int, fps: float, per_frame: int) -> np.ndarray:
    """Return the (frames * per_frame,) times in seconds at which features are read: no drift, whatever the rate."""
    return (np.arange(frames * per_frame) + 0.5) / (fps * per_frame)


def read_at(features: np.ndarray, hop: int, times: np.ndarray) -> np.ndarray:
    """Linear interpolation of features (N, F), centred on multiples of `hop` samples, at `times` (M,): (M, F)."""
    position = np.clip(times * RATE / hop, 0, len(features) - 1)
    low = np.minimum(position.astype(int), max(len(features) - 2, 0))
    part = (position - low)[:, None].astype(np.float32)
    return features[low] * (1 - part) + features[np.minimum(low + 1, len(features) - 1)] * part


@functools.cache
def _hama() -> object:
    from hama.asr import ASRModel

    return ASRModel()


def phoneme_posteriors(samples: np.ndarray) -> np.ndarray:
    """Return the log posteriors (N, 191) of hama's phoneme classes, one every 20 ms, scaled to about [-1, 1]."""
    model: object = _hama()
    feeds = {
        model._waveform_input_name: samples[None].astype(np.float32),  # type: ignore[attr-defined]
        model._waveform_lengths_input_name: np.array([len(samples)]),  # type: ignore[attr-defined]
    }
    outputs = model.session.run([model._log_probs_output_name], feeds)  # type: ignore[attr-defined]
    # the engine reuses its output buffer, so the copy that the arithmetic makes is needed
    return np.maximum(np.array(outputs[0][0], np.float32), LOG_FLOOR) / (-LOG_FLOOR / 2) + 1


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram (N, 80), one frame every 10 ms, level-normalised over the clip."""
    import torchaudio

    transform = torchaudio.transforms.MelSpectrogram(RATE, n_fft=400, hop_length=MEL_HOP, n_mels=MELS)
    mel = torch.log(transform(torch.from_numpy(samples.astype(np.float32))).T + 1e-5).numpy()
    return ((mel - mel.mean()) / 4.0).astype(np.float32)


def features(samples: np.ndarray, frames: int, fps: float, config: SpeechConfig) -> np.ndarray:
    """Return what the speech encoder is fed for a clip.

    Parameters
    ----------
    samples : (S,) float32 in [-1, 1], 16 kHz mono
    frames, fps : of the video (or of the wanted animation)

    Returns
    -------
    (frames, F) float32; but for `wav2vec2` the standardised samples (S,) for `wav2vec2`, whose network is part
    of the model and reads them at the frame times itself.

    Raises
    ------
    TalkmeshError
        If the sound is shorter than 0.1 s or holds NaN.
    """
    if samples.ndim != 1 or len(samples) < RATE // 10:
        raise TalkmeshError(f"the sound is too short: {samples.size / RATE:.2f} s, at least 0.1 s is needed")
    if not np.isfinite(samples).all():
        raise TalkmeshError("the sound holds NaN or infinite samples")
    samples = samples.astype(np.float32)
    if config.front_end == "wav2vec2":
        return (samples - samples.mean()) / (samples.std() + 1e-5)
    times = frame_times(frames, fps, config.per_frame)
    read = []
    if "hama" in config.front_end:
        read.append(read_at(phoneme_posteriors(samples), HAMA_HOP, times))
    if "log_mel" in config.front_end:
        read.append(read_at(log_mel(samples), MEL_HOP, times))
    return np.concatenate(read, 1).reshape(frames, -1).astype(np.float32)


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
        self.position = nn.Conv1d(config.width, config.width, 9, padding=4, groups=config.width)
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

    def forward(self, x: Tensor, frames: int | None = None) -> Tensor:
        x = self.embed(self.front_end(x, frames))  # (B, T, D)
        x = x + functional.gelu(self.position(x.transpose(1, 2)).transpose(1, 2))
        index = torch.arange(x.shape[1], device=x.device)
        far = (index[:, None] - index[None]).abs() > self.config.context  # (T, T), True = not seen
        return self.mean + self.spread * self.code(self.layers(x, mask=far))


def _pretrained(checkpoint: str) -> tuple[nn.Module, int]:
    """Load a wav2vec 2.0 family checkpoint from the hub or a folder, its convolutional part frozen, and its width."""
    from transformers import AutoModel

    try:
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
