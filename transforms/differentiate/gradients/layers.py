"""Convolutions, normalizations, Dropout and cross-entropy, of which the training set has gradients."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.decompose.same_padding import split_padding
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import product_of, shape_of, sizes_of
from svgd_onnx.transforms.rule import (
    attributes_of,
    fixed_size,
    fixed_sizes,
    input_of,
    inputs_of,
    integer,
    integers,
    known_constant,
    known_rank,
    number,
    text,
)
from svgd_onnx.transforms.writer import Writer


def conv(back: Backward) -> Gradients:
    x, weight = inputs_of(back.node, 2)
    outputs = back.training(
        "ConvGrad", back.dy, x, weight, outputs=len(back.node.inputs), **attributes_of(back.node)
    )
    for value, wanted in zip(outputs, back.wanted):
        if not wanted:
            value.name = ""  # what has no name is not computed
    return [value if wanted else None for value, wanted in zip(outputs, back.wanted)]


def conv_transpose(back: Backward) -> Gradients:
    """Y is to X what the input of a Conv with these attributes is to its output."""
    x, weight = inputs_of(back.node, 2)
    write, dims = back.write, known_rank(back.x) - 2
    attributes = attributes_of(back.node)
    for name in ("auto_pad", "output_padding", "output_shape"):
        attributes.pop(name, None)
    attributes["pads"] = _transposed_pads(back, dims)

    def of_x() -> ir.Value:
        result = write.node("Conv", back.dy, weight, **attributes)
        if "output_shape" not in back.node.attributes:
            return result
        # there may be room for more
        first, axes = write.integers(*[0] * dims), write.integers(*range(2, dims + 2))
        return write.node("Slice", result, first, sizes_of(write, x, 2), axes)

    def of_weight() -> ir.Value:
        unused, result = back.training("ConvGrad", x, back.dy, weight, outputs=2, **attributes)
        unused.name = ""  # what has no name is not computed
        return result

    return back.each(
        of_x,
        of_weight,
        lambda: write.reduce("ReduceSum", back.dy, [0, *range(2, dims + 2)], keepdims=False),
    )


def _transposed_pads(back: Backward, dims: int) -> list[int]:
    """The padding, which may follow from the size of the output: what is missing to the whole reach."""
    node = back.node
    mode = text(node, "auto_pad", "NOTSET")
    given = integers(node, "output_shape", ())[-dims:]
    if not given and not mode.startswith("SAME"):
        return integers(node, "pads", [0] * 2 * dims)
    kernel = fixed_sizes(inputs_of(node, 2)[1], 2, "its weight")
    strides = integers(node, "strides", [1] * dims)
    dilations = integers(node, "dilations", [1] * dims)
    extra = integers(node, "output_padding", [0] * dims)
    sides = []
    for axis in range(dims):
        # of an output as many times as large as the input as the stride is wide, whatever its size
        reach = extra[axis] + (kernel[axis] - 1) * dilations[axis] + 1 - strides[axis]
        if given:
            reach += strides[axis] * fixed_size(back.x, axis + 2) - given[axis]
        sides.append(split_padding(mode, max(reach, 0)))
    return [before for before, _ in sides] + [after for _, after in sides]


def batch_normalization(back: Backward) -> Gradients:
    """By the statistics of the batch, which the last two outputs hold.

    The running ones, which the second and third output hold, follow those of the batch: a share of
    1 - momentum of the mean, and of the variance.
    """
    x, scale = inputs_of(back.node, 2)
    mean, inverse = back.node.outputs[3:5]
    dy, *running = back.gradients[:3]
    write, node = back.write, back.write.node
    gradients: list[ir.Value | None] = [None] * 3
    if dy is not None:
        epsilon = number(back.node, "epsilon", 1e-5)
        gradients = list(
            back.training(
                "BatchNormalizationGrad", dy, x, scale, mean, inverse, outputs=3, epsilon=epsilon
            )
        )
    if all(gradient is None for gradient in running):
        return gradients
    rank, momentum = known_rank(x), number(back.node, "momentum", 0.9)
    elements = node("Div", write.count(x), write.count(scale))
    share = node("Div", write.scalar(1 - momentum), write.cast(elements, "float32"))
    of_mean, of_variance = (
        None if each is None else _per_channel(write, node("Mul", each, share), rank)
        for each in running
    )
    parts = [] if gradients[0] is None else [gradients[0]]
    if of_mean is not None:
        parts.append(node("Expand", of_mean, shape_of(write, x)))
    if of_variance is not None:
        centred = node("Sub", x, _per_channel(write, mean, rank))
        parts.append(node("Mul", node("Mul", centred, write.scalar(2)), of_variance))
    before = [
        None if each is None else node("Mul", each, write.scalar(momentum)) for each in running
    ]
    return [parts[0] if len(parts) == 1 else node("Sum", *parts), *gradients[1:], *before]


def _per_channel(write: Writer, value: ir.Value, rank: int) -> ir.Value:
    """(C) as (C, 1, ...), to go with (N, C, ...)."""
    return (
        value if rank <= 2 else write.node("Unsqueeze", value, write.integers(*range(1, rank - 1)))
    )


def frozen_batch_normalization(back: Backward) -> Gradients:
    """By statistics that are given: a scale and a shift for each channel."""
    x, scale, _, mean, variance = inputs_of(back.node, 5)
    write, node, rank = back.write, back.write.node, known_rank(back.x)
    others = [0, *range(2, rank)]
    raised = node("Add", variance, write.scalar(number(back.node, "epsilon", 1e-5)))
    inverse = node("Reciprocal", node("Sqrt", raised))

    def total(value: ir.Value) -> ir.Value:
        return write.reduce("ReduceSum", value, others, keepdims=False)

    def of_scale() -> ir.Value:
        centred = node("Sub", x, _per_channel(write, mean, rank))
        return total(node("Mul", back.dy, node("Mul", centred, _per_channel(write, inverse, rank))))

    return back.each(
        lambda: node("Mul", back.dy, _per_channel(write, node("Mul", scale, inverse), rank)),
        of_scale,
        lambda: total(back.dy),
        lambda: node("Neg", node("Mul", total(back.dy), node("Mul", scale, inverse))),
        lambda: node(
            "Mul", of_scale(), node("Div", node("Mul", scale, write.scalar(-0.5)), raised)
        ),
    )


def layer_normalization(back: Backward) -> Gradients:
    x, scale = inputs_of(back.node, 2)
    _, mean, inverse = back.node.outputs
    _, d_mean, d_inverse = back.gradients
    write, node = back.write, back.write.node
    rank = known_rank(x)
    axis = integer(back.node, "axis", -1) % rank
    gradients: list[ir.Value | None] = [None] * len(back.node.inputs)
    if back.gradients[0] is not None:
        gradients = list(
            back.training(
                "LayerNormalizationGrad",
                back.dy,
                x,
                scale,
                mean,
                inverse,
                outputs=len(back.node.inputs),
                axis=integer(back.node, "axis", -1),
            )
        )
    parts = [] if gradients[0] is None else [gradients[0]]
    # mean and 1 / deviation change by 1 / n and -(x - mean) / deviation^3 / n
    count = write.cast(product_of(write, x, axis, rank), "float32")
    if d_mean is not None:
        parts.append(node("Div", d_mean, count))
    if d_inverse is not None:
        cube = node("Mul", node("Mul", inverse, inverse), inverse)
        slope = node("Neg", node("Mul", node("Sub", x, mean), node("Div", cube, count)))
        parts.append(node("Mul", d_inverse, slope))
    if d_mean is None and d_inverse is None:
        return gradients
    total = node("Sum", *parts)
    return [node("Expand", total, shape_of(write, x)), *gradients[1:]]


def instance_normalization(back: Backward) -> Gradients:
    """dX = (g - mean(g) - n mean(g n)) / deviation for g = dY scale and n, x normalized."""
    x, scale = inputs_of(back.node, 2)
    write, node, rank = back.write, back.write.node, known_rank(back.x)
    axes = list(range(2, rank))

    def mean(value: ir.Value) -> ir.Value:
        return write.reduce("ReduceMean", value, axes)

    centred = node("Sub", x, mean(x))
    variance = mean(node("Mul", centred, centred))
    epsilon = write.scalar(number(back.node, "epsilon", 1e-5))
    inverse = node("Reciprocal", node("Sqrt", node("Add", variance, epsilon)))
    normalized = node("Mul", centred, inverse)

    def of_x() -> ir.Value:
        scaled = node("Mul", back.dy, node("Unsqueeze", scale, write.integers(*range(1, rank - 1))))
        along = node("Mul", normalized, mean(node("Mul", scaled, normalized)))
        return node("Mul", node("Sub", node("Sub", scaled, mean(scaled)), along), inverse)

    def total(value: ir.Value) -> ir.Value:
        return write.reduce("ReduceSum", value, [0, *axes], keepdims=False)

    return back.each(of_x, lambda: total(node("Mul", back.dy, normalized)), lambda: total(back.dy))


def lp_normalization(back: Backward) -> Gradients:
    """For Y = X / n, dX = (dY - dn sum(dY Y)) / n, with dn = Y, or sign(X) where n adds up magnitudes."""
    write, node = back.write, back.write.node
    axes = [integer(back.node, "axis", -1)]
    of_magnitudes = integer(back.node, "p", 2) == 1
    norm = write.reduce("ReduceL1" if of_magnitudes else "ReduceL2", back.x, axes)
    norm = node("Where", node("Equal", norm, write.scalar(0)), write.scalar(1), norm)
    total = write.reduce("ReduceSum", node("Mul", back.dy, back.y), axes)
    slope = node("Sign", back.x) if of_magnitudes else back.y
    return [node("Div", node("Sub", back.dy, node("Mul", slope, total)), norm)]


def dropout(back: Backward) -> Gradients:
    """Drops what was dropped; outside training nothing is."""
    trains = input_of(back.node, 2)
    if trains is None or not known_constant(trains, "whether it trains is").any():
        return [back.dy]
    ratio = input_of(back.node, 1) or back.write.scalar(0.5)
    return back.training("DropoutGrad", back.dy, back.named(1), ratio)


def softmax_cross_entropy(back: Backward) -> Gradients:
    """From the log-probabilities, which the second output holds and may be used too."""
    _, *others = inputs_of(back.node, len(back.node.inputs))
    of_loss, of_probabilities = back.gradients
    log_probability = back.named(1)
    parts: list[ir.Value] = []
    if of_loss is not None:
        attributes = attributes_of(back.node)
        inputs = [of_loss, log_probability, *others]
        parts += back.training("SoftmaxCrossEntropyLossGrad", *inputs, **attributes)
    if of_probabilities is not None:
        parts += back.training("LogSoftmaxGrad_13", of_probabilities, log_probability, axis=1)
    return [parts[0] if len(parts) == 1 else back.write.node("Sum", *parts)]


LAYERS: dict[str, GradientRule] = {
    "BatchNormInternal": batch_normalization,
    "BatchNormalization": frozen_batch_normalization,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Dropout": dropout,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}
