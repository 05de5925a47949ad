"""Convolutions: Conv with its padding spelt out, ConvTranspose as a Conv of the input spread with zeros."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.decompose.same_padding import pad_to_same, same_padding, split_padding
from svgd_onnx.transforms.rule import (
    Rule,
    fixed_sizes,
    input_of,
    inputs_of,
    integer,
    integers,
    static_shape,
    text,
)
from svgd_onnx.transforms.writer import Writer

_SAME = ("SAME_UPPER", "SAME_LOWER")


def conv(node: ir.Node, write: Writer) -> ir.Value | None:
    """onnxruntime's ConvGrad takes auto_pad SAME_UPPER and SAME_LOWER for no padding at all (1.19.2)."""
    mode = text(node, "auto_pad", "NOTSET")
    if mode not in _SAME:
        return None
    x, weight = inputs_of(node, 2)
    kernel = fixed_sizes(weight, 2, of="its weight")
    strides = integers(node, "strides", [1] * len(kernel))
    dilations = integers(node, "dilations", [1] * len(kernel))
    extents = [(size - 1) * spread + 1 for size, spread in zip(kernel, dilations)]
    attributes = {
        "dilations": dilations,
        "group": integer(node, "group", 1),
        "kernel_shape": list(kernel),
        "strides": strides,
    }
    sizes = static_shape(x, 2)
    if sizes is None and all(stride == 1 for stride in strides):
        sizes = tuple(extents)  # any: with stride 1 the padding does not depend on it
    if sizes is None:
        padded = pad_to_same(write, x, strides, extents, mode)
        return write.node("Conv", padded, *node.inputs[1:], **attributes)
    sides = [same_padding(mode, *axis) for axis in zip(sizes, strides, extents)]
    pads = [before for before, _ in sides] + [after for _, after in sides]
    return write.node("Conv", *node.inputs, pads=pads, **attributes)


def conv_transpose(node: ir.Node, write: Writer) -> ir.Value:
    """onnxruntime has no CPU kernel for ConvTransposeGrad (1.19.2).

    The kernel of the convolution is the weight with its channels swapped and its axes reversed.
    """
    x, weight = inputs_of(node, 2)
    channels, *spatial = fixed_sizes(x, 1)
    shape = fixed_sizes(weight, of="its weight")
    result = fixed_sizes(node.outputs[0], 2, of="its output")
    kernel = shape[2:]

    count = len(spatial)
    strides = integers(node, "strides", [1] * count)
    dilations = integers(node, "dilations", [1] * count)
    pads = integers(node, "pads", [0] * (2 * count))
    mode = text(node, "auto_pad", "NOTSET")
    if "output_shape" in node.attributes or mode in _SAME:
        extra = integers(node, "output_padding", [0] * count)
        total = [
            stride * (size - 1) + more + (length - 1) * dilation + 1 - output
            for stride, size, more, length, dilation, output in zip(
                strides, spatial, extra, kernel, dilations, result
            )
        ]
        pads = [split_padding(mode, padding)[0] for padding in total]

    spread = [(size - 1) * stride + 1 for size, stride in zip(spatial, strides)]
    x = _spread(write, x, channels, spatial, strides)
    spans = [(size - 1) * dilation for size, dilation in zip(kernel, dilations)]
    before = [span - pad for span, pad in zip(spans, pads)]
    after = [
        output + span - size - first
        for output, span, size, first in zip(result, spans, spread, before)
    ]
    # negative padding crops
    padding = np.array([0, 0, *before, 0, 0, *after], np.int64)
    if padding.any():
        x = write.node("Pad", x, write.constant(padding))

    group = integer(node, "group", 1)
    weight = _reversed(write, weight, len(spatial))
    grouped = write.node("Reshape", weight, write.integers(group, shape[0] // group, *shape[1:]))
    order = [0, 2, 1, *range(3, 3 + len(spatial))]
    swapped = write.node("Transpose", grouped, perm=order)
    weight = write.node(
        "Reshape", swapped, write.integers(group * shape[1], shape[0] // group, *kernel)
    )
    bias = input_of(node, 2)
    arguments = [x, weight] if bias is None else [x, weight, bias]
    return write.node(
        "Conv", *arguments, group=group, dilations=dilations, kernel_shape=list(kernel)
    )


def _spread(
    write: Writer, x: ir.Value, channels: int, spatial: list[int], strides: list[int]
) -> ir.Value:
    """Puts stride - 1 zeros between neighbours."""
    if all(stride == 1 for stride in strides):
        return x
    apart = [size for axis in spatial for size in (axis, 1)]
    x = write.node("Reshape", x, write.integers(0, channels, *apart))
    zeros = [0, 0] + [zero for stride in strides for zero in (0, stride - 1)]
    x = write.node("Pad", x, write.integers(*[0] * len(zeros), *zeros))
    wide = [size * stride for size, stride in zip(spatial, strides)]
    x = write.node("Reshape", x, write.integers(0, channels, *wide))
    crop = [1 - stride for stride in strides]
    return write.node("Pad", x, write.integers(*[0] * (4 + len(crop)), *crop))


def _reversed(write: Writer, weight: ir.Value, spatial: int) -> ir.Value:
    shape = fixed_sizes(weight, of="its weight")
    for axis in range(2, 2 + spatial):
        if shape[axis] > 1:
            backwards = write.integers(*reversed(range(shape[axis])))
            weight = write.node("Gather", weight, backwards, axis=axis)
    return weight


CONVOLUTIONS: dict[str, Rule] = {"Conv": conv, "ConvTranspose": conv_transpose}
