"""Released weights: state dicts of the originals' names and shapes, read into our networks."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from slow_layers import arrays, randomised
from talkmesh.errors import TalkmeshError
from talkmesh.models import released
from talkmesh.models.faceformer import positions
from talkmesh.models.hearing import RATE
from talkmesh.models.meshtalk import ContextModel, MultimodalEncoder, VertexUnet
from talkmesh.models.voca import SpeechToMesh

V = 13


def voca_variables(width: int = 29, speakers: int = 8, code: int = 50) -> dict[str, np.ndarray]:
    """Variables with the names and shapes of the TensorFlow checkpoint."""
    rng = np.random.default_rng(0)
    shapes = {
        "SpeechEncoder/batch_norm/" + n: (width,) for n in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    channels = (width + speakers, 32, 32, 64, 64)
    for i in range(4):
        shapes[f"SpeechEncoder/conv{i + 1}/weights"] = (3, 1, channels[i], channels[i + 1])
        shapes[f"SpeechEncoder/conv{i + 1}/biases"] = (channels[i + 1],)
    for name, a, b in (
        ("SpeechEncoder/fc1", 64 + speakers, 128),
        ("SpeechEncoder/fc2", 128, code),
        ("ExpressionLayer/expression_offset", code, 3 * V),
    ):
        shapes |= {f"{name}/weights": (a, b), f"{name}/biases": (b,)}
    found = {f"VOCA/{k}": rng.random(s).astype(np.float32) - 0.2 * ("conv" in k) for k, s in shapes.items()}
    return found | {"VOCA/global_step": np.zeros(())}


def test_voca() -> None:
    variables = voca_variables()
    net = released.voca(variables)
    x, who = torch.randn(2, 16, 29), torch.eye(8)[:2]
    # TensorFlow's layouts: time, 1, in, out; in, out
    v = {k.removeprefix("VOCA/"): a.astype(float) for k, a in variables.items()}
    for n in range(2):
        bn = {
            k: v[f"SpeechEncoder/batch_norm/{k}"] for k in ("gamma", "beta", "moving_mean", "moving_variance")
        }
        h = (x[n].numpy() - bn["moving_mean"]) / np.sqrt(bn["moving_variance"] + 1e-5) * bn["gamma"] + bn[
            "beta"
        ]
        h = np.concatenate([h, np.tile(who[n], (16, 1))], 1)
        for i in range(1, 5):
            w, b = v[f"SpeechEncoder/conv{i}/weights"], v[f"SpeechEncoder/conv{i}/biases"]
            h = np.concatenate([h, np.zeros((1, h.shape[1]))])
            h = np.stack([sum(h[s + k] @ w[k, 0] for k in range(3)) + b for s in range(0, len(h) - 2, 2)])
            h = np.maximum(h, 0)
        h = np.concatenate([h[0], who[n]])
        h = np.tanh(h @ v["SpeechEncoder/fc1/weights"] + v["SpeechEncoder/fc1/biases"])
        h = h @ v["SpeechEncoder/fc2/weights"] + v["SpeechEncoder/fc2/biases"]
        h = h @ v["ExpressionLayer/expression_offset/weights"] + v["ExpressionLayer/expression_offset/biases"]
        np.testing.assert_allclose(net(x, who)[n].detach().numpy(), h.reshape(V, 3), rtol=1e-3, atol=1e-3)


def test_voca_of_other_sizes_is_read_and_a_broken_one_is_not(tmp_path) -> None:
    assert isinstance(released.voca(voca_variables(width=7, speakers=2, code=3)), SpeechToMesh)
    lacking = voca_variables()
    del lacking["VOCA/SpeechEncoder/conv2/biases"]
    with pytest.raises(TalkmeshError, match="conv2/biases; it holds 0"):
        released.voca(lacking)
    wrong = voca_variables() | {"VOCA/SpeechEncoder/conv3/biases": np.zeros(5, np.float32)}
    with pytest.raises(TalkmeshError, match=r"not VOCA's.*convs\.2\.bias"):
        released.voca(wrong)


def wav2vec2_config() -> object:
    from transformers import Wav2Vec2Config

    return Wav2Vec2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(16,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip


def faceformer_state(period: int, ear: nn.Module, d: int = 16, speakers: int = 8) -> dict[str, torch.Tensor]:
    """Tensors with the names and shapes that FaceFormer's `state_dict` had with transformers 4.6."""
    torch.manual_seed(0)
    layer = nn.TransformerDecoderLayer(d, 4, 2 * d, batch_first=True)
    state = {}
    for name, part in (
        ("audio_encoder", ear),
        ("audio_feature_map", nn.Linear(24, d)),
        ("vertice_map", nn.Linear(3 * V, d)),
        ("transformer_decoder", nn.TransformerDecoder(layer, 1)),
        ("vertice_map_r", nn.Linear(d, 3 * V)),
        ("obj_vector", nn.Linear(speakers, d, bias=False)),
    ):
        state |= {f"{name}.{k}": v for k, v in part.state_dict().items()}
    conv = "audio_encoder.encoder.pos_conv_embed.conv."
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        state[conv + old] = state.pop(conv + new)
    return state | {"PPE.pe": positions(period, d).repeat(600 // period + 1, 1)[None]}


@pytest.mark.parametrize(("period", "audio_per_frame"), [(30, 1), (25, 2)])
def test_faceformer(period: int, audio_per_frame: int, tmp_path) -> None:
    from transformers import Wav2Vec2Model

    ear = Wav2Vec2Model(wav2vec2_config()).eval()
    torch.save(faceformer_state(period, ear), tmp_path / "released.pth")
    state = torch.load(tmp_path / "released.pth", weights_only=True)
    model = released.faceformer(state, audio_per_frame, 1000.0, wav2vec2_config())
    assert (model.config.period, model.config.width, len(model.obj_vector.weight[0])) == (period, 16, 8)
    frames = 12
    samples = torch.randn(1, 9000)
    with torch.no_grad():
        got = model(samples, torch.eye(8)[:1], torch.zeros(1, V, 3), frames)
        # the wave through transformers' own parts, at the frames' rate before its transformer
        x = ear.feature_extractor(samples)
        if audio_per_frame == 1:
            x = functional.interpolate(x, frames, mode="linear", align_corners=True)
        hidden = ear.encoder(ear.feature_projection(x[:, :, : frames * audio_per_frame].transpose(1, 2))[0])[
            0
        ]
        memory = functional.linear(hidden, state["audio_feature_map.weight"], state["audio_feature_map.bias"])
        expected = 1000 * model.plain_loop(memory, state["obj_vector.weight"][:, 0][None]).view(
            1, frames, V, 3
        )
    torch.testing.assert_close(got, expected, atol=1e-2, rtol=1e-3)


def test_other_weights_are_not_taken_for_faceformers() -> None:
    from transformers import Wav2Vec2Model

    state = faceformer_state(30, Wav2Vec2Model(wav2vec2_config()))
    with pytest.raises(TalkmeshError, match="not a released FaceFormer's"):
        released.faceformer(
            {k: v for k, v in state.items() if k != "vertice_map.bias"}, encoder=wav2vec2_config()
        )
    with pytest.raises(TalkmeshError, match=r"not a released FaceFormer's.*audio_feature_map"):
        released.faceformer({})


def meshtalk_files(folder, vertices: int = V, heads: int = 2, classes: int = 8) -> None:
    """The three files of the released model, at other sizes; the real one has 6172, 16 and 128."""
    from torchaudio.transforms import MelSpectrogram

    parts = {
        "encoder": MultimodalEncoder(heads, classes, 80, vertices),
        "context_model": ContextModel(heads, classes),
        "vertex_unet": VertexUnet(heads, classes, vertices),
    }
    states = {k: dict(randomised(part).state_dict()) for k, part in parts.items()}
    mel = MelSpectrogram(RATE, n_fft=2048, win_length=800, hop_length=160, n_mels=80)
    states["encoder"] |= {f"audio_encoder.melspec.{k}": v for k, v in mel.state_dict().items()}
    for name, state in states.items():
        torch.save(state, folder / f"{name}.pkl")


def test_meshtalk(tmp_path) -> None:
    meshtalk_files(tmp_path)
    model = released.meshtalk(tmp_path)
    saved = torch.load(tmp_path / "encoder.pkl", weights_only=True)
    for name, value in arrays(model.encoder).items():
        np.testing.assert_array_equal(value, saved[name].double().numpy())
    samples = 0.1 * np.sin(np.arange(RATE) / 30)
    neutral = np.random.default_rng(0).standard_normal((V, 3))
    a, b = (model.animate(samples, neutral, seed=s) for s in (0, 0))
    assert a.shape == (30, V, 3)  # a second at 30 frames a second
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, model.animate(samples, neutral, seed=1))


def test_meshtalk_of_its_real_size_has_the_names_and_shapes_of_the_original(tmp_path) -> None:
    """As read in the public code, layer by layer."""
    with torch.device("meta"):
        encoder, context, unet = (
            MultimodalEncoder(16, 128, 80, 6172),
            ContextModel(16, 128),
            VertexUnet(16, 128, 6172),
        )
    shapes = {k: tuple(v.shape) for part in (encoder, context, unet) for k, v in part.state_dict().items()}
    assert shapes["audio_encoder.convert_dimensions.weight"] == (128, 80, 5)
    assert shapes["audio_encoder.convs.5.weight"] == (128, 128, 5)
    assert shapes["expression_encoder.layers.0.weight"] == (256, 18_516)
    assert shapes["fusion_model.mlp.4.weight"] == (2048, 256)
    assert shapes["context_layers.3.historic.weight"] == (1024, 1024, 2)
    assert shapes["context_layers.0.mask"] == (1024, 1024, 1)
    assert shapes["embedding.unmasked_linear.weight"] == (1024, 128, 1)
    assert shapes["logits.masked_linear.weight"] == (2048, 1024, 1)
    assert shapes["temporal.weight_hh_l1"] == (512, 128)
    assert shapes["decoder.2.weight"] == (18_516, 512)
    assert shapes["vertex_bias"] == (18_516,)


def test_chunks_are_a_second_about_each_frame() -> None:
    samples = np.zeros(2 * RATE, np.float32)
    samples[RATE : RATE + 200] = 0.5
    chunks = released.mel_chunks(samples)
    assert chunks.shape == (60, 101, 80)
    for frame in (20, 30, 40):  # the click is at the place in the second that its time says
        at = 50 + (RATE + 100 - (frame * 533 + 266)) / 160
        assert abs(int(chunks[frame].mean(1).argmax()) - at) <= 3


def test_what_cannot_be_read_says_so(tmp_path) -> None:
    meshtalk_files(tmp_path)
    torch.save({"a": torch.zeros(2)}, tmp_path / "context_model.pkl")
    with pytest.raises(TalkmeshError, match="not a released MeshTalk's"):
        released.meshtalk(tmp_path)
    (tmp_path / "encoder.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")  # a pickle that would run a command
    with pytest.raises(TalkmeshError, match=r"encoder\.pkl cannot be read as weights"):
        released.meshtalk(tmp_path)
