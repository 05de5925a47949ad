"""The gradient of Slice: zeros where nothing was taken."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, constant_value, inputs_of, rank
from svgd_onnx.transforms.writer import Writer


def _gradient(node: ir.Node, write: Writer) -> ir.Value | None:
    gradient, shape, starts, ends = inputs_of(node, 4)
    axes = _optional(node, 4)
    steps = _optional(node, 5)
    given, first, dims = constant_value(axes), constant_value(starts), rank(node.outputs[0])
    if given is None and axes is None and first is not None:
        given = np.arange(len(first))
    if dims is None or given is None:
        return None
    result = gradient
    # One axis after another: its positions, sliced as it was, say where the slices lie.
    for position, axis in enumerate(int(axis) % dims for axis in given.ravel()):
        length = write.node("Slice", shape, write.integers(axis), write.integers(axis + 1))
        everything = write.node(
            "Range",
            write.constant(np.array(0)),
            write.node("Reshape", length, write.constant(np.array([], np.int64))),
            write.constant(np.array(1)),
        )

        def part(value: ir.Value, position: int = position) -> ir.Value:
            return write.node(
                "Slice", value, write.integers(position), write.integers(position + 1)
            )

        bounds = [part(starts), part(ends), write.integers(0)]
        taken = write.node("Slice", everything, *bounds, *([part(steps)] if steps else []))
        place = [1] * dims
        place[axis] = -1
        present = write.node("Shape", result)
        places = write.node("Reshape", taken, write.integers(*place))
        places = write.node("Expand", places, present)
        parts = [length]
        if axis:
            parts.insert(0, write.node("Slice", present, write.integers(0), write.integers(axis)))
        if axis + 1 < dims:
            after = write.integers(axis + 1), write.integers(dims)
            parts.append(write.node("Slice", present, *after))
        zeros = write.node("ConstantOfShape", write.node("Concat", *parts, axis=0))
        result = write.node("ScatterElements", zeros, places, result, axis=axis)
    return result


def _optional(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if len(node.inputs) > index else None


SLICING: dict[str, Rule] = {"SliceGrad": _gradient}
