"""BatchNormalization in training, with the Relu that follows it, and their gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import onnx_ir as ir

from svgd_onnx.transforms.channels_last.elementwise import element_by_element
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
from svgd_onnx.transforms.fast_operators import NORMALIZATION, NORMALIZATION_GRADIENT, RELU_GRADIENT
from svgd_onnx.transforms.rule import (
    RefusedError,
    attributes_of,
    inputs_of,
    known_rank,
    number,
    only_reader,
)
from svgd_onnx.transforms.writer import take_place

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
    output = (node if relu is None else relu).outputs[0]
    scale, shift = others[:2]
    mean, inverse = statistics[2:]
    layout.normalized[output] = Normalized(x, scale, shift, mean, inverse)
    if relu is None:
        return [Last(y), *map(Second, statistics)]
    layout.absorbed.add(relu)
    layout.set_last(output, y)
    return [None, *map(Second, statistics)]


def _relu_behind(node: ir.Node) -> ir.Node | None:
    """The Relu that is all that reads a normalization."""
    reader = only_reader(node.outputs[0])
    return reader if reader is not None and reader.op_type == _RELU else None


def _relu(node: ir.Node, layout: Layout) -> Written:
    """Part of a normalization, if it is of the sum of one and something else that nothing else reads."""
    (total,) = inputs_of(node, 1)
    addition = total.producer()
    if addition is None or addition.op_type != "Add" or only_reader(total) is not node:
        return element_by_element(node, layout)
    terms = inputs_of(addition, 2)
    for term, other in (terms, reversed(terms)):
        if (
            term in layout.normalized
            and layout.has_last(term)
            and only_reader(term) is addition
            and _are_of_one_shape(term, other)
        ):
            return [Last(_of_sum(layout, term, other, node.outputs[0]))]
    return element_by_element(node, layout)


def _are_of_one_shape(one: ir.Value, other: ir.Value) -> bool:
    """Whether two values are known to have the same sizes."""
    if one.shape is None or other.shape is None or list(one.shape) != list(other.shape):
        return False
    return all(isinstance(size, int) or size.value for size in one.shape)


def _of_sum(layout: Layout, term: ir.Value, other: ir.Value, output: ir.Value) -> ir.Value:
    """Writes a normalization once more, here where what is added to it is there."""
    first = layout.last(term).producer()
    assert first is not None and first.op_type == NORMALIZATION
    attributes = {**attributes_of(first), "relu": 1}
    inputs = [*first.inputs[:5], layout.last(other)]
    y, *statistics = layout.operator(NORMALIZATION, inputs, attributes, 5)
    for old, new in zip(first.outputs[1:], statistics):
        take_place(new, old)
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    before = layout.normalized[term]
    layout.normalized[output] = replace(
        before, mean=statistics[2], inverse=statistics[3], added=True
    )
    return y


def _gradient(node: ir.Node, layout: Layout) -> Written:
    """dX, and the gradients of scale and shift."""
    if node in layout.finished:
        return layout.finished[node]
    gradient, x, *others = inputs_of(node, 5)
    if known_rank(x) < FEWEST_AXES:
        raise RefusedError("it is of rows")
    unmasked = layout.unmasked.get(gradient)
    dy = layout.last(gradient if unmasked is None else unmasked.gradient)
    inputs = [dy, layout.last(x), *others]
    if unmasked is not None:
        inputs.append(unmasked.relu.shift)
    dx, *of_parameters = layout.operator(
        NORMALIZATION_GRADIENT, inputs, {"relu": int(unmasked is not None)}, 3
    )
    return [Last(dx), *map(Second, of_parameters)]


def _relu_gradient(node: ir.Node, layout: Layout) -> Written:
    """That of a Relu behind a normalization is left to the normalization's, which reads what decides anyway."""
    gradient, y = inputs_of(node, 2)
    if y.dtype not in (None, ir.DataType.FLOAT):
        raise RefusedError(f"it is of {y.dtype}")
    output = node.outputs[0]
    relu = layout.normalized.get(y)
    if relu is not None and relu.added:
        of_norm = [reader for reader in _readers(output) if _is_of(reader, relu)]
        if len(of_norm) == 1:
            return _gradient_of_sum(layout, gradient, y, relu, of_norm[0])
    readers = [reader for reader, _ in output.uses()]
    if (
        relu is None
        or relu.added
        or not readers
        or output.is_graph_output()
        or not all(_is_of(reader, relu) for reader in readers)
    ):
        (dx,) = layout.operator(RELU_GRADIENT, [layout.last(gradient), layout.last(y)], {})
        return [Last(dx)]
    layout.last(gradient)
    layout.unmasked[output] = Unmasked(gradient, relu)
    return [None]


def _readers(value: ir.Value) -> Iterator[ir.Node]:
    """The nodes that read a value, as it is or under another name."""
    for reader, _ in value.uses():
        if reader.op_type == "Identity":
            yield from _readers(reader.outputs[0])
        elif reader.graph is value.graph:
            yield reader


def _gradient_of_sum(
    layout: Layout, gradient: ir.Value, y: ir.Value, relu: Normalized, of_norm: ir.Node
) -> Written:
    """Relu's gradient, which both terms have, and with it that of the normalization."""
    of_channels = [relu.scale, relu.mean, relu.inverse, relu.shift]
    inputs = [layout.last(gradient), layout.last(relu.x), *of_channels, layout.last(y)]
    dx, d_scale, d_shift, masked = layout.operator(NORMALIZATION_GRADIENT, inputs, {"relu": 1}, 4)
    layout.finished[of_norm] = [Last(dx), Second(d_scale), Second(d_shift)]
    return [Last(masked)]


def _is_of(node: ir.Node, forward: Normalized) -> bool:
    """Whether a node is the gradient of a normalization."""
    wanted = (forward.x, forward.scale, forward.mean, forward.inverse)
    return node.op_type == _GRADIENT and all(
        one is other for one, other in zip(node.inputs[1:5], wanted)
    )


NORMALIZATIONS: dict[str, Rule] = {
    _NORMALIZATION: _normalization,
    _GRADIENT: _gradient,
    _RELU: _relu,
    _RELU_GRADIENT: _relu_gradient,
}
