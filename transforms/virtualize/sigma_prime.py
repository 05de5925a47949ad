"""sigma-prime: the operations that take a trainable parameter directly, and what T does to each."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import onnx_ir as ir

from svgd_onnx.errors import UserError, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.bodies import all_nodes, has_rows
from svgd_onnx.transforms.names import LABEL, gradient_name
from svgd_onnx.transforms.rearrangements import hands_on
from svgd_onnx.transforms.virtualize.linear_operators import (
    channel_axis,
    role,
    weight_channel_axis,
)
from svgd_onnx.transforms.virtualize.settings import ALL_LINEAR, WEIGHTS, VirtualGradientSettings

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
        position: the parameter's place among its inputs.
        role: what the parameter is to it: 'weight', 'bias', 'scale', ...; or 'parameter'.
        reason: why T acts here, or why it is the identity.
        state: name of r, or None where T is the identity.
        state_shape: r's shape.
        channel_axis: the output's axis that r has entries for, or None if r has the output's shape.
        weight_axis: the parameter's axis of the output's channels where T had better act on the
            parameter's gradient, which is smaller than that of the output; None for the output's.
        open_axes: names of the output's axes that are the reason why r is of each channel; none where
            that was asked for.
    """

    parameter: str
    input: str
    node: str
    op_type: str
    output: str
    position: int
    role: str
    reason: str
    state: str | None = None
    state_shape: tuple[int, ...] = ()
    channel_axis: int | None = None
    weight_axis: int | None = None
    open_axes: tuple[str, ...] = ()


def sigma_prime(
    graph: ir.Graph,
    copies: Mapping[str, Sequence[str]],
    settings: VirtualGradientSettings,
    gradients: ir.Graph | None = None,
    *,
    factors_last: bool = False,
) -> list[ParameterUse]:
    """Finds sigma-prime, in the graph's order, and decides T for each of its elements.

    Args:
        graph: the forward graph, shapes inferred, each trainable input used once.
        copies: trainable parameter -> the graph inputs that stand for it.
        settings: where T acts, and how finely.
        gradients: the gradient graph, which says where it has dY: not behind a step or aside of the loss,
            and of operations in bodies not always that of all turns. T cannot act where it has not; in
            bodies neither if it is not given.
        factors_last: whether T's factors come after a parameter's gradient wherever they may, and not only
            where that is less to compute.

    Raises:
        UserError: the shape of r is not known, or a glob of `t_scope` matches nothing.
    """
    parameters = {
        name: (parameter, f"{STATE_PREFIX}{parameter}" + (f".{index}" if len(names) > 1 else ""))
        for parameter, names in copies.items()
        for index, name in enumerate(names)
    }
    standing_for = {value: value.name for value in graph.inputs if value.name in parameters}
    batch_is_open = any(
        _is_open(value)
        for value in graph.inputs
        if value.name not in parameters and not value.meta.get(LABEL)
    )
    _check_globs(settings, copies)
    known = None if gradients is None else _names(gradients)
    uses = []
    for node in all_nodes(graph):
        in_body = node.graph is not graph
        state_of_node: ParameterUse | None = None
        for position, value in enumerate(node.inputs):
            name = standing_for.get(value) if value is not None else None
            if name is None:
                continue
            if hands_on(node, position):
                # a transposed weight is the weight still
                standing_for[node.outputs[0]] = name
                continue
            parameter, state = parameters[name]
            use = ParameterUse(
                parameter=parameter,
                input=name,
                node=node.name or "",
                op_type=node.op_type,
                output=node.outputs[0].name or "",
                position=position,
                role=role(node.op_type, position) or "parameter",
                reason="",
            )
            reason = _identity(use, node, settings, batch_is_open)
            if reason is None and in_body:
                reason = _identity_in_body(use, node, known or ())
            elif reason is None and known is not None and gradient_name(use.output) not in known:
                reason = "no gradient comes back"
            if reason is not None:
                uses.append(replace(use, reason=reason))
            elif state_of_node is not None:
                uses.append(_with_its_state(use, state_of_node))
            else:
                state_of_node = _with_state(use, node, settings, state, in_body=in_body)
                if factors_last and not in_body:
                    axis = _weight_axis(node, position, state_of_node.state_shape)
                    state_of_node = replace(state_of_node, weight_axis=axis)
                uses.append(state_of_node)
    return uses


def _with_state(
    use: ParameterUse,
    node: ir.Node,
    settings: VirtualGradientSettings,
    state: str,
    *,
    in_body: bool,
) -> ParameterUse:
    """The first use of a node on which T acts, with an r."""
    shape, axis = _state_shape(use, node, settings)
    by_default = settings.granularity == "auto"
    return replace(
        use,
        reason=f"linear in its {use.role}",
        state=state,
        state_shape=shape,
        channel_axis=axis,
        weight_axis=None if in_body else _cheap_weight_axis(node, use.position, shape),
        open_axes=_open_axes(node) if axis is not None and by_default else (),
    )


def _with_its_state(use: ParameterUse, first: ParameterUse) -> ParameterUse:
    """One r for an operation, whichever of its parameters T acts on."""
    return replace(
        use,
        reason=f"linear in its {use.role}; r as for '{first.parameter}'",
        state=first.state,
        state_shape=first.state_shape,
        channel_axis=first.channel_axis,
        open_axes=first.open_axes,
    )


def operations_with_t(uses: Sequence[ParameterUse]) -> dict[str, list[ParameterUse]]:
    """The uses that T acts on, by the name of r: those of one operation together."""
    operations: dict[str, list[ParameterUse]] = {}
    for use in uses:
        if use.state is not None:
            operations.setdefault(use.state, []).append(use)
    return operations


def _is_open(value: ir.Value) -> bool:
    """Whether the first axis of an input may have any size."""
    return bool(value.shape) and not isinstance((value.shape or [0])[0], int)


def _identity(
    use: ParameterUse, node: ir.Node, settings: VirtualGradientSettings, batch_is_open: bool
) -> str | None:
    """Why T is the identity, or None if it is not."""
    if not settings.t_scope:
        return "the optimizer is not svgd"
    if use.role == "parameter":
        return f"{use.op_type} is not linear in it"
    if settings.t_scope == (WEIGHTS,):
        if use.role != "weight":
            return f"{use.role}: T acts on weights only"
    elif settings.t_scope != (ALL_LINEAR,) and not _matches(use.parameter, settings):
        return "not in the scope of T"
    shape = node.outputs[0].shape
    if batch_is_open and shape is not None and (not len(shape) or isinstance(shape[0], int)):
        return "the first axis of its output is not the batch"
    return None


def _names(graph: ir.Graph) -> set[str | None]:
    """Of what a graph computes, and of its initializers: dY of the loss is one."""
    return {*graph.initializers, *(value.name for node in graph for value in node.outputs)}


def _identity_in_body(
    use: ParameterUse, node: ir.Node, known: Collection[str | None]
) -> str | None:
    """Why T is the identity in a body of control flow, or None if it is not."""
    if gradient_name(use.output) not in known:
        return "its gradient is added up turn by turn, or within a branch"
    if not has_rows(node):
        return "the first axis of its output is not the batch"
    return None


def _state_shape(
    use: ParameterUse, node: ir.Node, settings: VirtualGradientSettings
) -> tuple[tuple[int, ...], int | None]:
    output = node.outputs[0]
    dims = None if output.shape is None else [_plain(dim) for dim in output.shape]
    fixed = dims is not None and all(isinstance(dim, int) for dim in dims[1:])
    if dims is not None and fixed and (settings.granularity != "channel" or len(dims) < 3):
        return tuple(dim for dim in dims[1:] if isinstance(dim, int)), None
    axis = channel_axis(use.op_type, len(dims or ()))
    channels = dims[axis] if dims else None
    if settings.granularity != "element" and axis > 0 and isinstance(channels, int):
        return (channels,), axis
    raise UserError(
        f"{use.op_type} '{use.node}': the shape of its output '{use.output}' is {_show(dims)}, but r "
        + (
            f"needs every axis after the first to be fixed: use {option('granularity', 'channel')}, or "
            if settings.granularity == "element"
            else "needs a fixed number of channels: "
        )
        + f"export the model with fixed sizes, or leave '{use.parameter}' out with {option('freeze')}."
    )


def _open_axes(node: ir.Node) -> tuple[str, ...]:
    """The names of the output's open axes but its batch axis; "?" for those that have none."""
    dims = [_plain(dim) for dim in node.outputs[0].shape or ()][1:]
    return tuple(dict.fromkeys(str(dim or "?") for dim in dims if not isinstance(dim, int)))


# What an axis of unknown size counts as where sizes are compared.
_USUAL_SIZE = 32
# Below so many elements another operator costs more than it saves.
_WORTHWHILE_SIZE = 32 * 1024


def _cheap_weight_axis(node: ir.Node, position: int, state_shape: tuple[int, ...]) -> int | None:
    """As `_weight_axis`, where the weight is smaller than the output."""
    weight = node.inputs[position]
    weight_size, output_size = (
        math.prod(dim if isinstance(dim, int) else _USUAL_SIZE for dim in shape or ())
        for shape in (None if weight is None else weight.shape, node.outputs[0].shape)
    )
    is_cheap = output_size >= max(_WORTHWHILE_SIZE, weight_size)
    return _weight_axis(node, position, state_shape) if is_cheap else None


def _weight_axis(node: ir.Node, position: int, state_shape: tuple[int, ...]) -> int | None:
    """The weight's axis of channels, where T is a factor for each."""
    axis = weight_channel_axis(node, position)
    weight = node.inputs[position]
    if axis is None or weight is None or weight.shape is None or weight.producer() is not None:
        return None  # a rearranged parameter has its channels elsewhere
    if len(state_shape) != 1 or weight.shape[axis] != state_shape[0]:
        return None
    return axis


def _check_globs(
    settings: VirtualGradientSettings, parameters: Mapping[str, Sequence[str]]
) -> None:
    if settings.t_scope in ((), (WEIGHTS,), (ALL_LINEAR,)):
        return
    for glob in settings.t_scope:
        if not any(fnmatchcase(unquoted(name), glob) for name in parameters):
            raise UserError(f"{option('t_scope')} '{glob}' matches no trainable parameter.")


def _matches(name: str, settings: VirtualGradientSettings) -> bool:
    return any(fnmatchcase(unquoted(name), glob) for glob in settings.t_scope)


def _plain(dim: object) -> object:
    return dim.value if isinstance(dim, ir.SymbolicDim) else dim


def _show(dims: Sequence[object] | None) -> str:
    return "unknown" if dims is None else "(" + ", ".join(str(dim or "?") for dim in dims) + ")"
