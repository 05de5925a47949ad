"""The operators that are linear in a parameter: what it is to them, and where their channels are."""

from __future__ import annotations

# Operator -> its inputs in which the output is linear, and what a parameter there is.
LINEAR_INPUTS: dict[str, dict[int, str]] = {
    "Add": {0: "bias", 1: "bias"},
    "BatchNormalization": {1: "scale", 2: "shift"},
    "Conv": {1: "weight", 2: "bias"},
    "ConvTranspose": {1: "weight", 2: "bias"},
    "Einsum": {0: "factor", 1: "factor"},
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
