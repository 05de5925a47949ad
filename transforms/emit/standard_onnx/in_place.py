"""Which tensors a step may write over where they lie."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx_ir as ir

from svgd_onnx.step_names import NEW_SUFFIX
from svgd_onnx.transforms.fast_operators import ADAPTIVE_DESCENT, DESCENT, DESCENT_OF_ROWS

# Of operators that change nothing where their last input is not finite, what inputs become: outputs, by places.
_DESCENTS = {
    DESCENT: {0: 0},
    DESCENT_OF_ROWS: {0: 0},
    ADAPTIVE_DESCENT: {0: 0, 3: 2, 4: 3},
}
# Their output may be the memory of their first input.
_VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
# onnxruntime makes them a part of each product that reads their output, which reads their input then.
_INTO_PRODUCTS = frozenset({"Cast", "Div", "Mul", "Transpose"})


def overwritten(graph: ir.Graph) -> list[ir.Value]:
    """The inputs of a step that may be given as the memory of what they become.

    An operator that waits for the loss, and changes nothing where that is not finite, writes number by number
    what it has read; and it waits for whatever else reads the tensor.

    Args:
        graph: the loss is its first output; no node has a body.
    """
    outputs = {value.name: value for value in graph.outputs}
    before_loss = _nodes_before(graph.outputs[:1])
    found = []
    for value in graph.inputs:
        after = outputs.get(f"{value.name}{NEW_SUFFIX}")
        node = None if after is None else after.producer()
        if after is None or node is None or node.op_type not in _DESCENTS:
            continue
        places = _DESCENTS[node.op_type]
        waits = node.inputs[-1] is graph.outputs[0]
        pair = any(
            node.inputs[place] is value and node.outputs[output] is after
            for place, output in places.items()
            if place < len(node.inputs) and output < len(node.outputs)
        )
        if not waits or not pair:
            continue
        before = _nodes_before(node.inputs, before_loss)
        if _readers(value) <= {node, *before, *before_loss}:
            found.append(value)
    return found


def _nodes_before(values: Sequence[ir.Value | None], but: Collection[ir.Node] = ()) -> set[ir.Node]:
    """All that values are computed by, but some and what is before these."""
    found: set[ir.Node] = set()
    pending = list(values)
    while pending:
        each = pending.pop()
        node = None if each is None else each.producer()
        if node is not None and node not in found and node not in but:
            found.add(node)
            pending.extend(node.inputs)
    return found


def _readers(value: ir.Value) -> set[ir.Node]:
    """The nodes that read a value's memory, or may once onnxruntime has loaded the graph."""
    found: set[ir.Node] = set()
    pending = [value]
    while pending:
        for node, _ in pending.pop().uses():
            if node not in found:
                found.add(node)
                if node.op_type in _VIEWS or node.op_type in _INTO_PRODUCTS:
                    pending.extend(node.outputs)
    return found
