"""Whether onnx may follow sizes through a graph: to it any vector may be sizes, at 150 bytes an entry."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.rule import constant_value, input_of

# In the metadata of a graph: that constants in it were too large to be computed.
TOO_LARGE = "svgd.too_large"

_LONGEST = 1 << 22
# What Shape gives: no tensor that people train has more axes.
_MOST_AXES = 64
# Through these onnx's shape inference follows what values hold.
_FOLLOWED = frozenset("Add Cast Gather Mul Slice Squeeze Sub Unsqueeze".split())
# What makes a vector of as many entries as a number says, by the place of the number.
_MAKES = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Tile": 1}


def may_follow_sizes(graph: ir.Graph) -> bool:
    """Whether no vector that onnx would follow gets long, as one that is joined with itself again and again."""
    if graph.meta.get(TOO_LARGE):
        return False
    lengths: dict[ir.Value, int] = {}

    def length(value: ir.Value | None) -> int:
        if value is None:
            return 0
        return lengths[value] if value in lengths else _stated_length(value)

    for value in (*graph.inputs, *graph.initializers.values()):
        if length(value) > _LONGEST:
            return False
    for node in all_nodes(graph):
        if node.domain != "" or not node.outputs:
            continue
        if node.op_type in ("Shape", "Size"):
            lengths[node.outputs[0]] = _MOST_AXES
        elif node.op_type in _FOLLOWED:
            lengths[node.outputs[0]] = max(map(length, node.inputs), default=0)
        elif node.op_type in _MAKES:
            lengths[node.outputs[0]] = _only_number(input_of(node, _MAKES[node.op_type]))
        elif node.op_type == "Concat":
            lengths[node.outputs[0]] = sum(map(length, node.inputs))
        if max(length(node.outputs[0]), _stated_length(node.outputs[0])) > _LONGEST:
            return False
    return True


def _only_number(value: ir.Value | None) -> int:
    """The number in a constant of one; else 0."""
    known = constant_value(value)
    return 0 if known is None or known.size != 1 else int(known.reshape(-1)[0])


def _stated_length(value: ir.Value) -> int:
    """What a file says, which need not be so: 0 of what is no vector, or of unknown length."""
    shape = [] if value.shape is None else list(value.shape)
    size = shape[0] if len(shape) == 1 else 0
    return size if isinstance(size, int) else 0
