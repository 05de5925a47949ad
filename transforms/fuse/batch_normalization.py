"""BatchNormalization of rows, whose channels are last as they are, with its Relu, and their gradient."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.fast_operators import NORMALIZATION, NORMALIZATION_GRADIENT, RELU_GRADIENT
from svgd_onnx.transforms.fuse.operator import operator
from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    Written,
    inputs_of,
    known_rank,
    number,
    only_reader,
)
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Writer


def _normalization(node: ir.Node, write: Writer) -> Written:
    inputs = inputs_of(node, 5)
    _check_rows(inputs[0])
    attributes = {
        "epsilon": number(node, "epsilon", 1e-5),
        "momentum": number(node, "momentum", 0.9),
        "relu": 0,
    }
    return operator(write, NORMALIZATION, inputs, attributes, 5)


def _check_rows(x: ir.Value) -> None:
    if known_rank(x) != 2:
        raise RefusedError("its channels are not last")


def _relu(node: ir.Node, write: Writer) -> Written:
    """Part of the normalization before it, if nothing else reads that."""
    (x,) = inputs_of(node, 1)
    before = x.producer()
    if before is None or not _is_normalization(before) or only_reader(x) is not node:
        raise RefusedError("it is not of a normalization alone")
    before.attributes["relu"] = ir.AttrInt64("relu", 1)
    return [x]


def _is_normalization(node: ir.Node) -> bool:
    return node.domain == DOMAIN and node.op_type == NORMALIZATION


def _gradient(node: ir.Node, write: Writer) -> Written:
    """dX and the gradients of scale and shift, and with them Relu's, since x says what it let through."""
    inputs = inputs_of(node, 5)
    _check_rows(inputs[1])
    unmasked = _unmasked(*inputs)
    if unmasked is not None:
        dy, shift = unmasked
        inputs = [dy, *inputs[1:], shift]
    return operator(write, NORMALIZATION_GRADIENT, inputs, {"relu": int(unmasked is not None)}, 3)


def _unmasked(
    gradient: ir.Value, x: ir.Value, scale: ir.Value, mean: ir.Value, inverse: ir.Value
) -> tuple[ir.Value, ir.Value] | None:
    """dY behind the Relu that the normalization of x has, if it has one, and the shift before it."""
    masking = gradient.producer()
    if masking is None or (masking.domain, masking.op_type) != (DOMAIN, RELU_GRADIENT):
        return None
    dy, y = inputs_of(masking, 2)
    forward = y.producer()
    if forward is None or not _is_normalization(forward) or len(forward.inputs) > 5:
        return None
    found = (*forward.inputs[:2], *forward.outputs[3:5])
    if any(one is not other for one, other in zip(found, (x, scale, mean, inverse))):
        return None
    return dy, inputs_of(forward, 3)[2]


BATCH_NORMALIZATION: dict[str, Rule] = {
    "BatchNormInternal": _normalization,
    "BatchNormalizationGrad": _gradient,
    "Relu": _relu,
}
