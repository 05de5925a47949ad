"""What cannot be differentiated, said all at once, and which parameters can be trained all the same."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.transforms.bodies import read_by
from svgd_onnx.transforms.canonicalize.fix_sizes import advice_on_sizes
from svgd_onnx.transforms.decompose import blocking_nodes
from svgd_onnx.transforms.rule import is_of_sizes

_SHOWN = 5


def check_obstacles(
    graph: ir.Graph,
    copies: Mapping[str, Sequence[str]],
    refusals: Mapping[ir.Node, str],
    differentiable: Container[str],
) -> None:
    """Refuses a graph with operators that have no gradient between a parameter and the loss.

    Args:
        graph: decomposed, the loss its first output.
        copies: trainable parameter -> the inputs that stand for it.
        refusals: why nodes were not decomposed, as `Decompose` says it.
        differentiable: the operators that have a gradient.

    Raises:
        UserError: names every such operator with its nodes, and what to train to avoid them.
    """
    names = {name for inputs in copies.values() for name in inputs}
    nodes = blocking_nodes(graph, names, refusals, differentiable)
    if nodes:
        raise obstacles_error(nodes, copies, refusals)


def obstacles_error(
    nodes: Sequence[ir.Node],
    copies: Mapping[str, Sequence[str]],
    refusals: Mapping[ir.Node, str],
) -> UserError:
    """What to raise where nodes have no gradient."""
    graph = nodes[0].graph
    of_sizes = any(is_of_sizes(refusals.get(node, "")) for node in nodes)
    fix = advice_on_sizes(graph) if of_sizes and isinstance(graph, ir.Graph) else None
    return UserError(
        "These operators have no gradient and lie between trainable parameters and the loss: "
        f"{named_obstacles(nodes, refusals)}. {_advice(_after(nodes, copies), list(copies))}"
        f"{f' Or {fix}.' if fix else ''}"
    )


def named_obstacles(nodes: Sequence[ir.Node], refusals: Mapping[ir.Node, str]) -> str:
    """Operators, the nodes of each, and why rules could not write them."""
    by_operator: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for node in nodes:
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        by_operator[operator, refusals.get(node)].append(f"'{node.name}'")
    return "; ".join(
        f"{operator} ({listed(found, _SHOWN)}{f': {reason}' if reason else ''})"
        for (operator, reason), found in by_operator.items()
    )


def _after(nodes: Sequence[ir.Node], copies: Mapping[str, Sequence[str]]) -> list[str]:
    """The parameters from which no obstacle can be reached."""
    blocked = {value.name for value in _before(nodes)}
    return [name for name, inputs in copies.items() if not blocked.intersection(inputs)]


def _before(nodes: Sequence[ir.Node]) -> dict[ir.Value, None]:
    """The values that nodes read, and all that these are computed from."""
    before: dict[ir.Value, None] = {}
    pending = [value for node in nodes for value in read_by(node)]
    while pending:
        value = pending.pop()
        if value is None or value in before:
            continue
        before[value] = None
        producer = value.producer()
        if producer is not None:
            pending.extend(read_by(producer))
    return before


def _advice(free: list[str], parameters: list[str]) -> str:
    if not free:
        return "Every trainable parameter lies before one of them, so this model cannot be trained."
    prefix = os.path.commonprefix(free)
    if prefix and not any(name.startswith(prefix) for name in parameters if name not in free):
        return f"Train only what comes after them: {option('train', f'{prefix}*')}."
    options = [option("train", name) for name in free]
    return f"Train only what comes after them: {listed(options, _SHOWN)}."
