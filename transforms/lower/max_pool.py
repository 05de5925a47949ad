"""The gradient of MaxPool, from the places that the maxima came from."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import RefusedError, inputs_of, integer, integers, static_shape, text
from svgd_onnx.transforms.writer import Writer


def _gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, places = inputs_of(node, 2)
    forward = places.producer()
    if forward is None or forward.inputs[0] is None:
        raise RefusedError("the graph does not say what it pooled")
    return put_back(write, gradient, places, forward)


def put_back(write: Writer, gradient: ir.Value, places: ir.Value, forward: ir.Node) -> ir.Value:
    """A gradient where the maxima came from.

    Args:
        write: where it is written.
        gradient: of the maxima.
        places: where they lay in the flat input.
        forward: the MaxPool.
    """
    (x,) = inputs_of(forward, 1)
    shape = _shape(write, gradient, x)
    kernel = integers(forward, "kernel_shape", [])
    strides = integers(forward, "strides", [1] * len(kernel))
    dilations = integers(forward, "dilations", [1] * len(kernel))
    # MaxUnpool asks for windows that lie inside of what was pooled.
    inside = not any(integers(forward, "pads", [])) and not integer(forward, "ceil_mode", 0)
    inside = inside and not text(forward, "auto_pad", "NOTSET").startswith("SAME")
    if strides == kernel and inside and all(size == 1 for size in dilations):
        # No two windows share a maximum.
        return write.node(
            "MaxUnpool", gradient, places, shape, kernel_shape=kernel, strides=strides
        )
    flat = write.integers(-1)
    size = write.reduce("ReduceProd", shape, [0])
    total = write.node(
        "ScatterElements",
        write.node("ConstantOfShape", size),
        write.node("Reshape", places, flat),
        write.node("Reshape", gradient, flat),
        axis=0,
        reduction="add",
    )
    return write.node("Reshape", total, shape)


def _shape(write: Writer, gradient: ir.Value, x: ir.Value) -> ir.Value:
    """What was pooled has the gradient's batch and channels; where it is read for its shape, it is kept."""
    sizes = static_shape(x, 2)
    if sizes is None:
        return write.node("Shape", x)
    return write.node(
        "Concat", write.node("Shape", gradient, end=2), write.integers(*sizes), axis=0
    )


MAX_POOL: dict[str, Lowering] = {"MaxPoolGrad": Lowering(_gradient, domain="")}
