"""Weights that the authors of the baselines handed out, read into our networks. Nothing is unpickled but tensors.

Tried on state dicts of the same names and shapes, which the tests build; the originals have licences of their own.
T frames, V vertices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from talkmesh.errors import TalkmeshError
from talkmesh.models.faceformer import FaceFormer, FaceFormerConfig
from talkmesh.models.hearing import RATE
from talkmesh.models.meshtalk import HIDDEN, ContextModel, MultimodalEncoder, VertexUnet
from talkmesh.models.voca import SpeechToMesh


def voca(variables: Mapping[str, np.ndarray]) -> SpeechToMesh:
    """Return the network of VOCA's released checkpoint; its offsets are in metres.

    Parameters
    ----------
    variables : the checkpoint's variables by their own names (``.../SpeechEncoder/conv1/weights`` and so on). A
        TensorFlow 1 checkpoint is read where TensorFlow is: ``reader = tf.train.load_checkpoint(path)`` and
        ``np.savez("voca.npz", **{n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()})``; that file
        is opened by `files.read_npz`, without unpickling.

    Raises
    ------
    TalkmeshError
        If a variable is missing or has another shape.
    """

    def find(name: str) -> Tensor:
        found = [k for k in variables if k.endswith(name)]
        if len(found) != 1:
            raise TalkmeshError(
                f"VOCA's checkpoint should hold one variable ...{name}; it holds {len(found)}"
            )
        return torch.from_numpy(np.array(variables[found[0]], np.float32))

    def dense(name: str) -> dict[str, Tensor]:
        return {"weight": find(f"{name}/weights").T.contiguous(), "bias": find(f"{name}/biases")}

    gamma = find("SpeechEncoder/batch_norm/gamma")
    fc1, fc2, mesh = (
        dense(n) for n in ("SpeechEncoder/fc1", "SpeechEncoder/fc2", "ExpressionLayer/expression_offset")
    )
    width, speakers = len(gamma), fc1["weight"].shape[1] - 64
    network = SpeechToMesh(width, speakers, len(fc2["bias"]), len(mesh["bias"]) // 3)
    state = {
        "norm.weight": gamma,
        "norm.bias": find("SpeechEncoder/batch_norm/beta"),
        "norm.running_mean": find("SpeechEncoder/batch_norm/moving_mean"),
        "norm.running_var": find("SpeechEncoder/batch_norm/moving_variance"),
        "norm.num_batches_tracked": torch.tensor(0),
    }
    for i in range(4):
        weights = find(f"SpeechEncoder/conv{i + 1}/weights")  # (3, 1, in, out)
        state[f"convs.{i}.weight"] = weights[:, 0].permute(2, 1, 0).contiguous()
        state[f"convs.{i}.bias"] = find(f"SpeechEncoder/conv{i + 1}/biases")
    for layer, values in (("fc1", fc1), ("fc2", fc2), ("mesh", mesh)):
        state |= {f"{layer}.{k}": v for k, v in values.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise TalkmeshError(
            f"these variables are not VOCA's: {str(error).splitlines()[-1].strip()}"
        ) from None
    return network.eval()


class Wav2VecFrames(nn.Module):
    """The released speech encoder: wav2vec 2.0 whose convolutional features are brought to the frame rate before its
    transformer. Standardised samples (B, N) to features (B, T M, F)."""

    def __init__(self, model: nn.Module, audio_per_frame: int) -> None:
        super().__init__()
        self.model, self.audio_per_frame = model, audio_per_frame

    def forward(self, samples: Tensor, frames: int) -> Tensor:
        x = self.model.feature_extractor(samples)  # type: ignore[operator]  # (B, C, N')
        if self.audio_per_frame == 1:
            x = functional.interpolate(x, size=frames, mode="linear", align_corners=True)
        else:  # no resampling: 25 frames a second, 50 features
            short = max(frames * self.audio_per_frame - x.shape[2], 0)
            x = functional.pad(x, (0, short), mode="replicate")[:, :, : frames * self.audio_per_frame]
        hidden = self.model.feature_projection(x.transpose(1, 2))  # type: ignore[operator]
        hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        return self.model.encoder(hidden).last_hidden_state  # type: ignore[operator]


def faceformer(
    state: Mapping[str, Tensor], audio_per_frame: int = 1, unit_mm: float = 1000.0, encoder: object = None
) -> FaceFormer:
    """Return the model of released weights, such as ``torch.load("vocaset.pth", weights_only=True)``.

    Parameters
    ----------
    state : the checkpoint's tensors, by its own names
    audio_per_frame : 1 for VOCASET's weights, 2 for BIWI's; unit_mm : the unit of the vertices in mm, a metre for
        VOCASET's. Weights do not say either.
    encoder : a transformers `Wav2Vec2Config`; by default that of wav2vec2-base, which both have

    Raises
    ------
    TalkmeshError
        If names or shapes are not FaceFormer's.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    try:
        d, speech = state["audio_feature_map.weight"].shape
        vertices, speakers = len(state["vertice_map_r.bias"]) // 3, state["obj_vector.weight"].shape[1]
        table = state["PPE.pe"][0]  # (600 or more, D), repeated: its period is not written anywhere else
        period = 1 + int((table[1:] == table[0]).all(1).nonzero()[0])
        config = FaceFormerConfig(speech, d, 4, period, 0.1, audio_per_frame)
        heard = Wav2VecFrames(Wav2Vec2Model(encoder or Wav2Vec2Config()), audio_per_frame)  # type: ignore[arg-type]
        model = FaceFormer(config, heard, vertices, speakers)
        renamed = {_renamed(k): v for k, v in state.items() if k != "PPE.pe"}
        model.load_state_dict(renamed | {"scale": torch.tensor(unit_mm)})
    except (KeyError, IndexError, RuntimeError) as error:
        raise TalkmeshError(
            f"these weights are not a released FaceFormer's: {str(error).splitlines()[-1].strip()}"
        ) from None
    return model.eval()


def _renamed(name: str) -> str:
    """Return today's name of a tensor: transformers names the two parts of a weight-normalised one otherwise."""
    name = name.replace("audio_encoder.", "audio_encoder.model.")
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        name = name.replace(
            f"pos_conv_embed.conv.{old}", f"pos_conv_embed.conv.parametrizations.weight.{new}"
        )
    return name


def mel_chunks(samples: np.ndarray, fps: int = 30) -> Tensor:
    """Return the log-mel spectra (T, 101, 80) of the second around every frame, as the released model hears them."""
    import torchaudio

    sound = torch.from_numpy(samples.astype(np.float32))
    sound = 0.01 * sound / sound.abs().mean().clamp(min=1e-8)
    step = RATE // fps
    sound = functional.pad(sound, ((RATE - step) // 2,) * 2)
    chunks = sound.unfold(0, RATE, step)[: len(range(RATE // 2, len(sound) - RATE // 2, step))]
    mel = torchaudio.transforms.MelSpectrogram(RATE, n_fft=2048, win_length=800, hop_length=160, n_mels=80)
    return mel(chunks).clamp(min=1e-10).log().transpose(1, 2)


@dataclass(frozen=True)
class ReleasedMeshTalk:
    """The three networks of the released model: 6,172 vertices, 30 frames a second, its own unit."""

    encoder: MultimodalEncoder
    context: ContextModel
    unet: VertexUnet

    @torch.no_grad()
    def animate(self, samples: np.ndarray, neutral: np.ndarray, seed: int = 0) -> np.ndarray:
        """Return meshes (T, V, 3) of `neutral` (V, 3) speaking `samples` (16 kHz)."""
        ear = self.encoder.audio_encoder
        sound = ear.code(torch.cat([ear(chunk).mean(1) for chunk in mel_chunks(samples).split(64)]))
        drawn = self.context.sample(sound, torch.Generator().manual_seed(seed))
        return self.unet(torch.from_numpy(neutral.astype(np.float32))[None], drawn[None])[0].numpy()


def meshtalk(folder: Path) -> ReleasedMeshTalk:
    """Read encoder.pkl, context_model.pkl and vertex_unet.pkl, as handed out; tensors only, nothing is unpickled.

    Raises
    ------
    TalkmeshError
        If a file is missing, holds other things than tensors, or names and shapes are not MeshTalk's.
    """
    states = {}
    for name in ("encoder", "context_model", "vertex_unet"):
        try:
            states[name] = torch.load(folder / f"{name}.pkl", map_location="cpu", weights_only=True)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise TalkmeshError(f"{folder / name}.pkl cannot be read as weights ({reason})") from None
    try:
        vertices = states["vertex_unet"]["mean"].shape[2]
        hidden = len(states["context_model"]["embedding.masked_linear.bias"])
        heads, width = hidden // HIDDEN, states["encoder"]["audio_encoder.convert_dimensions.weight"].shape[1]
        classes = len(states["context_model"]["logits.masked_linear.bias"]) // heads
        parts = ReleasedMeshTalk(
            MultimodalEncoder(heads, classes, width, vertices),
            ContextModel(heads, classes),
            VertexUnet(heads, classes, vertices),
        )
        ears = {
            k: v for k, v in states["encoder"].items() if ".melspec." not in k
        }  # constants of the spectrum
        parts.encoder.load_state_dict(ears)
        parts.context.load_state_dict(states["context_model"])
        parts.unet.load_state_dict(states["vertex_unet"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise TalkmeshError(f"{folder}: the weights are not a released MeshTalk's: {reason}") from None
    for part in (parts.encoder, parts.context, parts.unet):
        part.eval()
    return parts
