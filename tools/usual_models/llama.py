"""Blocks of Llama (Touvron et al., arXiv 2302.13971) with grouped queries: RMSNorm, rotary positions, SwiGLU.

As torch.onnx writes transformers' LlamaForCausalLM for an open batch: RMSNorm as Pow, ReduceMean, Sqrt and
Reciprocal, cosines and sines as constants, the causal mask compared from positions, keys spread by Expand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.usual_models.attention import attention, heads
from tools.usual_models.exported import Exported, integer

EPSILON, BASE = 1e-6, 10_000.0
LEAST = float(np.finfo(np.float32).min)


def write(
    path: Path,
    *,
    seed: int = 0,
    length: int = 32,
    layers: int = 1,
    width: int = 2048,
    count: int = 32,
    groups: int = 8,
    hidden: int = 5632,
    vocabulary: int = 2000,
) -> list[str]:
    """input_ids (batch, length) -> logits (batch, length, vocabulary); the names of its parameters."""
    net = Exported(seed)
    size = width // count
    rows = net.weight("model.embed_tokens.weight", vocabulary, width)
    value = net.node("Gather", rows, "input_ids", axis=0)
    mask = _mask(net, length)
    angles = np.arange(length)[:, None] * BASE ** (-np.arange(0, size, 2) / size)
    angles = np.concatenate([angles, angles], axis=-1)[None, None]
    rotation = [net.constant(f(angles).astype(np.float32)) for f in (np.cos, np.sin)]
    for layer in range(layers):
        module = f"model.layers.{layer}"
        normal = _rms(net, value, f"{module}.input_layernorm", width)
        query, key, content = (
            heads(net, _product(net, normal, width, each * size), length, each, size)
            for each in (count, groups, groups)
        )
        query, key = (_rotated(net, each, rotation, size) for each in (query, key))
        key, content = (
            _spread(net, each, length, groups, count // groups, size) for each in (key, content)
        )
        mixed = attention(net, query, key, content, size=size, mask=mask)
        mixed = net.reshape(mixed, -1, length, width)
        value = net.node("Add", value, _product(net, mixed, width, width))
        normal = _rms(net, value, f"{module}.post_attention_layernorm", width)
        gate = _product(net, normal, width, hidden)
        gate = net.node("Mul", gate, net.node("Sigmoid", gate))
        inner = net.node("Mul", gate, _product(net, normal, width, hidden))
        value = net.node("Add", value, _product(net, inner, hidden, width))
    value = _rms(net, value, "model.norm", width)
    net.rename(_product(net, value, width, vocabulary), "logits")
    shape = ("batch", length)
    net.save(path, {"input_ids": integer(*shape)}, {"logits": (*shape, vocabulary)})
    return net.parameters


def _product(net: Exported, value: str, inputs: int, outputs: int) -> str:
    return net.node("MatMul", value, net.weight(None, inputs, outputs))


def _rms(net: Exported, value: str, module: str, size: int) -> str:
    square = net.node("Pow", value, net.constant(2.0))
    mean = net.node("ReduceMean", square, net.integers(-1), keepdims=1)
    root = net.node("Sqrt", net.node("Add", mean, net.constant(EPSILON)))
    normal = net.node("Mul", value, net.node("Reciprocal", root))
    return net.node("Mul", net.vector(f"{module}.weight", 1, size), normal, module=module)


def _mask(net: Exported, length: int) -> str:
    """(batch, 1, length, length), by comparing the positions of queries and keys."""
    ids = np.arange(length)
    first = net.node("Shape", "input_ids", start=0, end=1)
    places = net.node(
        "Expand",
        net.constant(ids[None]),
        net.node("Concat", first, net.integers(1), axis=0),
    )
    query = net.node("Unsqueeze", places, net.integers(1, 3))
    key = net.node("Unsqueeze", places, net.integers(1, 2))
    seen = net.node("And", net.constant(np.array(True)), net.node("LessOrEqual", key, query))
    return net.node("Where", seen, net.constant(0.0), net.constant(LEAST))


def _rotated(net: Exported, value: str, rotation: list[str], size: int) -> str:
    half, axis, one = net.integers(size // 2), net.integers(3), net.integers(1)
    low = net.node("Slice", value, net.integers(0), half, axis, one)
    high = net.node("Slice", value, half, net.integers(2**63 - 1), axis, one)
    turned = net.node("Concat", net.node("Neg", high), low, axis=-1)
    return net.node(
        "Add", net.node("Mul", value, rotation[0]), net.node("Mul", turned, rotation[1])
    )


def _spread(net: Exported, value: str, length: int, groups: int, times: int, size: int) -> str:
    """Each head of keys for several of queries: (N, groups, ...) -> (N, groups * times, ...)."""
    first = net.node("Shape", "input_ids", start=0, end=1)
    sizes = [net.integers(each) for each in (groups, times, length, size)]
    whole = net.node("Concat", first, *sizes, axis=0)
    spread = net.node("Expand", net.node("Unsqueeze", value, net.integers(2)), whole)
    return net.reshape(spread, -1, groups * times, length, size)
