"""The operators that are linear in a weight, and on which T acts."""

from __future__ import annotations

# Operator -> the inputs that are weights. In all of them the output is linear in each of these
# inputs, and the first axis of the output is the batch.
WEIGHT_INPUTS: dict[str, frozenset[int]] = {
    "Gemm": frozenset({0, 1}),
    "MatMul": frozenset({0, 1}),
    "Conv": frozenset({1}),
}

# Operator -> what its other parameter inputs are, for the reason that a report gives.
_ROLES: dict[tuple[str, int], str] = {
    ("Gemm", 2): "bias",
    ("Conv", 2): "bias",
    ("Add", 0): "bias",
    ("Add", 1): "bias",
    ("BatchNormalization", 1): "scale",
    ("BatchNormalization", 2): "shift",
    ("LayerNormalization", 1): "scale",
    ("LayerNormalization", 2): "shift",
}


def role(op_type: str, position: int) -> str:
    """What a parameter is to an operator: 'weight', 'bias', 'scale', 'shift' or 'parameter'."""
    if position in WEIGHT_INPUTS.get(op_type, ()):
        return "weight"
    return _ROLES.get((op_type, position), "parameter")
