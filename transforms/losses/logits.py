"""Find what a loss reads: the value under the prediction's final activation."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx_ir as ir

from svgd_onnx.transforms.rearrangements import REARRANGEMENTS
from svgd_onnx.transforms.writer import Writer


def find_logits(
    write: Writer, output: ir.Value, activations: Collection[str]
) -> tuple[ir.Value, int | None]:
    """The value under the final activation of `output`, or `output` where there is none.

    What rearranges the activation's result is done to its input too: an opset upgrade writes Softmax
    as Flatten, Softmax and Reshape, and a Squeeze may follow a Sigmoid.

    Args:
        write: takes those rearrangements.
        output: the model's prediction.
        activations: the operators to look under.

    Returns:
        The logits, of the output's shape, and the axis that a Softmax normalizes, if it can be told.
    """
    steps: list[ir.Node] = []
    value = output
    while (node := value.producer()) is not None and node.op_type in REARRANGEMENTS:
        steps.insert(0, node)
        value = _first_input(node)
    if node is None or node.op_type not in activations:
        return output, None
    axis = None if node.op_type == "Sigmoid" else _softmax_axis(node, steps)
    logits = _first_input(node)
    moved = [step for step in steps if step.op_type != "Identity"]
    for step in moved:
        (logits,) = write.nodes_with(step.op_type, [logits, *step.inputs[1:]], step.attributes, 1)
        logits.shape, logits.type = step.outputs[0].shape, step.outputs[0].type
    if moved:
        logits.shape = output.shape
    return logits, axis


def _first_input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _softmax_axis(node: ir.Node, steps: Sequence[ir.Node]) -> int | None:
    """The axis that a Softmax normalizes, as the steps after it leave it; None if that is unclear."""
    attribute = node.attributes.get("axis")
    axis = -1 if attribute is None else attribute.as_int()
    shape = node.outputs[0].shape
    if axis < 0 and shape is None:
        return None
    axis += len(shape or ()) if axis < 0 else 0
    for step in steps:
        before, after = _first_input(step).shape, step.outputs[0].shape
        if step.op_type == "Transpose" and "perm" in step.attributes:
            axis = list(step.attributes["perm"].as_ints()).index(axis)
        elif before is None or after is None or list(before)[: axis + 1] != list(after)[: axis + 1]:
            return None
    return axis
