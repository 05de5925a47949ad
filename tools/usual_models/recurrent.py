"""LSTM and GRU layers whose weights reach them through Slice, Concat and Unsqueeze.

As torch.onnx writes torch.nn.LSTM and GRU of a hidden size of 64 and more: PyTorch's order of gates is changed
to ONNX's by operators, since the exporter folds only smaller constants; the two biases are one tensor.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.usual_models.exported import Exported, real

# PyTorch's gates in ONNX's order: i, f, g, o -> i, o, f, g; r, z, n -> z, r, n.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def write(
    path: Path,
    kind: str,
    *,
    seed: int = 0,
    batch: int = 2,
    length: int = 32,
    inputs: int = 64,
    hidden: int = 128,
    classes: int = 10,
) -> list[str]:
    """sequence (batch, length, inputs) -> logits (batch, classes); the names of its parameters."""
    net = Exported(seed)
    deviation = hidden**-0.5
    rows = len(GATES[kind]) * hidden
    weights = [
        _reordered(net, net.weight(f"layer.{name}", rows, width, deviation=deviation), kind, hidden)
        for name, width in (("weight_ih_l0", inputs), ("weight_hh_l0", hidden))
    ]
    bias = net.weight(None, 1, 2 * rows, deviation=deviation)
    start = net.constant(np.zeros((1, batch, hidden), np.float32))
    attributes = {"hidden_size": hidden, "direction": "forward", "layout": 0}
    states = [start, start] if kind == "LSTM" else [start]
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    turned = net.transpose("sequence", 1, 0, 2)
    given = [turned, *weights, bias, "", *states]
    value = net.node(kind, *given, module="layer", **attributes)
    value = net.reshape(net.transpose(value, 0, 2, 1, 3), length, batch, hidden)
    last = net.node("Gather", net.transpose(value, 1, 0, 2), net.constant(np.array(-1)), axis=1)
    head = net.weight("head.weight", classes, hidden, deviation=deviation)
    shift = net.weight("head.bias", classes, deviation=deviation)
    net.rename(net.node("Gemm", last, head, shift, transB=1), "logits")
    shapes = {"sequence": real(batch, length, inputs)}
    net.save(path, shapes, {"logits": (batch, classes)})
    return net.parameters


def _reordered(net: Exported, weight: str, kind: str, hidden: int) -> str:
    axis = net.integers(0)
    gates = [
        net.node(
            "Slice", weight, net.integers(gate * hidden), net.integers((gate + 1) * hidden), axis
        )
        for gate in GATES[kind]
    ]
    return net.node("Unsqueeze", net.node("Concat", *gates, axis=0), axis)
