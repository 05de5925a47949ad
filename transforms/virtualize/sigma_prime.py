"""sigma-prime: the operations that take a trainable parameter directly, and what T does to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.differentiate.separate_rearrangements import REARRANGEMENTS
from svgd_onnx.transforms.virtualize.linear_operators import role

STATE_PREFIX = "svgd.r."


@dataclass(frozen=True)
class ParameterUse:
    """One operation that takes one trainable parameter: an element of sigma-prime (paper Sec. 2).

    Attributes:
        parameter: the parameter's name.
        input: the graph input that stands for it in this operation (its own name if used once).
        node: the operation's name.
        op_type: its operator.
        output: its output, the hidden value of sigma-prime.
        output_shape: that output's shape; symbolic axes as strings, unknown ones as None.
        role: what the parameter is to it: 'weight', 'bias', 'scale', 'shift' or 'parameter'.
        reason: why T acts here, or why it is the identity.
        state: name of r, or None where T is the identity.
        state_shape: r's shape, the output's without its batch axis.
    """

    parameter: str
    input: str
    node: str
    op_type: str
    output: str
    output_shape: tuple[object, ...] | None
    role: str
    reason: str
    state: str | None = None
    state_shape: tuple[int, ...] = ()


def sigma_prime(
    graph: ir.Graph, copies: Mapping[str, Sequence[str]], virtual: bool = True
) -> list[ParameterUse]:
    """Finds sigma-prime, in the graph's order, and decides T for each of its elements.

    Args:
        graph: the forward graph, shapes inferred, each trainable input used once.
        copies: trainable parameter -> the graph inputs that stand for it.
        virtual: whether the training is SVGD at all; if not, T is the identity everywhere.

    Raises:
        UserError: the shape of r is not known.
    """
    parameters = {
        name: (parameter, f"{STATE_PREFIX}{parameter}" + (f".{index}" if len(names) > 1 else ""))
        for parameter, names in copies.items()
        for index, name in enumerate(names)
    }
    standing_for = {value: value.name for value in graph.inputs if value.name in parameters}
    uses = []
    for node in graph:
        for position, value in enumerate(node.inputs):
            name = standing_for.get(value) if value is not None else None
            if name is None:
                continue
            if node.op_type in REARRANGEMENTS and position == 0:
                # a transposed weight is the weight still
                standing_for[node.outputs[0]] = name
            else:
                parameter, state = parameters[name]
                uses.append(_decide(parameter, name, node, position, state, virtual))
    return uses


def _decide(
    parameter: str, name: str, node: ir.Node, position: int, state: str, virtual: bool
) -> ParameterUse:
    output = node.outputs[0]
    shape = None if output.shape is None else tuple(_plain(dim) for dim in output.shape)
    what = role(node.op_type, position)
    decided = ParameterUse(
        parameter=parameter,
        input=name,
        node=node.name or "",
        op_type=node.op_type,
        output=output.name or "",
        output_shape=shape,
        role=what,
        reason=f"linear in its {what}",
        state=state,
    )
    if not virtual:
        return _identity(decided, "the optimizer is not svgd")
    if what != "weight":
        return _identity(decided, f"{what}: T acts on weights only")
    if shape is None or not all(isinstance(dim, int) for dim in shape[1:]):
        raise UserError(
            f"{node.op_type} '{node.name}': the shape of its output '{output.name}' is "
            f"{_show(shape)}, but r needs every axis after the first to be fixed: export the "
            f"model with fixed sizes, or leave '{parameter}' out with --freeze."
        )
    return _with_shape(decided, tuple(int(dim) for dim in shape[1:]))  # type: ignore[call-overload]


def _plain(dim: object) -> object:
    if isinstance(dim, ir.SymbolicDim):
        return dim.value
    return dim


def _show(shape: tuple[object, ...] | None) -> str:
    return "unknown" if shape is None else "(" + ", ".join(str(dim or "?") for dim in shape) + ")"


def _identity(use: ParameterUse, reason: str) -> ParameterUse:
    return ParameterUse(**{**vars(use), "reason": reason, "state": None})


def _with_shape(use: ParameterUse, shape: tuple[int, ...]) -> ParameterUse:
    return ParameterUse(**{**vars(use), "state_shape": shape})
