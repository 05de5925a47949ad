"""Nodes of onnxruntime's training set, with inputs that fit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, helper

RANDOM = np.random.default_rng(0)


@dataclass(frozen=True)
class Setting:
    """A node of the training set.

    Attributes:
        op_type: its operator.
        inputs: arrays, or None for an input that is left out.
        attributes: of the node.
        outputs: whether each output is asked for.
        constant: positions of the inputs that are initializers.
        forward: a node that makes `places`, an input beyond those given, from `x`, the input's name.
        x: what it reads.
        shape: that of the first output, where the kernel takes it from the graph.
        expected: the first output, where there is no kernel that computes it (onnxruntime 1.19.2).
    """

    op_type: str
    inputs: Sequence[np.ndarray | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: Sequence[bool] = (True,)
    constant: Sequence[int] = ()
    forward: NodeProto | None = None
    x: np.ndarray | None = None
    shape: tuple[int, ...] | None = None
    expected: np.ndarray | None = None


def normal(*shape: int) -> np.ndarray:
    return np.asarray(RANDOM.normal(size=shape), np.float32)


def positive(*shape: int) -> np.ndarray:
    return np.asarray(RANDOM.uniform(0.5, 2, shape), np.float32)


def integers(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def elementwise(op_type: str, value: np.ndarray, **attributes: Any) -> Setting:
    """dY, and the input or the output of the operator."""
    return Setting(op_type, [normal(*value.shape), value], attributes)


def with_zeros() -> np.ndarray:
    value = normal(4, 7)
    value[1] = 0
    return value


def log_softmax(value: np.ndarray, axis: int) -> np.ndarray:
    result: np.ndarray = value - np.log(np.exp(value).sum(axis, keepdims=True))
    return result


def softmax_gradient(axis: int, *shape: int) -> Setting:
    output = np.exp(log_softmax(normal(*shape), axis))
    return elementwise("SoftmaxGrad_13", output, axis=axis)


def log_softmax_gradient(axis: int, *shape: int) -> Setting:
    return elementwise("LogSoftmaxGrad_13", log_softmax(normal(*shape), axis), axis=axis)


def batch_normalization(*shape: int) -> Setting:
    channels = shape[1]
    statistics = [normal(channels), positive(channels)]
    inputs = [normal(*shape), normal(channels), normal(channels), *statistics]
    attributes = {"epsilon": 1e-3, "momentum": 0.8}
    return Setting("BatchNormInternal", inputs, attributes, [True] * 5)


def batch_normalization_gradient(*shape: int) -> Setting:
    x, axes = normal(*shape), (0, *range(2, len(shape)))
    inverse = 1 / np.sqrt(x.var(axes) + 1e-5)
    inputs = [normal(*shape), x, normal(shape[1]), x.mean(axes), inverse]
    return Setting("BatchNormalizationGrad", inputs, {"epsilon": 1e-5}, [True] * 3)


def layer_normalization_gradient(axis: int, *shape: int) -> Setting:
    x = normal(*shape)
    axes = tuple(range(axis % len(shape), len(shape)))
    mean, inverse = x.mean(axes, keepdims=True), 1 / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    scale = normal(*shape[axis % len(shape) :])
    inputs = [normal(*shape), x, scale, mean, inverse]
    return Setting("LayerNormalizationGrad", inputs, {"axis": axis}, [True] * 3)


def convolution_gradient(
    x: Sequence[int],
    weight: Sequence[int],
    outputs: Sequence[bool] = (True, True, True),
    **attributes: Any,
) -> Setting:
    kernel = list(weight[2:])
    dims = len(kernel)
    strides, dilations, pads = (
        attributes.setdefault(name, [default] * count)
        for name, default, count in (
            ("strides", 1, dims),
            ("dilations", 1, dims),
            ("pads", 0, 2 * dims),
        )
    )
    attributes["kernel_shape"] = kernel
    result = [
        (x[axis + 2] + pads[axis] + pads[axis + dims] - dilations[axis] * (kernel[axis] - 1) - 1)
        // strides[axis]
        + 1
        for axis in range(dims)
    ]
    inputs = [normal(x[0], weight[0], *result), normal(*x), normal(*weight)]
    return Setting("ConvGrad", inputs, attributes, outputs)


def max_pool_gradient(size: int, output: int, **attributes: Any) -> Setting:
    x = normal(2, 3, size, size)
    return Setting(
        "MaxPoolGrad",
        [normal(2, 3, output, output)],
        attributes,
        forward=helper.make_node("MaxPool", ["x"], ["maxima", "places"], **attributes),
        x=x,
        shape=x.shape,
    )


def cross_entropy_gradient(
    *shape: int, weights: bool = False, ignored: int | None = None, reduction: str = "mean"
) -> Setting:
    labels = RANDOM.integers(0, shape[1], (shape[0], *shape[2:]))
    attributes: dict[str, Any] = {"reduction": reduction}
    if ignored is not None:
        attributes["ignore_index"] = ignored
        labels.flat[0] = ignored
    gradient = normal(*labels.shape) if reduction == "none" else normal()
    inputs = [gradient, log_softmax(normal(*shape), 1), labels]
    if weights:
        inputs.append(positive(shape[1]))
    return Setting("SoftmaxCrossEntropyLossGrad", inputs, attributes)


def gather_gradient(shape: Sequence[int], indices: np.ndarray, axis: int) -> Setting:
    gradient = normal(*shape[:axis], *indices.shape, *shape[axis + 1 :])
    return Setting("GatherGrad", [integers(*shape), indices, gradient], {"axis": axis})


def gather_elements_gradient(shape: Sequence[int], taken: Sequence[int], axis: int) -> Setting:
    indices = RANDOM.integers(0, shape[axis], taken)
    inputs = [normal(*taken), integers(*shape), indices]
    return Setting("GatherElementsGrad", inputs, {"axis": axis})


def slice_gradient(shape: Sequence[int], *bounds: Sequence[int]) -> Setting:
    """Starts and ends, then axes and steps if they are not the default ones."""
    starts, ends = bounds[:2]
    axes = bounds[2] if len(bounds) > 2 else range(len(starts))
    steps = bounds[3] if len(bounds) > 3 else [1] * len(starts)
    taken = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps):
        taken[axis] = slice(start, None if end < -shape[axis] else end, step)
    expected = np.zeros(shape, np.float32)
    gradient = normal(*expected[tuple(taken)].shape)
    expected[tuple(taken)] = gradient
    inputs = [gradient, integers(*shape), *(integers(*numbers) for numbers in bounds)]
    # the kernel knows no steps backwards
    by_hand = expected if min(steps) < 0 else None
    return Setting("SliceGrad", inputs, constant=range(2, len(inputs)), expected=by_hand)


def division_gradient(dividend: Sequence[int], divisor: Sequence[int]) -> Setting:
    result = np.broadcast_shapes(tuple(dividend), tuple(divisor))
    inputs = [normal(*result), normal(*dividend), positive(*divisor)]
    return Setting("DivGrad", inputs, outputs=[True] * 2)


def gradient_arguments(first: Sequence[int], second: Sequence[int]) -> Setting:
    inputs = [integers(*first), integers(*second)]
    return Setting("BroadcastGradientArgs", inputs, outputs=[True] * 2)


def product(left: Sequence[int], right: Sequence[int], **attributes: Any) -> Setting:
    return Setting("FusedMatMul", [normal(*left), normal(*right)], attributes)


def sum(axes: Sequence[int], **attributes: Any) -> Setting:
    return Setting("ReduceSumTraining", [normal(3, 4, 5), integers(*axes)], attributes)
