"""Rows of -inf before a Softmax, which makes NaN of them, for which the model selects something else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import constant_value, inputs_of, rank
from svgd_onnx.transforms.writer import Writer

# As onnxruntime's gradient builder calls them; they read dY and what the forward node gave.
_GRADIENTS = frozenset({"SoftmaxGrad_13", "LogSoftmaxGrad_13"})


class MaskedRows(ir.passes.InPlacePass):
    """Has gradients of Softmax, in a graph of onnxruntime's builder, read 0 for NaN (`without_nan`)."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph):
            if node.op_type not in _GRADIENTS:
                continue
            _, y = inputs_of(node, 2)
            write = Writer(f"{node.outputs[0].name}/masked", model.graph.opset_imports[""])
            numbers = without_nan(y, write)
            write.insert_before(model.graph, node)
            node.replace_input_with(1, numbers)
            modified |= numbers is not y
        return ir.passes.PassResult(model, modified)


def without_nan(y: ir.Value, write: Writer) -> ir.Value:
    """0 for NaN, as of rows that are -inf throughout, if what reads y selects something else there.

    No gradient comes back to such a row then, and none is to go on.

    Args:
        y: what a Softmax gave.
        write: where nodes are written, if the model has not these numbers already.
    """
    for node, _ in y.uses():
        if node.op_type == "Where" and _is_zero_for_nan(node, y):
            return node.outputs[0]
    if not _is_selected(y):
        return y
    zero = write.constant(np.zeros((), np.float32 if y.dtype is None else y.dtype.numpy()))
    return write.node("Where", write.node("IsNaN", y), zero, y)


def _is_zero_for_nan(where: ir.Node, y: ir.Value) -> bool:
    condition, chosen, other = inputs_of(where, 3)
    producer, zero = condition.producer(), constant_value(chosen)
    asks = producer is not None and producer.op_type == "IsNaN" and producer.inputs[0] is y
    if not asks or other is not y or zero is None or zero.any():
        return False
    return zero.size == 1 and zero.ndim <= (rank(y) or 0)  # it gives y's shape


def _is_selected(value: ir.Value) -> bool:
    """Whether a Where reads a value, as it is or cast."""
    return any(
        node.op_type == "Where"
        or (node.op_type in ("Cast", "Identity") and _is_selected(node.outputs[0]))
        for node, _ in value.uses()
    )
