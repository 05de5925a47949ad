"""BatchNormalization in training, with the Relu that follows it, and their gradient."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.channels_last.elementwise import ELEMENTWISE
from svgd_onnx.transforms.channels_last.layout import (
    FEWEST_AXES,
    Last,
    Layout,
    Normalized,
    Rule,
    Second,
    Unmasked,
    Written,
)
from svgd_onnx.transforms.rule import RefusedError, inputs_of, known_rank, number

NORMALIZATION, GRADIENT = "BatchNormalizationTraining", "BatchNormalizationGradient"

_NORMALIZATION, _GRADIENT = "BatchNormInternal", "BatchNormalizationGrad"
_RELU, _RELU_GRADIENT = "Relu", "ReluGrad"


def _normalization(node: ir.Node, layout: Layout) -> Written:
    x, *others = inputs_of(node, 5)
    if known_rank(x) < FEWEST_AXES:
        raise RefusedError("it is of rows")
    relu = _relu_behind(node)
    attributes = {
        "epsilon": number(node, "epsilon", 1e-5),
        "momentum": number(node, "momentum", 0.9),
        "relu": int(relu is not None),
    }
    y, *statistics = layout.operator(NORMALIZATION, [layout.last(x), *others], attributes, 5)
    if relu is None:
        return [Last(y), *map(Second, statistics)]
    layout.absorbed.add(relu)
    layout.set_last(relu.outputs[0], y)
    scale, shift = others[:2]
    layout.normalized[relu.outputs[0]] = Normalized(x, scale, shift, *statistics[2:])
    return [None, *map(Second, statistics)]


def _relu_behind(node: ir.Node) -> ir.Node | None:
    """The Relu that is all that reads a normalization."""
    output = node.outputs[0]
    readers = [reader for reader, _ in output.uses()]
    alone = len(readers) == 1 and not output.is_graph_output() and readers[0].graph is node.graph
    return readers[0] if alone and readers[0].op_type == _RELU else None


def _gradient(node: ir.Node, layout: Layout) -> Written:
    """dX, and the gradients of scale and shift."""
    gradient, x, *others = inputs_of(node, 5)
    if known_rank(x) < FEWEST_AXES:
        raise RefusedError("it is of rows")
    unmasked = layout.unmasked.get(gradient)
    dy = layout.last(gradient if unmasked is None else unmasked.gradient)
    inputs = [dy, layout.last(x), *others]
    if unmasked is not None:
        inputs.append(unmasked.relu.shift)
    dx, *of_parameters = layout.operator(GRADIENT, inputs, {"relu": int(unmasked is not None)}, 3)
    return [Last(dx), *map(Second, of_parameters)]


def _relu_gradient(node: ir.Node, layout: Layout) -> Written:
    """That of a Relu behind a normalization is left to the normalization's, which reads what decides anyway."""
    gradient, y = inputs_of(node, 2)
    output = node.outputs[0]
    relu = layout.normalized.get(y)
    readers = [reader for reader, _ in output.uses()]
    if (
        relu is None
        or not readers
        or output.is_graph_output()
        or not all(_is_of(reader, relu) for reader in readers)
    ):
        return ELEMENTWISE[_RELU](node, layout)
    layout.last(gradient)
    layout.unmasked[output] = Unmasked(gradient, relu)
    return [None]


def _is_of(node: ir.Node, forward: Normalized) -> bool:
    """Whether a node is the gradient of a normalization."""
    wanted = (forward.x, forward.scale, forward.mean, forward.inverse)
    return node.op_type == _GRADIENT and all(
        one is other for one, other in zip(node.inputs[1:5], wanted)
    )


NORMALIZATIONS: dict[str, Rule] = {
    _NORMALIZATION: _normalization,
    _GRADIENT: _gradient,
    _RELU_GRADIENT: _relu_gradient,
}
