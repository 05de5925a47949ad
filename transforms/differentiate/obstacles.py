"""What cannot be differentiated, said all at once, and which parameters can be trained all the same."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.decompose import RULES, blocking_nodes

_SHOWN = 5


def check_obstacles(graph: ir.Graph, copies: Mapping[str, Sequence[str]]) -> None:
    """Refuses a graph with operators that have no gradient between a parameter and the loss.

    Args:
        graph: decomposed, the loss its first output.
        copies: trainable parameter -> the inputs that stand for it.

    Raises:
        UserError: names every such operator with its nodes, and what to train to avoid them.
    """
    names = {name for inputs in copies.values() for name in inputs}
    nodes = blocking_nodes(graph, names)
    if not nodes:
        return
    by_operator: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        by_operator[operator].append(f"'{node.name}'")
    listed = "; ".join(f"{operator} ({_some(found)})" for operator, found in by_operator.items())
    raise UserError(
        "These operators have no gradient and lie between trainable parameters and the loss: "
        f"{listed}. {_hint(nodes)}{_advice(_after(nodes, copies), list(copies))}"
    )


def _hint(nodes: Sequence[ir.Node]) -> str:
    """Which of them there is a decomposition for, had it known more."""
    known = sorted({node.op_type for node in nodes if node.domain == "" and node.op_type in RULES})
    if not known:
        return ""
    return f"{' and '.join(known)} can be rewritten where sizes are fixed: export the model with them. "


def _after(nodes: Sequence[ir.Node], copies: Mapping[str, Sequence[str]]) -> list[str]:
    """The parameters from which no obstacle can be reached."""
    before: set[ir.Value | None] = set()
    pending = [value for node in nodes for value in node.inputs]
    while pending:
        value = pending.pop()
        if value is None or value in before:
            continue
        before.add(value)
        producer = value.producer()
        if producer is not None:
            pending.extend(producer.inputs)
    blocked = {value.name for value in before if value is not None}
    return [name for name, inputs in copies.items() if not blocked.intersection(inputs)]


def _advice(free: list[str], parameters: list[str]) -> str:
    if not free:
        return "Every trainable parameter lies before one of them, so this model cannot be trained."
    prefix = os.path.commonprefix(free)
    if prefix and not any(name.startswith(prefix) for name in parameters if name not in free):
        return f"Train only what comes after them: --train '{prefix}*'."
    return f"Train only what comes after them: {_some([f'--train {chr(39)}{n}{chr(39)}' for n in free])}."


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
