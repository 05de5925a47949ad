"""The gradient of Softmax in one pass over its rows, with what it is multiplied by."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.fuse.operator import operator
from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    Written,
    attributes_of,
    constant_value,
    inputs_of,
    integer,
    known_rank,
    only_reader,
)
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Writer

GRADIENT = "SoftmaxGradient"


def _gradient(node: ir.Node, write: Writer) -> Written:
    gradient, y = inputs = inputs_of(node, 2)
    axes = known_rank(y, gradient)
    if integer(node, "axis", -1) % axes != axes - 1:
        raise RefusedError("its axis is not the last")
    return operator(write, GRADIENT, inputs)


def _product(node: ir.Node, write: Writer) -> Written:
    """Part of the gradient before it, if it is by one number, and nothing else reads that."""
    for value, other in (node.inputs[:2], node.inputs[1::-1]):
        before = None if value is None else value.producer()
        if before is None or (before.domain, before.op_type) != (DOMAIN, GRADIENT):
            continue
        factor = constant_value(other)
        if factor is None or factor.size != 1 or factor.ndim > known_rank(inputs_of(before, 2)[1]):
            continue
        if "scale" in before.attributes or only_reader(before.outputs[0]) is not node:
            continue
        attributes = {**attributes_of(before), "scale": float(factor.reshape(()))}
        return operator(write, GRADIENT, inputs_of(before, 2), attributes)
    raise RefusedError("it is not of a gradient of Softmax and a number")


SOFTMAX: dict[str, Rule] = {"Mul": _product, "SoftmaxGrad_13": _gradient}
