"""The range of an input's integers, where they index what has a fixed size."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from svgd_onnx.transforms.rule import constant_value, input_of, integer

# The least and the greatest number that is in range.
Range = tuple[int, int]

# Of one operand all numbers reach the output, as they are.
_PASSED_THROUGH = frozenset(
    "Cast Expand Flatten Identity Reshape Squeeze Tile Transpose Unsqueeze".split()
)


def index_range(value: ir.Value) -> Range | None:
    """What is in range for every number of a graph input; None where no operator says it.

    Followed are ways on which each number becomes an index, whatever the others are: not into bodies, which may
    not run, nor through a Slice, a Where or a Clip, behind which not every number counts. An index may be
    negative, and counts from the end then.

    Args:
        value: of integers; shapes are inferred.
    """
    graph = value.graph
    found: Range | None = None
    pending: list[tuple[ir.Value, int]] = [(value, 0)]  # and what was added to it
    while pending:
        each, added = pending.pop()
        for node, position in each.uses():
            if node.graph is not graph or node.domain != "":
                continue
            if node.op_type in _PASSED_THROUGH and position == 0:
                pending.append((node.outputs[0], added))
            elif node.op_type in ("Add", "Sub"):
                other = _number(node, position)
                if other is not None:
                    pending.append((node.outputs[0], added + other))
            elif node.op_type in _INDEXED:
                range_ = _INDEXED[node.op_type](node, position)
                if range_ is not None:
                    moved = (range_[0] - added, range_[1] - added)
                    found = moved if found is None else _both(found, moved)
    return found if found is None or found[0] <= found[1] else None


def _both(first: Range, second: Range) -> Range:
    return max(first[0], second[0]), min(first[1], second[1])


def _number(node: ir.Node, position: int) -> int | None:
    """What an Add or a Sub adds to one of its operands, if that is one number."""
    constant = constant_value(node.inputs[1 - position])
    if constant is None or constant.size != 1 or (node.op_type == "Sub" and position == 1):
        return None
    number = int(constant.reshape(()))
    return -number if node.op_type == "Sub" else number


def _size(value: ir.Value | None, axis: int) -> int | None:
    shape = None if value is None else value.shape
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    size = shape[axis]
    return size if isinstance(size, int) else None


def _from_either_end(size: int | None) -> Range | None:
    return None if size is None else (-size, size - 1)


def _along_an_axis(node: ir.Node, position: int) -> Range | None:
    if position != 1:
        return None
    return _from_either_end(_size(node.inputs[0], integer(node, "axis", 0)))


def _of_several_axes(node: ir.Node, position: int) -> Range | None:
    """The last axis of the indices has a number for each of the data's first axes."""
    count = _size(node.inputs[1], -1)
    if position != 1 or count is None:
        return None
    first = integer(node, "batch_dims", 0)
    sizes = [_size(node.inputs[0], first + axis) for axis in range(count)]
    known = [size for size in sizes if size is not None]
    return _from_either_end(max(known)) if known and len(known) == count else None


def _class(node: ir.Node, position: int) -> Range | None:
    classes = _size(node.inputs[0], 1)
    if position != 1 or classes is None or "ignore_index" in node.attributes:
        return None
    return 0, classes - 1


def _length(node: ir.Node, position: int) -> Range | None:
    """Recurrent layers take lengths of sequences as their fifth input."""
    steps = _size(node.inputs[0], 1 if integer(node, "layout", 0) else 0)
    return (0, steps) if position == 4 and steps is not None else None


def _image(node: ir.Node, position: int) -> Range | None:
    images = _size(input_of(node, 0), 0)
    return (0, images - 1) if position == 2 and images is not None else None


_INDEXED: dict[str, Callable[[ir.Node, int], Range | None]] = {
    "GRU": _length,
    "Gather": _along_an_axis,
    "GatherElements": _along_an_axis,
    "GatherND": _of_several_axes,
    "LSTM": _length,
    "NegativeLogLikelihoodLoss": _class,
    "RNN": _length,
    "RoiAlign": _image,
    "ScatterElements": _along_an_axis,
    "ScatterND": _of_several_axes,
    "SoftmaxCrossEntropyLoss": _class,
}
