"""The gradient of MaxPool, from the places that the maxima came from."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import RefusedError, inputs_of, integer, integers, text
from svgd_onnx.transforms.writer import Writer


def _gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, places = inputs_of(node, 2)
    forward = places.producer()
    if forward is None or forward.inputs[0] is None:
        raise RefusedError("the graph does not say what it pooled")
    shape = write.node("Shape", forward.inputs[0])
    kernel = integers(node, "kernel_shape", [])
    strides = integers(node, "strides", [1] * len(kernel))
    dilations = integers(node, "dilations", [1] * len(kernel))
    # MaxUnpool asks for windows that lie inside of what was pooled.
    inside = not any(integers(node, "pads", [])) and not integer(node, "ceil_mode", 0)
    inside = inside and not text(node, "auto_pad", "NOTSET").startswith("SAME")
    if strides == kernel and inside and all(size == 1 for size in dilations):
        # No two windows share a maximum.
        return write.node(
            "MaxUnpool", gradient, places, shape, kernel_shape=kernel, strides=strides
        )
    flat = write.integers(-1)
    size = write.node("Reshape", write.node("Size", forward.inputs[0]), flat)
    total = write.node(
        "ScatterElements",
        write.node("ConstantOfShape", size),
        write.node("Reshape", places, flat),
        write.node("Reshape", gradient, flat),
        axis=0,
        reduction="add",
    )
    return write.node("Reshape", total, shape)


MAX_POOL: dict[str, Lowering] = {"MaxPoolGrad": Lowering(_gradient, domain="")}
