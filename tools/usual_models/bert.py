"""BERT (Devlin et al., arXiv 1810.04805) for classification, not trained yet, of a fixed or an open length.

As torch.onnx writes transformers' BertForSequenceClassification: token types are gathered from constants, the
mask by GatherND, weights are transposed in advance, and vectors of zeros, be they shifts or biases, are one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.usual_models.attention import attention, heads
from tools.usual_models.exported import Exported, integer

EPSILON = 1e-12
LEAST = float(np.finfo(np.float32).min)


def write(
    path: Path,
    *,
    seed: int = 0,
    batch: int = 2,
    length: int = 64,
    layers: int = 12,
    width: int = 768,
    count: int = 12,
    vocabulary: int = 30522,
    positions: int = 512,
    is_open: bool = False,
) -> list[str]:
    """input_ids and attention_mask (batch, length) -> logits (batch, 2); the names of its parameters."""
    net = Exported(seed)
    sizes = None
    if is_open:
        sizes = (
            net.node("Shape", "input_ids", start=0, end=1),
            net.node("Shape", "attention_mask", start=1, end=2),
        )
    value = _embedding(net, batch, length, width, vocabulary, positions, sizes)
    mask = _mask(net, batch, length, sizes)
    for layer in range(layers):
        module = f"bert.encoder.layer.{layer}"
        mixed = _attention(net, value, f"{module}.attention", length, width, count, mask, sizes)
        value = net.node("Add", mixed, value)
        name = f"{module}.attention.output.LayerNorm"
        value = net.layer_normalization(value, name, width, EPSILON)
        hidden = net.linear(value, f"{module}.intermediate.dense", width, 4 * width)
        hidden = net.node("Gelu", hidden, approximate="none")
        hidden = net.linear(hidden, f"{module}.output.dense", 4 * width, width)
        value = net.node("Add", hidden, value)
        value = net.layer_normalization(value, f"{module}.output.LayerNorm", width, EPSILON)
    first = net.node("Gather", value, net.constant(np.array(0)), axis=1)
    weight = net.weight("bert.pooler.dense.weight", width, width)
    pooled = net.node("Tanh", net.node("Gemm", first, weight, transB=1))
    weight = net.weight("classifier.weight", 2, width)
    net.rename(net.node("Gemm", pooled, weight, transB=1), "logits")
    shape = ("batch", "length") if is_open else (batch, length)
    inputs = {name: integer(*shape) for name in ("input_ids", "attention_mask")}
    net.save(path, inputs, {"logits": (shape[0], 2)})
    return net.parameters


def _embedding(
    net: Exported,
    batch: int,
    length: int,
    width: int,
    vocabulary: int,
    positions: int,
    sizes: tuple[str, str] | None,
) -> str:
    words = net.weight("bert.embeddings.word_embeddings.weight", vocabulary, width)
    places = net.weight("bert.embeddings.position_embeddings.weight", positions, width)
    types = net.weight("bert.embeddings.token_type_embeddings.weight", 2, width)
    zeros = net.constant(np.zeros((1, positions), np.int64))
    ids = np.arange(positions)[None]
    if sizes is None:
        at, whole = net.constant(ids[:, :length]), net.integers(batch, length)
    else:
        one = net.integers(1)
        at = net.node("Slice", net.constant(ids), net.integers(0), sizes[1], one, one)
        whole = net.node("Concat", *sizes, axis=0)
    kinds = net.node("Expand", net.node("GatherElements", zeros, at, axis=1), whole)
    value = net.node(
        "Add",
        net.node("Gather", words, "input_ids", axis=0),
        net.node("Gather", types, kinds, axis=0),
    )
    value = net.node("Add", value, net.node("Gather", places, at, axis=0))
    return net.layer_normalization(value, "bert.embeddings.LayerNorm", width, EPSILON)


def _mask(net: Exported, batch: int, length: int, sizes: tuple[str, str] | None) -> str:
    """What is added to the scores, (batch, 1, 1, length): the least number where the mask hides."""
    seen = net.node("Cast", "attention_mask", to=9)
    if sizes is None:
        at = np.stack(np.meshgrid(np.arange(batch), np.arange(length), indexing="ij"), axis=-1)
        chosen = net.node("GatherND", seen, net.constant(at[:, None, None]), batch_dims=0)
    else:
        zero, one = net.constant(np.array(0)), net.constant(np.array(1))
        ranges = [net.node("Range", zero, net.node("Squeeze", size), one) for size in sizes]
        row = net.node("Unsqueeze", ranges[0], net.integers(1, 2, 3))
        column = net.node("Unsqueeze", ranges[1], net.integers(0, 1, 2))
        shape = net.node("Shape", net.node("Max", row, column), start=0)
        last = net.integers(-1)
        parts = [
            net.node("Unsqueeze", net.node("Expand", each, shape), last) for each in (row, column)
        ]
        at = net.node("Concat", *parts, axis=-1)
        chosen = net.node("GatherND", seen, at, batch_dims=0)
    hidden = net.node("And", net.constant(np.array(True)), chosen)
    return net.node("Where", hidden, net.constant(0.0), net.constant(LEAST))


def _attention(
    net: Exported,
    value: str,
    module: str,
    length: int,
    width: int,
    count: int,
    mask: str,
    sizes: tuple[str, str] | None,
) -> str:
    parts = [
        net.linear(value, f"{module}.self.{name}", width, width)
        for name in ("query", "key", "value")
    ]
    if sizes is None:
        turned = [heads(net, each, length, count, width // count) for each in parts]
    else:
        split = net.node(
            "Concat", *sizes, net.integers(count), net.integers(width // count), axis=0
        )
        turned = [
            net.transpose(net.node("Reshape", each, split, allowzero=1), 0, 2, 1, 3)
            for each in parts
        ]
    mixed = attention(net, *turned, size=width // count, mask=mask)
    if sizes is None:
        mixed = net.reshape(mixed, -1, length, width)
    else:
        joined = net.node("Concat", *sizes, net.integers(-1), axis=0)
        mixed = net.node("Reshape", mixed, joined, allowzero=1)
    return net.linear(mixed, f"{module}.output.dense", width, width)
