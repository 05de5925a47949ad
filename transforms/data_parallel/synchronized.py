"""BatchNormalization by the statistics of the whole batch, of which each rank has a share."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.step_names import MEAN
from svgd_onnx.transforms.data_parallel.all_reduce import all_reduced
from svgd_onnx.transforms.lower import mean_of_means
from svgd_onnx.transforms.lower.batch_normalization import all_but_channels, outputs_of, per_channel
from svgd_onnx.transforms.rule import Rule, inputs_of
from svgd_onnx.transforms.writer import Writer


def _normalization(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    """Outputs: y, the new running mean and variance, the whole batch's mean and 1 / standard deviation.

    The variance of all is the mean of the ranks' and of the squares of how far their means lie from one point,
    less that point's. The running mean is that point, since it is near and the same on all ranks: so one
    reduction does, and nothing large cancels.
    """
    x, scale, _, running_mean, _ = inputs_of(node, 5)
    axes = all_but_channels(x)

    def mean_of(value: ir.Value) -> ir.Value:
        return _like(mean_of_means(write, value, axes), scale)

    own_mean = mean_of(x)
    own = write.node("Sub", x, per_channel(write, own_mean, axes))
    off = write.node("Sub", own_mean, running_mean)
    second = write.node("Add", mean_of(write.node("Mul", own, own)), write.node("Mul", off, off))
    off = all_reduced(write, _like(off, scale), MEAN)
    second = all_reduced(write, _like(second, scale), MEAN)
    mean = write.node("Add", running_mean, off)
    variance = write.node("Sub", second, write.node("Mul", off, off))
    variance = write.node("Max", variance, write.scalar(0))
    centred = write.node("Sub", x, per_channel(write, mean, axes))
    return outputs_of(node, write, centred, mean, variance)


def _gradient(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    """dX = scale/deviation (dY - mean(dY) - n mean(dY n)) for n, x normalized; means are of the whole batch.

    The gradients of scale and shift are of this rank's share, as those of all parameters are.
    """
    gradient, x, scale, mean, inverse = inputs_of(node, 5)
    axes = all_but_channels(x, gradient)
    centred = write.node("Sub", x, per_channel(write, mean, axes))
    product = write.node("Mul", gradient, centred)
    d_shift = write.reduce("ReduceSum", gradient, axes, keepdims=False)
    sum_of_products = _like(write.reduce("ReduceSum", product, axes, keepdims=False), scale)
    d_scale = write.node("Mul", sum_of_products, inverse)

    def mean_of_all(value: ir.Value) -> ir.Value:
        return all_reduced(write, _like(mean_of_means(write, value, axes), scale), MEAN)

    square = write.node("Mul", inverse, inverse)
    of_centred = write.node("Mul", mean_of_all(product), square)
    of_dy = mean_of_all(gradient)
    rest = write.node("Sub", gradient, per_channel(write, of_dy, axes))
    rest = write.node("Sub", rest, write.node("Mul", centred, per_channel(write, of_centred, axes)))
    factor = per_channel(write, write.node("Mul", scale, inverse), axes)
    return [write.node("Mul", rest, factor), d_scale, d_shift]


def _like(value: ir.Value, other: ir.Value) -> ir.Value:
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), other.shape
    return value


SYNCHRONIZED_RULES: dict[str, Rule] = {
    "BatchNormInternal": _normalization,
    "BatchNormalizationGrad": _gradient,
}
