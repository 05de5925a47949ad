"""Concat and Split as the training set has them, with the lengths of the parts as a tensor."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import inputs_of, integer
from svgd_onnx.transforms.writer import Writer


def _concatenation(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    axis = integer(node, "axis", 0)
    parts = inputs_of(node, len(node.inputs))
    joined = write.node("Concat", *parts, axis=axis)
    if len(node.outputs) < 2 or not node.outputs[1].uses():
        return [joined]
    end = {} if axis == -1 else {"end": axis + 1}
    lengths = [write.node("Shape", part, start=axis, **end) for part in parts]
    return [joined, write.node("Concat", *lengths, axis=0)]


def _split(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    value, lengths = inputs_of(node, 2)
    attributes = {"axis": integer(node, "axis", 0)}
    return list(write.nodes_with("Split", [value, lengths], attributes, len(node.outputs)))


JOINING: dict[str, Lowering] = {
    "ConcatTraining": Lowering(_concatenation, forward=True),
    "SplitTraining": Lowering(_split),
}
