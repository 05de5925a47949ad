"""In which order onnxruntime runs the nodes of a graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import onnx

from svgd_onnx.conversion.memory.reads import reads

_OF_SHAPES = ("Shape", "Size")


def node_order(nodes: Sequence[onnx.NodeProto]) -> list[int]:
    """The numbers of nodes, in the order in which onnxruntime runs them.

    It goes from the nodes that nothing reads, the last first, to those that they read, the last first, and runs
    each when all that it reads is there (`ReverseDFSFrom` in onnxruntime/core/graph/graph.cc).
    """
    makers = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    read = [sorted({makers[name] for name in reads(node) if name in makers}) for node in nodes]
    inner = {number for each in read for number in each}
    pending = [(number, False) for number in range(len(nodes)) if number not in inner]
    seen: set[int] = set()
    order = []
    while pending:
        number, ready = pending.pop()
        if ready:
            order.append(number)
        elif number not in seen:
            seen.add(number)
            pending.append((number, True))
            pending += [(other, False) for other in read[number] if other not in seen]
    return _sizes_first(nodes, makers, order)


def _sizes_first(
    nodes: Sequence[onnx.NodeProto], makers: Mapping[str, int], order: Sequence[int]
) -> list[int]:
    """Nodes that read a value's shape alone come right after what makes it, so that it is not kept for them."""
    after = defaultdict(list)
    for number, node in enumerate(nodes):
        if node.op_type in _OF_SHAPES and node.input[0] in makers:
            after[makers[node.input[0]]].append(number)
    moved = {number for each in after.values() for number in each}
    return [each for number in order if number not in moved for each in (number, *after[number])]
