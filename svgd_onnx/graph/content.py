"""What the page is given: a training graph as JSON, in which nodes and values are numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from svgd_onnx.graph.layers import Group, tree_of
from svgd_onnx.graph.training_graph import Seen, TrainingGraph
from svgd_onnx.printable import printable
from svgd_onnx.step_names import unquoted

BOTH, AFTER, BEFORE = 0, 1, 2
"""In which of the two graphs a node is."""

# A node: what it reads and gives with T, and without where that is another.
Row = list[Any]


def content_of(graph: TrainingGraph) -> dict[str, Any]:
    """The page's content.

    Returns:
        `facts` to say of the whole; `values`, of each its name, shape, role and note; `nodes`, of each its
        name, operator, kind, owner (a number, or -1), stage, inputs, outputs and attributes, and after these
        inputs and outputs before T, where they are others; `tree`, of groups [name, members] and numbers of
        nodes; `operations` of sigma-prime; `before`, whether there is a graph before T.
    """
    values = _Values(graph)
    merged = _merged(graph)
    numbers = {each.node.name: number for number, (each, _, _) in enumerate(merged)}
    nodes = [_row(*each, numbers, values) for each in merged]
    operations = [
        {
            "node": numbers.get(each.node, -1),
            "parameter": values.number(each.parameter),
            "role": each.role,
            "reason": shown(each.reason),
            "state": -1 if each.state is None else values.number(each.state),
            "granularity": each.granularity,
        }
        for each in graph.operations
    ]
    return {
        "facts": {name: shown(text) for name, text in graph.facts.items()},
        "before": bool(graph.before),
        "nodes": nodes,
        "tree": _tree(tree_of(graph.layers), numbers),
        "operations": operations,
        "values": values.rows,
    }


def shown(name: str) -> str:
    """A name as people read it."""
    return printable(unquoted(name))


def _merged(graph: TrainingGraph) -> list[tuple[Seen, Seen | None, int]]:
    """Each node, as it is with T or else without; as it is without, if that is another; and its stage."""
    without = {each.node.name: each for each in graph.before}
    merged: list[tuple[Seen, Seen | None, int]] = []
    for each in graph.after:
        before = without.pop(each.node.name, None)
        is_new = bool(graph.before) and before is None
        merged.append((each, before, AFTER if is_new else BOTH))
    return merged + [(each, None, BEFORE) for each in without.values()]


def _row(
    seen: Seen, before: Seen | None, stage: int, numbers: Mapping[str, int], values: _Values
) -> Row:
    node = seen.node
    row: Row = [
        shown(node.name),
        shown(node.op_type),
        seen.kind,
        -1 if seen.owner is None else numbers.get(seen.owner, -1),
        stage,
        values.numbers(node.inputs),
        values.numbers(node.outputs),
        {shown(name): shown(text) for name, text in node.attributes.items()},
    ]
    if before is not None and _ends(before) != _ends(seen):
        row += [values.numbers(before.node.inputs), values.numbers(before.node.outputs)]
    return row


def _ends(seen: Seen) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return seen.node.inputs, seen.node.outputs


def _tree(group: Group, numbers: Mapping[str, int]) -> list[Any]:
    return [
        numbers[each] if isinstance(each, str) else [shown(each.name), _tree(each, numbers)]
        for each in group.members
    ]


class _Values:
    """Values by number, in the order in which they are asked for."""

    def __init__(self, graph: TrainingGraph) -> None:
        self._facts = graph.tensors
        self._numbers: dict[str, int] = {}
        self.rows: list[list[str | None]] = []

    def number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self.rows)
            facts = self._facts.get(name)
            shape = None if facts is None or facts.shape is None else shape_in_words(facts.shape)
            row = [shown(name), shape, facts.role if facts else "", facts.note if facts else ""]
            self.rows.append(row)
        return self._numbers[name]

    def numbers(self, names: Sequence[str]) -> list[int]:
        return [self.number(name) if name else -1 for name in names]


_TIMES = "\N{MULTIPLICATION SIGN}"


def shape_in_words(shape: Sequence[int | str]) -> str:
    """Axes with a sign of multiplication between them; a scalar is "scalar"."""
    return _TIMES.join(shown(str(each)) for each in shape) or "scalar"
