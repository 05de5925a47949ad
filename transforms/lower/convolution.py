"""The gradients of Conv."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import fixed_sizes, inputs_of, integer, integers, static_shape
from svgd_onnx.transforms.writer import Writer

# Columns of a matrix product, below which those for several elements of the kernel are done in one. With
# as many, products by themselves are quicker than one of them all, and need no memory to join what each reads.
_COLUMNS = 16

# Elements of the kernel, above which the weight's gradient is a convolution: each takes nodes of its own.
_MOST_ELEMENTS = 256

# An end of Slice beyond any size.
_TO_THE_END = 2**31 - 1


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


def _gradient(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    gradient, x, weight = inputs_of(node, 3)
    wanted = [bool(value.name) for value in node.outputs] + [False, False]
    kernel = integers(node, "kernel_shape", ()) or list(fixed_sizes(weight, 2, of="its weight"))
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
        _of_weight(write, convolution, gradient, x, static_shape(weight)) if wanted[1] else None,
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
    reach = [(size - 1) * step for size, step in zip(convolution.kernel, convolution.dilations)]
    missing = [
        [most - pads[side] for most, pads in zip(reach, convolution.pads)] for side in (0, 1)
    ]
    shape = static_shape(weight)
    if (
        shape is not None
        and all(stride == 1 for stride in convolution.strides)
        and min(itertools.chain(*missing)) >= 0
    ):
        turned = _turned(write, convolution, weight, shape)
        return write.node(
            "Conv", gradient, turned, **attributes, pads=list(itertools.chain(*missing))
        )
    dims = convolution.dims
    pads = [pad for pad, _ in convolution.pads] + [pad for _, pad in convolution.pads]
    rest = _rest(convolution, x, gradient)
    if rest is not None and pads[:dims] == pads[dims:]:
        return write.node(
            "ConvTranspose", gradient, weight, **attributes, pads=pads, output_padding=rest
        )
    if rest is not None:
        # CUDA's kernel takes the same pads at both ends only, and leaves others to the processor.
        whole = write.node("ConvTranspose", gradient, weight, **attributes, output_padding=rest)
        return write.node(
            "Slice",
            whole,
            write.integers(*pads[:dims]),
            write.integers(*[-pad if pad else _TO_THE_END for pad in pads[dims:]]),
            write.integers(*range(2, dims + 2)),
        )
    # How far a stride overran the input is not known: made large enough, and cut to size.
    whole = write.node("ConvTranspose", gradient, weight, **attributes)
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


def _turned(
    write: Writer, convolution: _Convolution, weight: ir.Value, shape: tuple[int, ...]
) -> ir.Value:
    """The weights of the convolution that takes dY to dX: outputs for inputs, backwards in space."""
    group, dims = convolution.group, convolution.dims
    parts = write.integers(group, shape[0] // group, *shape[1:])
    swapped = write.node(
        "Transpose", write.node("Reshape", weight, parts), perm=[0, 2, 1, *range(3, dims + 3)]
    )
    whole = write.integers(group * shape[1], shape[0] // group, *shape[2:])
    return write.node(
        "Slice",
        write.node("Reshape", swapped, whole),
        write.integers(*[-1] * dims),
        write.integers(*[-(2**31)] * dims),
        write.integers(*range(2, dims + 2)),
        write.integers(*[-1] * dims),
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
    write: Writer,
    convolution: _Convolution,
    gradient: ir.Value,
    x: ir.Value,
    shape: tuple[int, ...] | None,
) -> ir.Value:
    sizes = static_shape(gradient, 2)
    if shape is not None and sizes is not None and prod(convolution.kernel) <= _MOST_ELEMENTS:
        return _by_products(write, convolution, gradient, x, shape, sizes)
    return _by_convolution(write, convolution, gradient, x)


def _by_products(
    write: Writer,
    convolution: _Convolution,
    gradient: ir.Value,
    x: ir.Value,
    shape: tuple[int, ...],
    sizes: Sequence[int],
) -> ir.Value:
    """The products of dY with what each element of the kernel saw of x, summed over the batch.

    What one product reads is done with before the next, so that the memory is that of x, and not of x
    unfolded, which is the kernel's size times as much.
    """
    outputs, channels = shape[0] // convolution.group, shape[1]
    if any(any(pads) for pads in convolution.pads):
        before, after = zip(*convolution.pads)
        x = write.node("Pad", x, write.integers(0, 0, *before, 0, 0, *after))
    rows = write.node(
        "Reshape", gradient, write.integers(0, convolution.group, outputs, prod(sizes))
    )
    elements = list(itertools.product(*(range(size) for size in convolution.kernel)))
    together = max(1, _COLUMNS // channels)
    parts = []
    for first in range(0, len(elements), together):
        offsets = elements[first : first + together]
        seen = [_seen(write, convolution, x, offset, channels, sizes) for offset in offsets]
        unfolded = seen[0] if len(seen) == 1 else write.node("Concat", *seen, axis=2)
        turned = write.node("Transpose", unfolded, perm=[0, 1, 3, 2])
        product = write.node("MatMul", rows, turned)
        total = write.reduce("ReduceSum", product, [0], keepdims=False)
        part = write.node("Reshape", total, write.integers(shape[0], len(seen), channels))
        parts.append(write.node("Transpose", part, perm=[0, 2, 1]))
    whole = parts[0] if len(parts) == 1 else write.node("Concat", *parts, axis=2)
    return write.node("Reshape", whole, write.integers(*shape))


def _seen(
    write: Writer,
    convolution: _Convolution,
    x: ir.Value,
    offset: Sequence[int],
    channels: int,
    sizes: Sequence[int],
) -> ir.Value:
    """What an element of the kernel saw of x, which is padded: (N, G, C / G, positions of the output)."""
    starts = [o * dilation for o, dilation in zip(offset, convolution.dilations)]
    ends = [
        start + (size - 1) * stride + 1
        for start, size, stride in zip(starts, sizes, convolution.strides)
    ]
    part = write.node(
        "Slice",
        x,
        write.integers(*starts),
        write.integers(*ends),
        write.integers(*range(2, convolution.dims + 2)),
        write.integers(*convolution.strides),
    )
    return write.node("Reshape", part, write.integers(0, convolution.group, channels, prod(sizes)))


def _by_convolution(
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


CONVOLUTION: dict[str, Lowering] = {"ConvGrad": Lowering(_gradient)}
