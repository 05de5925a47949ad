"""Constants that hold the same for each example, as a mask does that was computed for a whole batch."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.constants import kind
from svgd_onnx.transforms.open_batch.rows import Rows, Tracing, size
from svgd_onnx.transforms.rule import RefusedError, constant_value
from svgd_onnx.transforms.writer import Writer


def first_of_equal(node: ir.Node, place: int, axis: int, rows: Rows, tracing: Tracing) -> None:
    """Has an operand keep one of its entries along the axis of examples, which is then repeated for each.

    What may be a parameter stays as it is: its entries are equal only until it is trained.

    Args:
        node: an operator that repeats its operands.
        place: of the operand, a constant.
        axis: its axis that lies along the examples.
        rows: where the others have their examples.
        tracing: gets the edit.

    Raises:
        RefusedError: its entries differ, or may come to.
    """
    value = node.inputs[place]
    array = constant_value(value)
    if value is None or array is None or not _is_no_parameter(value):
        raise RefusedError("a constant has an entry for each example")
    one = array.take([0], axis)
    if size(value, axis) != tracing.batch * rows.each * rows.before or (array != one).any():
        raise RefusedError("a constant has an entry for each example")

    def edit(graph: ir.Graph) -> None:
        write = Writer(f"{node.outputs[0].name}/operand_{place}", graph.opset_imports[""])
        node.replace_input_with(place, write.constant(one))
        write.insert_before(graph, node)

    tracing.edits.append(edit)


def _is_no_parameter(value: ir.Value) -> bool:
    array = constant_value(value)
    assert array is not None and value.dtype is not None
    return not value.dtype.is_floating_point() or kind(array) is not None
