"""The gradients of Conv."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    Rule,
    Writer,
    inputs_of,
    integer,
    integers,
    rank,
    static_shape,
)


@dataclass(frozen=True)
class _Convolution:
    """A Conv: sizes and attributes, for each spatial axis where there are several.

    Attributes:
        pads: before and after, for each axis.
    """

    group: int
    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[tuple[int, int]]

    @property
    def dims(self) -> int:
        """How many spatial axes there are."""
        return len(self.kernel)


def _gradient(node: ir.Node, write: Writer) -> list[ir.Value | None] | None:
    gradient, x, weight = inputs_of(node, 3)
    wanted = [bool(value.name) for value in node.outputs] + [False, False]
    shape = static_shape(weight, 2)
    if shape is None and rank(weight) is None and "kernel_shape" not in node.attributes:
        return None
    kernel = integers(node, "kernel_shape", shape or ())
    dims = len(kernel)
    pads = integers(node, "pads", [0] * 2 * dims)
    convolution = _Convolution(
        integer(node, "group", 1),
        kernel,
        integers(node, "strides", [1] * dims),
        integers(node, "dilations", [1] * dims),
        list(zip(pads[:dims], pads[dims:])),
    )
    outputs = [
        _of_input(write, convolution, gradient, x, weight) if wanted[0] else None,
        _of_weight(write, convolution, gradient, x) if wanted[1] else None,
        write.reduce("ReduceSum", gradient, [0, *range(2, dims + 2)], keepdims=False)
        if wanted[2]
        else None,
    ]
    return outputs[: len(node.outputs)]


def _of_input(
    write: Writer, convolution: _Convolution, gradient: ir.Value, x: ir.Value, weight: ir.Value
) -> ir.Value:
    attributes = {
        "group": convolution.group,
        "kernel_shape": convolution.kernel,
        "strides": convolution.strides,
        "dilations": convolution.dilations,
    }
    pads = [pad for pad, _ in convolution.pads] + [pad for _, pad in convolution.pads]
    rest = _rest(convolution, x, gradient)
    if rest is not None:
        return write.node(
            "ConvTranspose", gradient, weight, **attributes, pads=pads, output_padding=rest
        )
    # How far a stride overran the input is not known: made large enough, and cut to size.
    whole = write.node("ConvTranspose", gradient, weight, **attributes)
    dims = convolution.dims
    widened = write.node(
        "Pad",
        whole,
        write.integers(*[0] * (dims + 2), 0, 0, *[stride - 1 for stride in convolution.strides]),
    )
    before = write.integers(*pads[:dims])
    sizes = write.node("Shape", x, start=2)
    return write.node(
        "Slice",
        widened,
        before,
        write.node("Add", before, sizes),
        write.integers(*range(2, dims + 2)),
    )


def _rest(convolution: _Convolution, x: ir.Value, gradient: ir.Value) -> list[int] | None:
    """By how much each axis of the input ends beyond the last window."""
    if all(stride == 1 for stride in convolution.strides):
        return [0] * convolution.dims
    inputs, outputs = static_shape(x, 2), static_shape(gradient, 2)
    if inputs is None or outputs is None:
        return None
    return [
        size + sum(pads) - dilation * (kernel - 1) - 1 - (output - 1) * stride
        for size, output, kernel, stride, dilation, pads in zip(
            inputs,
            outputs,
            convolution.kernel,
            convolution.strides,
            convolution.dilations,
            convolution.pads,
        )
    ]


def _of_weight(
    write: Writer, convolution: _Convolution, gradient: ir.Value, x: ir.Value
) -> ir.Value:
    """A convolution of x with dY: the batch takes the part of the channels, strides that of dilations."""
    dims, group = convolution.dims, convolution.group
    spatial = range(2, dims + 2)
    if group == 1:
        images = write.node("Transpose", x, perm=[1, 0, *spatial])
    else:
        # (N, G C, ...) -> (C, G N, ...)
        sizes = write.node("Shape", x, start=2)
        channels = write.node("Shape", x, start=1, end=2)
        parts = write.node("Div", channels, write.integers(group))
        shape = write.node("Concat", write.integers(0, group), parts, sizes, axis=0)
        split = write.node("Reshape", x, shape)
        turned = write.node("Transpose", split, perm=[2, 1, 0, *range(3, dims + 3)])
        shape = write.node("Concat", write.integers(0, -1), sizes, axis=0)
        images = write.node("Reshape", turned, shape)
    whole = write.node(
        "Conv",
        images,
        write.node("Transpose", gradient, perm=[1, 0, *spatial]),
        group=group,
        strides=convolution.dilations,
        dilations=convolution.strides,
        pads=[pad for pad, _ in convolution.pads] + [pad for _, pad in convolution.pads],
    )
    # What a stride overran gives positions beyond the kernel.
    kernel = write.node(
        "Slice",
        whole,
        write.integers(*[0] * dims),
        write.integers(*convolution.kernel),
        write.integers(*spatial),
    )
    return write.node("Transpose", kernel, perm=[1, 0, *spatial])


CONVOLUTION: dict[str, Rule] = {"ConvGrad": _gradient}
