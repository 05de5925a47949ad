"""Convolutions whose padding follows from the size of the input."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, inputs_of, integer, integers, static_shape, text
from svgd_onnx.transforms.writer import Writer


def conv(node: ir.Node, write: Writer) -> ir.Value | None:
    """onnxruntime's ConvGrad takes auto_pad SAME_UPPER and SAME_LOWER for no padding at all (1.19.2)."""
    mode = text(node, "auto_pad", "NOTSET")
    x, weight = inputs_of(node, 2)
    kernel = static_shape(weight, 2)
    if mode not in ("SAME_UPPER", "SAME_LOWER") or kernel is None:
        return None
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
    if sizes is not None:
        totals = [
            max((ceil(size / stride) - 1) * stride + extent - size, 0)
            for size, stride, extent in zip(sizes, strides, extents)
        ]
        smaller, larger = [t // 2 for t in totals], [t - t // 2 for t in totals]
        pads = smaller + larger if mode == "SAME_UPPER" else larger + smaller
        return write.node("Conv", *node.inputs, pads=pads, **attributes)
    padded = _pad_to_same(write, x, strides, extents, mode)
    return write.node("Conv", padded, *node.inputs[1:], **attributes)


def _pad_to_same(
    write: Writer, x: ir.Value, strides: Sequence[int], extents: Sequence[int], mode: str
) -> ir.Value:
    """x with the padding that its size asks for when it is known."""
    size = write.node("Shape", x, start=2)
    stride, one, two = write.integers(*strides), write.integers(1), write.integers(2)
    steps = write.node(
        "Div", write.node("Sub", size, one), stride
    )  # one less than the output's size
    reach = write.node("Add", write.node("Mul", steps, stride), write.integers(*extents))
    total = write.node("Max", write.node("Sub", reach, size), write.integers(0))
    smaller = write.node("Div", total, two)
    larger = write.node("Sub", total, smaller)
    before, after = (smaller, larger) if mode == "SAME_UPPER" else (larger, smaller)
    none = write.integers(0, 0)
    return write.node("Pad", x, write.node("Concat", none, before, none, after, axis=0))


SAME_PADDING: dict[str, Rule] = {"Conv": conv}
