"""The operators that are linear in a parameter: what it is to them, and where their channels are."""

from __future__ import annotations

import onnx_ir as ir

# An Einsum has fewer.
_MOST_FACTORS = 26

# Operator -> its inputs in which the output is linear, and what a parameter there is.
LINEAR_INPUTS: dict[str, dict[int, str]] = {
    "Add": {0: "bias", 1: "bias"},
    "BatchNormalization": {1: "scale", 2: "shift"},
    "Conv": {1: "weight", 2: "bias"},
    "ConvTranspose": {1: "weight", 2: "bias"},
    "Einsum": dict.fromkeys(range(_MOST_FACTORS), "factor"),
    "Gather": {0: "embedding"},
    "Gemm": {0: "weight", 1: "weight", 2: "bias"},
    "GroupNormalization": {1: "scale", 2: "shift"},
    "InstanceNormalization": {1: "scale", 2: "shift"},
    "LayerNormalization": {1: "scale", 2: "shift"},
    "MatMul": {0: "weight", 1: "weight"},
    "Mul": {0: "scale", 1: "scale"},
    "PRelu": {1: "slope"},
    "Sub": {0: "bias", 1: "bias"},
}

# Operators whose output has its channels on axis 1; all others have them on the last axis.
_CHANNELS_FIRST = frozenset(
    {
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "GroupNormalization",
        "InstanceNormalization",
        "PRelu",
    }
)


def role(op_type: str, position: int) -> str | None:
    """What a parameter is to an operator that is linear in it, or None if it is not linear."""
    return LINEAR_INPUTS.get(op_type, {}).get(position)


def channel_axis(op_type: str, rank: int) -> int:
    """The axis of an operator's output that has an entry for each channel."""
    return 1 if op_type in _CHANNELS_FIRST else rank - 1


def weight_channel_axis(node: ir.Node, position: int) -> int | None:
    """The axis of a weight that makes the channels of the operator's output, each from its own slice.

    A channel's factor on the output's gradient then is that factor on the slice's gradient. None
    where the weight is not known to fall apart so.
    """
    value = node.inputs[position]
    rank = len(value.shape) if value is not None and value.shape is not None else 0
    if position != 1:
        return None
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        transposed = node.attributes.get("transB")
        return 0 if transposed is not None and transposed.as_int() else 1
    if node.op_type == "MatMul" and rank == 2:
        return 1
    return None
