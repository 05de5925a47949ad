"""Gradients of Gather and GatherElements: what was taken several times is added up.

ScatterElements adds in order on onnxruntime's CPU provider, so that results are the same every time;
ScatterND does so in parallel.
"""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import fixed_size, inputs_of, integer, rank
from svgd_onnx.transforms.writer import Writer


def _gather_gradient(node: ir.Node, write: Writer) -> ir.Value:
    shape, indices, gradient = inputs_of(node, 3)
    axes = rank(node.outputs[0])
    if axes is None:
        axes = fixed_size(shape, 0, of="the shape it takes")
    axis = integer(node, "axis", 0) % axes
    # The axes of the indices as one, in the place of the axis that was gathered from.
    parts = [write.integers(-1)]
    if axis:
        parts.insert(0, write.node("Slice", shape, write.integers(0), write.integers(axis)))
    if axis + 1 < axes:
        parts.append(write.node("Slice", shape, write.integers(axis + 1), write.integers(axes)))
    flat = parts[0] if len(parts) == 1 else write.node("Concat", *parts, axis=0)
    updates = write.node("Reshape", gradient, flat)
    place = [1] * axes
    place[axis] = -1
    places = write.node("Reshape", indices, write.integers(*place))
    places = write.node("Expand", places, write.node("Shape", updates))
    zeros = write.node("ConstantOfShape", shape)
    return write.node("ScatterElements", zeros, places, updates, axis=axis, reduction="add")


def _gather_elements_gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, shape, indices = inputs_of(node, 3)
    zeros = write.node("ConstantOfShape", shape)
    axis = integer(node, "axis", 0)
    return write.node("ScatterElements", zeros, indices, gradient, axis=axis, reduction="add")


GATHER: dict[str, Lowering] = {
    "GatherElementsGrad": Lowering(_gather_elements_gradient),
    "GatherGrad": Lowering(_gather_gradient),
}
