"""Transformers in the form that onnxruntime's optimizer writes."""

from __future__ import annotations

import numpy as np
import onnx
from models import Network
from onnx import TensorProto, helper

_DOMAIN = "com.microsoft"


def bert(hidden: int, layers: int = 2, words: int = 50, classes: int = 3) -> onnx.ModelProto:
    """ids, segments, mask (batch, length) -> y (batch, classes), by an encoder that was fused."""
    net = Network()

    def fused(op_type: str, *inputs: str, **attributes: object) -> str:
        value = net.node(op_type, *inputs, **attributes)
        net.nodes[-1].domain = _DOMAIN
        return value

    def normalization(name: str) -> tuple[str, str]:
        return net.weight(f"{name}.scale", hidden, mean=1.0), net.weight(f"{name}.shift", hidden)

    def matrix(name: str, rows: int, columns: int) -> str:
        return net.weight(name, rows, columns, scale=rows**-0.5)

    tables = [
        net.weight(f"{name}.table", size, hidden)
        for name, size in (("words", words), ("positions", 16), ("segments", 2))
    ]
    value = fused(
        "EmbedLayerNormalization",
        "ids",
        "segments",
        *tables,
        *normalization("embedding"),
        "mask",
        epsilon=1e-5,
    )
    net.nodes[-1].output.append("lengths")
    for layer in range(layers):
        name = f"layer{layer}"
        attended = fused(
            "Attention",
            value,
            matrix(f"{name}.qkv", hidden, 3 * hidden),
            net.weight(f"{name}.qkv.bias", 3 * hidden),
            "lengths",
            num_heads=4,
            unidirectional=0,
            do_rotary=0,
        )
        projected = net.node("MatMul", attended, matrix(f"{name}.out", hidden, hidden))
        value = fused(
            "SkipLayerNormalization",
            projected,
            value,
            *normalization(f"{name}.first"),
            net.weight(f"{name}.out.bias", hidden),
            epsilon=1e-5,
        )
        wide = net.node("MatMul", value, matrix(f"{name}.up", hidden, 4 * hidden))
        wide = fused("BiasGelu", wide, net.weight(f"{name}.up.bias", 4 * hidden))
        narrow = net.node("MatMul", wide, matrix(f"{name}.down", 4 * hidden, hidden))
        value = fused(
            "SkipLayerNormalization",
            narrow,
            value,
            *normalization(f"{name}.second"),
            net.weight(f"{name}.down.bias", hidden),
            epsilon=1e-5,
        )
    first = net.node("Gather", value, net.constant("first", np.array(0)), axis=1)
    head = (matrix("head", hidden, classes), net.weight("head.bias", classes))
    net.node("Gemm", first, *head, output="y")
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "length"])
        for name in ("ids", "segments", "mask")
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", classes])]
    graph = helper.make_graph(net.nodes, "encoder", inputs, outputs, net.initializers)
    opsets = [helper.make_opsetid("", 14), helper.make_opsetid(_DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def bert_batch(examples: int, length: int = 12, words: int = 50) -> dict[str, np.ndarray]:
    """A batch for it, of sequences of different lengths, and labels."""
    random = np.random.default_rng(0)
    lengths = random.integers(3, length + 1, examples)
    shape = (examples, length)
    return {
        "ids": random.integers(words, size=shape).astype(np.int32),
        "segments": random.integers(2, size=shape).astype(np.int32),
        "mask": (np.arange(length) < lengths[:, None]).astype(np.int32),
        "labels": random.integers(3, size=examples),
    }
