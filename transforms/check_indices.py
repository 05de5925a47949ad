"""Indices in the data that kernels read memory by, in range before they do."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from svgd_onnx.transforms.rule import constant_value, inputs_of
from svgd_onnx.transforms.writer import Writer


class CheckIndices(ir.passes.InPlacePass):
    """Ends a run at an index that is out of range, where onnxruntime's kernel does not look.

    Most kernels do (Gather..., Scatter..., recurrent layers of sequence lengths), and raise
    an error. Of others onnxruntime-training 1.19.2 reads, or divides, whatever it is given:
    SoftmaxCrossEntropyLoss and its gradient by labels, RoiAlign by the numbers of images; and a division of
    integers by 0 ends the process. In front of those stands what raises an error, for every program that runs
    the graph.

    Ensures: numbers are what they were, and no output changes its name.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph.all_nodes()):
            check = CHECKS.get(node.op_type)
            if check is None or node.domain != "":
                continue
            place, write_checked = check
            index = node.inputs[place]
            if index is None or constant_value(index) is not None:
                continue
            assert isinstance(node.graph, ir.Graph)
            # by which `targets.index_at_fault` knows it
            kind = "divisor" if write_checked is _divisor else "checked"
            prefix = f"{node.outputs[0].name or node.op_type}/{kind}"
            write = Writer(prefix, model.graph.opset_imports[""])
            checked = write_checked(node, write)
            if checked is None:
                continue
            checked.type, checked.shape = index.type, index.shape
            write.insert_before(node.graph, node)
            node.replace_input_with(place, checked)
            modified = True
        return ir.passes.PassResult(model, modified)


def _class(node: ir.Node, write: Writer) -> ir.Value:
    """Labels from 0 to below the size of axis 1, and those to be ignored."""
    logits, labels = inputs_of(node, 2)
    index = labels if labels.dtype == ir.DataType.INT64 else write.cast(labels, "int64")
    count = _size(logits, 1, write)
    attribute = node.attributes.get("ignore_index")
    if attribute is None:
        checked = write.index_within(index, count)
    else:
        ignored = write.node("Equal", index, write.integer(attribute.as_int()))
        counted = write.node("Where", ignored, write.integer(0), index)
        checked = write.node("Where", ignored, index, write.index_within(counted, count))
    return checked if index is labels else write.node("Cast", checked, to=labels.dtype)


def _image(node: ir.Node, write: Writer) -> ir.Value:
    images, _, numbers = inputs_of(node, 3)
    return write.index_within(numbers, _size(images, 0, write))


def _divisor(node: ir.Node, write: Writer) -> ir.Value | None:
    """Integers that are not 0, and not -1 under the least of all integers, whose quotient is none of them."""
    dividend, divisor = inputs_of(node, 2)
    if divisor.dtype != ir.DataType.INT64 and divisor.dtype != ir.DataType.INT32:
        return None
    if not _is_data(divisor):
        return None
    kind = "int64" if divisor.dtype == ir.DataType.INT64 else "int32"
    least = write.cast(write.integer(-(2**63) if kind == "int64" else -(2**31)), kind)
    number = write.cast
    too_large = write.node(
        "And",
        write.node("Equal", divisor, number(write.integer(-1), kind)),
        write.node("Equal", dividend, least),
    )
    zero = write.node("Equal", divisor, number(write.integer(0), kind))
    wrong = number(write.node("Or", zero, too_large), "int64")
    nothing = number(write.index_within(wrong, write.integers(1)), kind)
    return write.node("Add", divisor, nothing)


def _size(value: ir.Value, axis: int, write: Writer) -> ir.Value:
    """The size of an axis, a vector of one number."""
    size = None if value.shape is None else value.shape[axis]
    if isinstance(size, int):
        return write.integers(size)
    return write.node("Shape", value, start=axis, end=axis + 1)


def _is_data(value: ir.Value) -> bool:
    """Whether a value is computed from more than shapes."""
    pending, seen = [value], {value}
    while pending:
        each = pending.pop()
        node = each.producer()
        if each.is_graph_input():
            return True
        if node is None or node.op_type in ("Shape", "Size"):
            continue
        for read in node.inputs:
            if read is not None and read not in seen:
                seen.add(read)
                pending.append(read)
    return False


# By operator: the input that is checked, and what writes it, checked.
CHECKS: dict[str, tuple[int, Callable[[ir.Node, Writer], ir.Value | None]]] = {
    "Div": (1, _divisor),
    "Mod": (1, _divisor),
    "NegativeLogLikelihoodLoss": (1, _class),
    "RoiAlign": (2, _image),
    "SoftmaxCrossEntropyLoss": (1, _class),
}
