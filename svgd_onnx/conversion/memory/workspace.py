"""Memory that a node takes while it runs, beside its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import onnx

_WIDTH = 4
# Of custom_ops/cpu/convolution/weight_gradient_plan.cc: partial sums of a weight's gradient.
_PANEL, _BLOCK, _MOST_SUMS, _MOST_PARTS = 16, 160, 1 << 20, 24

Shapes = Mapping[str, tuple[int, ...]]


def workspace(node: onnx.NodeProto, shapes: Shapes) -> tuple[int, int]:
    """The bytes that a node works in, as they grow with the batch, and the most that they grow to.

    Args:
        node: of a step.
        shapes: of all values.
    """
    rule = _RULES.get(node.op_type)
    numbers, most = (0, 0) if rule is None else rule(node, shapes)
    return _WIDTH * numbers, _WIDTH * most


def _packed_weight(node: onnx.NodeProto, shapes: Shapes) -> tuple[int, int]:
    numbers = prod(shapes[node.input[1]])
    return numbers, numbers


def _partial_sums(node: onnx.NodeProto, shapes: Shapes) -> tuple[int, int]:
    """Of parts of the pixels, each of one block or more."""
    outputs, *others = shapes[node.output[0]]
    sums = -(-outputs // _PANEL) * _PANEL * (prod(others) + 1)
    pixels = prod(shapes[node.input[0]][:-1])
    return sums * pixels // _BLOCK, sums * max(1, min(_MOST_SUMS // sums, _MOST_PARTS))


def _unfolded_image(node: onnx.NodeProto, shapes: Shapes) -> tuple[int, int]:
    """onnxruntime's gradient of a convolution unfolds one image after the other."""
    dy, weight = shapes[node.input[0]], shapes[node.input[2]]
    numbers = prod(weight[1:]) * prod(dy[2:])
    return numbers, numbers


_RULES: Mapping[str, Callable[[onnx.NodeProto, Shapes], tuple[int, int]]] = {
    "ConvGrad": _unfolded_image,
    "Convolution": _packed_weight,
    "ConvolutionInputGradient": _packed_weight,
    "ConvolutionWeightGradient": _partial_sums,
}
