"""Convolution and its gradients, and T just before them."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from svgd_onnx.transforms.channels_last.layout import (
    FEWEST_AXES,
    Last,
    Layout,
    Rule,
    Second,
    Written,
)
from svgd_onnx.transforms.channels_last.reductions import sums_of_channels
from svgd_onnx.transforms.channels_last.windows import window_attributes
from svgd_onnx.transforms.rule import (
    RefusedError,
    fixed_sizes,
    input_of,
    inputs_of,
    integer,
    integers,
    known_rank,
    static_shape,
)

CONVOLUTION = "Convolution"
OF_INPUT = "ConvolutionInputGradient"
OF_WEIGHT = "ConvolutionWeightGradient"

_MOST_AXES = 5


def _attributes(node: ir.Node, weight: ir.Value) -> dict[str, Any]:
    """The operators' own attributes, each of which is given.

    Raises:
        RefusedError: the operators do not take the node.
    """
    rank = known_rank(weight, of="its weight")
    if not FEWEST_AXES <= rank <= _MOST_AXES:
        raise RefusedError(f"its weight has {rank} axes")
    if weight.dtype not in (None, ir.DataType.FLOAT):
        raise RefusedError(f"its weight is {weight.dtype}")
    kernel = integers(node, "kernel_shape", ()) or fixed_sizes(weight, 2, of="its weight")
    return {"group": integer(node, "group", 1), **window_attributes(node, list(kernel))}


def _convolution(node: ir.Node, layout: Layout) -> Written:
    x, weight = inputs_of(node, 2)
    attributes = _attributes(node, weight)
    inputs = [layout.last(x), weight, input_of(node, 2)]
    (y,) = layout.operator(CONVOLUTION, inputs[: len(node.inputs)], attributes)
    return [Last(y)]


def multiplies_itself(node: ir.Node, gradient: ir.Value) -> bool:
    """Whether a node takes dY times T's factors as it reads dY: it gives gradients of parameters alone."""
    if node.op_type != "ConvGrad" or node.inputs[0] is not gradient:
        return False
    try:
        _attributes(node, inputs_of(node, 3)[2])
    except RefusedError:
        return False
    return _wanted(node)[:2] == (False, True)


def _gradient(node: ir.Node, layout: Layout) -> Written:
    gradient, x, weight = inputs_of(node, 3)
    attributes = _attributes(node, weight)
    of_input, of_weight, of_bias = _wanted(node)
    scaled = layout.scaled.get(gradient)
    dy = layout.last(gradient) if scaled is None else scaled.gradient
    dx, dw, db = None, None, None
    if of_input:
        inputs = [dy, weight, last_sizes(layout, x, dy)]
        dx = Last(layout.operator(OF_INPUT, inputs, attributes)[0])
    if of_weight:
        inputs = [dy, layout.last(x)] + ([] if scaled is None else [scaled.factors])
        dw, *of_both = map(Second, layout.operator(OF_WEIGHT, inputs, attributes, 1 + of_bias))
        db = of_both[0] if of_bias else None
    elif of_bias:
        db = Second(sums_of_channels(layout.write, dy))
    return [dx, dw, db]


def _wanted(node: ir.Node) -> tuple[bool, bool, bool]:
    """Which gradients a ConvGrad gives: of the input, of the weight, of the bias."""
    given = [bool(value.name) for value in node.outputs] + [False, False]
    return given[0], given[1], given[2]


def last_sizes(layout: Layout, value: ir.Value, gradient: ir.Value) -> ir.Value:
    """The shape of a value with channels last, int64: read of it where the model does not fix its sizes.

    Args:
        layout: where it is written.
        value: as ONNX has it.
        gradient: of the same batch, read where only that is open, so that `value` need not be kept.
    """
    sizes = static_shape(value, 1)
    if sizes is None:
        return layout.write.node("Shape", layout.last(value))
    batch = layout.write.node("Shape", gradient, start=0, end=1)
    rest = layout.write.integers(*sizes[1:], sizes[0])
    return layout.write.node("Concat", batch, rest, axis=0)


CONVOLUTIONS: dict[str, Rule] = {"Conv": _convolution, "ConvGrad": _gradient}
