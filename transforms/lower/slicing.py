"""The gradient of Slice: zeros where nothing was taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import inputs_of, known_constant, known_rank, static_shape
from svgd_onnx.transforms.writer import Writer


def _gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, shape, *_ = inputs_of(node, 4)
    dims = known_rank(node.outputs[0], of="its output")
    return put_back(write, gradient, shape, node.inputs[2:], dims)


def _of_int64(write: Writer, value: ir.Value | None) -> ir.Value | None:
    if value is None or value.dtype in (None, ir.DataType.INT64):
        return value
    if value.const_value is not None:
        return write.constant(value.const_value.numpy().astype(np.int64))
    return write.node("Cast", value, to=ir.DataType.INT64.value)


def put_back(
    write: Writer,
    gradient: ir.Value,
    shape: ir.Value,
    bounds: Sequence[ir.Value | None],
    dims: int,
) -> ir.Value:
    """A gradient where a Slice took it from.

    Args:
        write: where it is written.
        gradient: of what was taken.
        shape: of what it was taken from, a vector of `dims` sizes.
        bounds: the inputs of Slice after its first.
        dims: how many axes there are.

    Raises:
        RefusedError: the axes are not constant.
    """
    # of int32 they would not stand beside sizes, which are of int64
    starts, ends, axes, steps = [_of_int64(write, value) for value in [*bounds, None, None][:4]]
    assert starts is not None and ends is not None
    if axes is None:
        count = static_shape(starts)
        given = np.arange(count[0] if count else dims)
    else:
        given = known_constant(axes, "its axes are")
    result = gradient
    # One axis after another: its positions, sliced as it was, say where the slices lie.
    for position, axis in enumerate(int(axis) % dims for axis in given.ravel()):
        length = write.node("Slice", shape, write.integers(axis), write.integers(axis + 1))
        everything = write.positions(length)

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


SLICING: dict[str, Lowering] = {"SliceGrad": Lowering(_gradient)}
