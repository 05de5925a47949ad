"""BatchNormalization in training mode, and its gradient.

The standard operator has a training mode too, but gives neither the batch's statistics nor runs on
every execution provider.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import inputs_of, known_rank, number
from svgd_onnx.transforms.writer import Writer

# Activations with a gradient that reads their output.
_READ_FROM_THEIR_OUTPUT = frozenset({"LeakyRelu", "Relu", "Sigmoid", "Tanh"})


def per_channel(write: Writer, value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """(C) as (C, 1, ...), to be broadcast along the axes after the channels."""
    return (
        write.node("Unsqueeze", value, write.integers(*range(1, len(axes)))) if axes[1:] else value
    )


def _mean(write: Writer, value: ir.Value, axes: Sequence[int]) -> ir.Value:
    return write.reduce("ReduceMean", value, axes, keepdims=False)


def all_but_channels(*values: ir.Value) -> list[int]:
    """All axes but that of the channels."""
    return [0, *range(2, known_rank(*values))]


def _normalization(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    """Outputs: y, the new running mean and variance, the batch's mean and 1 / standard deviation."""
    x = inputs_of(node, 5)[0]
    axes = all_but_channels(x)
    mean = _mean(write, x, axes)
    centred = write.node("Sub", x, per_channel(write, mean, axes))
    variance = _mean(write, write.node("Mul", centred, centred), axes)
    return outputs_of(node, write, centred, mean, variance)


def outputs_of(
    node: ir.Node, write: Writer, centred: ir.Value, mean: ir.Value, variance: ir.Value
) -> list[ir.Value | None]:
    """y, the new running mean and variance, the mean and 1 / standard deviation, by the statistics of a batch.

    Args:
        node: the normalization.
        write: where to.
        centred: x less the mean.
        mean: of each channel, (C,), like the next.
        variance: around it.
    """
    x, scale, shift, *before = inputs_of(node, 5)
    axes, momentum = all_but_channels(x), number(node, "momentum", 0.9)
    epsilon = write.scalar(number(node, "epsilon", 1e-5))
    inverse = write.node("Reciprocal", write.node("Sqrt", write.node("Add", variance, epsilon)))
    factor = per_channel(write, write.node("Mul", scale, inverse), axes)
    y = write.node("Add", write.node("Mul", centred, factor), per_channel(write, shift, axes))
    running = (
        write.node(
            "Add",
            write.node("Mul", old, write.scalar(momentum)),
            write.node("Mul", new, write.scalar(1 - momentum)),
        )
        for old, new in zip(before, (mean, variance))
    )
    return [y, *running, mean, inverse]


def _gradient(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    """dX = scale/deviation (dY - mean(dY) - n mean(dY n)) for n, x normalized."""
    gradient, x, scale, mean, inverse = inputs_of(node, 5)
    axes = all_but_channels(x, gradient)
    centred = _centred_again(write, x, per_channel(write, mean, axes))
    d_shift = write.reduce("ReduceSum", gradient, axes, keepdims=False)
    product = write.reduce("ReduceSum", write.node("Mul", gradient, centred), axes, keepdims=False)
    d_scale = write.node("Mul", product, inverse)
    # All that is of a channel first, so that the whole tensor is gone through few times.
    # Of the gradient, not of x, which would be kept for it.
    sizes = [write.node("Shape", gradient, start=axis, end=axis + 1) for axis in axes]
    count = sizes[0]
    for size in sizes[1:]:
        count = write.node("Mul", count, size)
    share = write.node("Reciprocal", write.cast(count, "float32"))
    factor = write.node("Mul", scale, inverse)
    negative = write.node("Neg", write.node("Mul", factor, share))
    of_x = write.node("Mul", negative, write.node("Mul", d_scale, inverse))
    constant = write.node("Mul", negative, d_shift)
    dx = write.node(
        "Add",
        write.node("Mul", gradient, per_channel(write, factor, axes)),
        write.node("Mul", centred, per_channel(write, of_x, axes)),
    )
    dx = write.node("Add", dx, per_channel(write, constant, axes))
    return [dx, d_scale, d_shift]


def _centred_again(write: Writer, x: ir.Value, mean: ir.Value) -> ir.Value:
    """x less its mean, which the forward pass has computed too.

    As the same nodes it is kept in place of x. Where x is kept anyway, for an activation's gradient reads
    what it gave, other nodes of the same bits are computed again.
    """
    producer = x.producer()
    if producer is not None and producer.op_type in _READ_FROM_THEIR_OUTPUT:
        return write.node("Add", x, write.node("Neg", mean))
    return write.node("Sub", x, mean)


BATCH_NORMALIZATION: dict[str, Lowering] = {
    "BatchNormInternal": Lowering(_normalization, forward=True),
    "BatchNormalizationGrad": Lowering(_gradient),
}
