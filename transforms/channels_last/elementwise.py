"""Operators that take each element by itself: the layout is nothing to them."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.channels_last.layout import FEWEST_AXES, Last, Layout, Rule, Written
from svgd_onnx.transforms.rule import RefusedError, attributes_of, known_rank

_STANDARD = (
    *("Abs", "Add", "And", "Cast", "Ceil", "Celu", "Clip", "Cos", "Div", "Elu", "Equal", "Erf"),
    *("Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf"),
    *("IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mish", "Mod", "Mul"),
    *("Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Round", "Selu", "Sigmoid"),
    *("Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu"),
    *("Where", "Xor"),
)
_OF_TRAINING = (
    "EluGrad",
    "GeluGrad",
    "LeakyReluGrad",
    "Scale",
    "SigmoidGrad",
    "TanhGrad",
)


def element_by_element(node: ir.Node, layout: Layout) -> Written:
    """The same operator of values with channels last."""
    rank = known_rank(node.outputs[0], of="its output")
    if rank < FEWEST_AXES:
        raise RefusedError(f"it has {rank} axes")
    inputs = [None if value is None else layout.operand(value, rank) for value in node.inputs]
    attributes = attributes_of(node)
    (written,) = layout.write.nodes_with(node.op_type, inputs, attributes, 1, node.domain)
    return [Last(written)]


def _identity(node: ir.Node, layout: Layout) -> Written:
    (value,) = node.inputs
    assert value is not None
    return [Last(layout.last(value))]


ELEMENTWISE: dict[str, Rule] = {
    **dict.fromkeys((*_STANDARD, *_OF_TRAINING), element_by_element),
    "Identity": _identity,
}
