"""Layers written out in numpy, sample by sample: what networks are compared with."""

import numpy as np
import torch


def arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """The weights of a network in double precision."""
    return {k: v.detach().double().numpy() for k, v in module.state_dict().items()}


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The network with no weight left at zero or one, ready for use."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator))
    return module.eval()


def sub(w: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k[len(prefix) + 1 :]: v for k, v in w.items() if k.startswith(prefix + ".")}


def dense(w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    return x @ w["weight"].T + w.get("bias", 0.0)


def leaky(x: np.ndarray, slope: float = 0.2) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_norm(w: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * w["weight"] + w["bias"]


def conv(w: dict[str, np.ndarray], x: np.ndarray, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """x (L, in) to (L', out), no padding."""
    taps = w["weight"].shape[2]
    starts = range(0, len(x) - dilation * (taps - 1), stride)
    return np.stack(
        [sum(w["weight"][:, :, k] @ x[s + k * dilation] for k in range(taps)) + w["bias"] for s in starts]
    )


def attention(w: dict[str, np.ndarray], x: np.ndarray, memory: np.ndarray, seen) -> np.ndarray:
    """x (T, D) attends to memory (N, D); seen(head, i) yields pairs (j, bias)."""
    d = x.shape[1]
    parts = [w["in_proj_weight"][i * d : (i + 1) * d] for i in range(3)]
    biases = [w["in_proj_bias"][i * d : (i + 1) * d] for i in range(3)]
    q, k, v = (a @ m.T + b for a, m, b in zip((x, memory, memory), parts, biases, strict=True))
    heads = w["heads"]
    n = d // heads
    out = np.zeros_like(x)
    for i in range(len(x)):
        for h in range(heads):
            own = slice(h * n, (h + 1) * n)
            js, bias = zip(*seen(h, i), strict=True)
            weight = softmax(
                np.array([q[i, own] @ k[j, own] / np.sqrt(n) + b for j, b in zip(js, bias, strict=True)])
            )
            out[i, own] = sum(a * v[j, own] for a, j in zip(weight, js, strict=True))
    return dense(sub(w, "out_proj"), out)


def decoder_layer(w, heads: int, x: np.ndarray, memory: np.ndarray, own, cross) -> np.ndarray:
    """A transformer decoder layer, norms after: x (T, D), memory (N, D)."""
    x = layer_norm(sub(w, "norm1"), x + attention(sub(w, "self_attn") | {"heads": heads}, x, x, own))
    x = layer_norm(
        sub(w, "norm2"), x + attention(sub(w, "multihead_attn") | {"heads": heads}, x, memory, cross)
    )
    inner = np.maximum(dense(sub(w, "linear1"), x), 0)
    return layer_norm(sub(w, "norm3"), x + dense(sub(w, "linear2"), inner))


def lstm(w: dict[str, np.ndarray], x: np.ndarray, layers: int = 1) -> np.ndarray:
    """x (T, D) to (T, hidden)."""

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    for layer in range(layers):
        ih, hh, bi, bh = (w[f"{n}_l{layer}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h = c = np.zeros(hh.shape[1])
        out = []
        for row in x:
            i, f, g, o = np.split(ih @ row + bi + hh @ h + bh, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        x = np.stack(out)
    return x
