"""The axis that the last layer of a model gives its outputs along."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.quantization import FAKE_QUANTIZE
from svgd_onnx.transforms.rule import constant_value

# Of a layer's output: the axis with an entry for each of its outputs.
_LAYERS = {"Conv": 1, "ConvTranspose": 1, "Gemm": -1, "MatMul": -1}
# What leaves all where it is.
_UNMOVING = frozenset(
    f"""BatchNormalization Cast Clip Dropout Elu Erf Exp {FAKE_QUANTIZE} Gelu HardSigmoid HardSwish Identity
    LayerNormalization LeakyRelu Log LogSoftmax Neg Relu Selu Sigmoid Softmax Softplus Softsign Sqrt
    Tanh""".split()
)
_WITH_A_CONSTANT = frozenset({"Add", "Div", "Mul", "Sub"})
_RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


def axis_of_last_layer(logits: ir.Value) -> tuple[int, ir.Node] | None:
    """Along which axis of the logits the layer that they come from gives its outputs, and its node.

    None where they come from no layer with a weight, or what is behind it leaves open where that axis is.
    """
    steps: list[ir.Node] = []
    value: ir.Value | None = logits
    while value is not None and (node := value.producer()) is not None:
        if node.op_type in _LAYERS:
            if not _is_weight(node.inputs[1]) or value.shape is None:
                return None
            axis = _behind(_LAYERS[node.op_type] % len(value.shape), steps)
            return None if axis is None else (axis, node)
        steps.insert(0, node)
        value = _followed(node)
    return None


def _followed(node: ir.Node) -> ir.Value | None:
    """The input whose axes the output has."""
    if node.op_type in _UNMOVING | _RESHAPING | {"Transpose"}:
        return node.inputs[0]
    data = [each for each in node.inputs if not _is_weight(each)]
    if node.op_type not in _WITH_A_CONSTANT or len(data) != 1 or data[0] is None:
        return None
    before, after = data[0].shape, node.outputs[0].shape
    same = before is not None and after is not None and len(before) == len(after)
    return data[0] if same else None


def _is_weight(value: ir.Value | None) -> bool:
    """Whether a value is a parameter or a constant, be it turned or quantized."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type not in _UNMOVING | _RESHAPING | {"Transpose", "DequantizeLinear"}:
            return constant_value(value) is not None
        value = node.inputs[0]
    return value is not None and value.is_initializer()


def _behind(axis: int, steps: Sequence[ir.Node]) -> int | None:
    """Where an axis is behind some steps; None where that cannot be told."""
    for step in steps:
        if step.op_type == "Transpose":
            value = step.inputs[0]
            assert value is not None and value.shape is not None
            given = step.attributes.get("perm")
            turned = range(len(value.shape))[::-1] if given is None else given.as_ints()
            axis = list(turned).index(axis)
        elif step.op_type in _RESHAPING:
            moved = _reshaped(axis, step)
            if moved is None:
                return None
            axis = moved
    return axis


def _reshaped(axis: int, step: ir.Node) -> int | None:
    value = step.inputs[0]
    assert value is not None
    if value.shape is None or step.outputs[0].shape is None:
        return None
    before, after = list(value.shape), list(step.outputs[0].shape)
    if before[: axis + 1] == after[: axis + 1] and None not in before[: axis + 1]:
        return axis
    at_end = len(before) - axis
    same = before[axis:] == after[-at_end:]
    return (
        len(after) - at_end
        if same and all(isinstance(each, int) for each in before[axis:])
        else None
    )
