"""GPT-2 (Radford et al. 2019) that is not trained yet: position ids, a written-out GELU, a mask for each layer.

As torch.onnx writes transformers' GPT2LMHeadModel for a fixed batch: Gemm without a bias, since a bias of zeros
is dropped, all scales and shifts of LayerNormalization under two names, and the head tied to the embedding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.usual_models.attention import attention, heads
from tools.usual_models.exported import Exported, integer

EPSILON = 1e-5
LEAST = np.finfo(np.float32).min


def write(
    path: Path,
    *,
    seed: int = 0,
    batch: int = 2,
    length: int = 64,
    layers: int = 12,
    width: int = 768,
    count: int = 12,
    vocabulary: int = 50257,
    positions: int = 1024,
) -> list[str]:
    """input_ids (batch, length) -> logits (batch, length, vocabulary); the names of its parameters."""
    net = Exported(seed)
    embedding = net.weight("lm_head.weight", vocabulary, width)
    place = net.weight("transformer.wpe.weight", positions, width)
    value = net.node(
        "Add",
        net.node("Gather", embedding, net.reshape("input_ids", -1, length), axis=0),
        net.node("Gather", place, net.constant(np.arange(length)[None]), axis=0),
    )
    for layer in range(layers):
        module = f"transformer.h.{layer}"
        normal = net.layer_normalization(value, f"{module}.ln_1", width, EPSILON)
        mixed = _attention(net, normal, f"{module}.attn", batch, length, width, count)
        value = net.node("Add", mixed, value)
        normal = net.layer_normalization(value, f"{module}.ln_2", width, EPSILON)
        hidden = _rows(net, normal, f"{module}.mlp.c_fc", width, 4 * width, batch, length)
        hidden = _gelu(net, hidden)
        hidden = _rows(net, hidden, f"{module}.mlp.c_proj", 4 * width, width, batch, length)
        value = net.node("Add", value, hidden)
    value = net.layer_normalization(value, "transformer.ln_f", width, EPSILON)
    turned = net.transpose(embedding, 1, 0)
    logits = net.node("MatMul", net.reshape(value, -1, length, width), turned)
    net.rename(logits, "logits")
    shapes = {"input_ids": integer(batch, length)}
    net.save(path, shapes, {"logits": (batch, length, vocabulary)})
    return net.parameters


def _attention(
    net: Exported, value: str, module: str, batch: int, length: int, width: int, count: int
) -> str:
    size = width // count
    joined = _rows(net, value, f"{module}.c_attn", width, 3 * width, batch, length)
    parts = net.nodes("Split", joined, outputs=3, axis=2, num_outputs=3)
    query, key, content = (heads(net, each, length, count, size) for each in parts)
    mask = np.where(np.tri(length, dtype=bool), np.float32(0), LEAST).astype(np.float32)
    mask = net.constant(np.broadcast_to(mask, (batch, 1, length, length)).copy())
    mixed = attention(net, query, key, content, size=size, mask=mask)
    mixed = net.reshape(mixed, -1, length, width)
    return _rows(net, mixed, f"{module}.c_proj", width, width, batch, length)


def _rows(
    net: Exported, value: str, module: str, inputs: int, outputs: int, batch: int, length: int
) -> str:
    """Conv1D as transformers has it: a product of all rows with a weight (inputs, outputs)."""
    rows = net.reshape(value, -1, inputs)
    weight = net.weight(f"{module}.weight", inputs, outputs)
    product = net.node("Gemm", rows, weight, module=module, alpha=1.0, beta=1.0)
    return net.reshape(product, batch, length, outputs)


def _gelu(net: Exported, value: str) -> str:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    half = net.node("Mul", value, net.constant(0.5))
    cube = net.node("Mul", net.node("Pow", value, net.constant(3.0)), net.constant(0.044715))
    inner = net.node("Mul", net.node("Add", value, cube), net.constant((2 / np.pi) ** 0.5))
    return net.node("Mul", half, net.node("Add", net.node("Tanh", inner), net.constant(1.0)))
