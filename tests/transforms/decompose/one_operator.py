"""Small models, each around one operator, between two that have weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from models import OPSET, Network

Make = Callable[[Network, str], str]


def vector(make: Make, opset: int = OPSET, outputs: int = 5) -> Callable[[], onnx.ModelProto]:
    """x (batch, 6) -> MatMul -> (batch, 5) -> the operator -> y."""

    def build() -> onnx.ModelProto:
        net = Network()
        value = make(net, net.node("MatMul", "x", net.weight("w", 6, 5, scale=1.0)))
        net.node("Identity", value, output="y")
        return net.model({"x": ("batch", 6)}, {"y": ("batch", outputs)}, opset)

    return build


def image(
    make: Make, shape: tuple[Any, ...], opset: int = OPSET, channels: int = 4, size: int = 8
) -> Callable[[], onnx.ModelProto]:
    """x (batch, 2, size, size) -> Conv -> (batch, channels, size, size) -> the operator -> y."""

    def build() -> onnx.ModelProto:
        net = Network()
        same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        value = net.node("Conv", "x", net.weight("w", channels, 2, 3, 3, scale=1.0), **same)
        net.node("Identity", make(net, value), output="y")
        return net.model({"x": ("batch", 2, size, size)}, {"y": ("batch", *shape)}, opset)

    return build


def unary(op_type: str, opset: int = OPSET, **attributes: Any) -> Callable[[], onnx.ModelProto]:
    return vector(lambda net, value: net.node(op_type, value, **attributes), opset)


def axes(net: Network, *axes: int) -> str:
    return net.constant("axes", np.array(axes, np.int64))


def reduction(
    op_type: str, opset: int = OPSET, positive: bool = False
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        if positive:
            value = net.node(
                "Add", net.node("Mul", value, value), net.constant("one", np.array(1, np.float32))
            )
        if opset >= 18:
            return net.node(op_type, value, axes(net, 1), keepdims=1)
        return net.node(op_type, value, axes=[1], keepdims=1)

    return vector(make, opset, outputs=1)


def average_pool(size: int, output: int, **attributes: Any) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        return net.node("AveragePool", value, **attributes)

    return image(make, (4, output, output), size=size, opset=19)


def resize(scale: float, output: int, **attributes: Any) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        scales = net.constant("scales", np.array([1, 1, scale, scale], np.float32))
        return net.node("Resize", value, "", scales, **attributes)

    return image(make, (4, output, output), size=5)


def transposed(
    output: int, group: int = 1, bias: bool = True, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        kernel = attributes["kernel_shape"]
        weights = [net.weight("up", 4, 6 // group, *kernel, scale=1.0)]
        if bias:
            weights.append(net.weight("up.bias", 6))
        return net.node("ConvTranspose", value, *weights, group=group, **attributes)

    return image(make, (6, output, output), size=5)


def convolution(
    output: tuple[Any, Any], size: Any = 8, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        weight = net.weight("second", 6, 4, 3, 3, scale=1.0)
        return net.node("Conv", value, weight, kernel_shape=[3, 3], **attributes)

    return image(make, (6, *output), size=size)


def normalization(
    op_type: str, channels: int, opset: int = OPSET, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        scale, shift = net.weight("scale", channels, mean=1.0), net.weight("shift", channels)
        return net.node(op_type, value, scale, shift, **attributes)

    return image(make, (4, 8, 8), opset)


def recurrent(
    op_type: str,
    gates: int,
    direction: str = "forward",
    start: bool = False,
    lengths: bool = False,
    peepholes: bool = False,
    last: bool = False,
    **attributes: Any,
) -> Callable[[], onnx.ModelProto]:
    """x (batch, 5, 3) -> the layer -> its hidden states, or with `last` those that it ends with."""

    def build() -> onnx.ModelProto:
        net = Network()
        hidden, count = 4, 2 if direction == "bidirectional" else 1
        weights = [
            net.weight("W", count, gates * hidden, 3, scale=1.0),
            net.weight("R", count, gates * hidden, hidden, scale=1.0),
            net.weight("B", count, 2 * gates * hidden, scale=1.0),
        ]
        sequence = net.node("Transpose", "x", perm=[1, 0, 2])
        weights.append("")
        if lengths:
            weights[-1] = net.constant("lengths", np.array([5, 3, 1], np.int32))
        if start:
            first = net.node("MatMul", "z", net.weight("start", 3, hidden))
            first = net.node("Reshape", first, net.constant("of states", np.array([1, -1, hidden])))
            weights.append(net.node("Concat", *[first] * count, axis=0))
        if peepholes:
            weights += [*[""] * (6 - len(weights)), net.weight("P", count, 3 * hidden)]
        value = net.node(
            op_type, sequence, *weights, hidden_size=hidden, direction=direction, **attributes
        )
        if last:
            net.nodes[-1].output[:] = ["", "final"]
            value = net.node("Unsqueeze", "final", axes(net, 0))
        net.node("Transpose", value, output="y", perm=[2, 0, 1, 3])
        inputs: dict[str, tuple[Any, ...]] = {"x": ("batch", 5, 3)}
        if start:
            inputs["z"] = ("batch", 3)
        return net.model(inputs, {"y": ("batch", 1 if last else 5, count, hidden)})

    return build


def einsum(
    equation: str, left: tuple[int, ...], output: tuple[int, ...]
) -> Callable[[], onnx.ModelProto]:
    """x (batch, ...) times a weight of which the second operand's labels say the shape."""
    sizes = {"i": 3, "j": 4, "k": 5, "h": 2}

    def build() -> onnx.ModelProto:
        net = Network()
        labels = equation.split("->")[0].split(",")[1]
        weight = net.weight("w", *(sizes[label] for label in labels), scale=1.0)
        net.node("Einsum", "x", weight, output="y", equation=equation)
        return net.model({"x": ("batch", *left)}, {"y": ("batch", *output)})

    return build


def attention() -> onnx.ModelProto:
    """Einsum of two values that both depend on a weight."""
    net = Network()
    left = net.node("MatMul", "x", net.weight("q", 3, 4, scale=1.0))
    right = net.node("MatMul", "x", net.weight("k", 3, 4, scale=1.0))
    net.node("Einsum", left, right, output="y", equation="bid,bjd->bij")
    return net.model({"x": ("batch", 5, 3)}, {"y": ("batch", 5, 5)})


def transposed_weight() -> onnx.ModelProto:
    """A weight that is transposed before it is used, once with each of two readers."""
    net = Network()
    weight = net.node("Transpose", net.weight("w", 6, 6, scale=0.5), perm=[1, 0])
    value = net.node("Tanh", net.node("MatMul", "x", weight))
    net.node("MatMul", value, weight, output="y")
    return net.model({"x": ("batch", 6)}, {"y": ("batch", 6)})


def own_loss(
    op_type: str, *, weights: bool = False, reduction: str = "mean", **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    """x (batch, 6) -> MatMul -> (batch, 5) -> the loss, for the largest of z (batch, 5) -> y."""

    def build() -> onnx.ModelProto:
        net = Network()
        value = net.node("MatMul", "x", net.weight("w", 6, 5, scale=1.0))
        if op_type == "NegativeLogLikelihoodLoss":
            value = net.node("LogSoftmax", value)
        inputs = [value, net.node("ArgMax", "z", axis=1, keepdims=0)]
        if weights:
            inputs.append(net.constant("weights", np.array([1, 2, 0.5, 1, 3], np.float32)))
        value = net.node(op_type, *inputs, reduction=reduction, **attributes)
        net.node("ReduceMean", value, output="y", keepdims=0)
        return net.model({"x": ("batch", 6), "z": ("batch", 5)}, {"y": ()})

    return build


def frozen_normalization(net: Network, value: str) -> str:
    return net.batch_normalization(value, 4, "bn")


def mixed(op_type: str) -> Make:
    def make(net: Network, value: str) -> str:
        others = [net.constant(f"c{i}", np.full(5, 0.1 * i, np.float32)) for i in range(2)]
        return net.node(op_type, value, others[0], net.node("Neg", value), others[1])

    return make


def stepped(op_type: str) -> Make:
    def make(net: Network, value: str) -> str:
        return net.node("Mul", value, net.node(op_type, value))

    return make


def pad(
    size: tuple[int, int], opset: int = 17, axes: list[int] | None = None, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        pads = [0, 0, 1, 2, 0, 0, 3, 1] if axes is None else [1, 2, 3, 1]
        inputs = [value, net.constant("pads", np.array(pads))]
        if axes is not None:
            inputs += ["", net.constant("axes", np.array(axes))]
        return net.node("Pad", *inputs, **attributes)

    return image(make, (4, *size), opset)


def clip(net: Network, value: str) -> str:
    bounds = [net.constant(f"b{i}", np.array(v, np.float32)) for i, v in enumerate((-1, 1.5))]
    return net.node("Clip", value, *bounds)


def max_pool(output: int, **attributes: Any) -> Callable[[], onnx.ModelProto]:
    return image(lambda net, value: net.node("MaxPool", value, **attributes), (4, output, output))


def old_resize(
    op_type: str, mode: str, height: float, width: float
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        scales = net.constant("scales", np.array([1, 1, height, width], np.float32))
        return net.node(op_type, value, scales, mode=mode)

    size = (int(8 * height), int(8 * width))
    return image(make, (4, *size), 9 if op_type == "Upsample" else 10)


def where(net: Network, value: str) -> str:
    positive = net.node("Greater", value, net.constant("zero", np.array(0, np.float32)))
    return net.node("Where", positive, value, net.node("Mul", value, value))


def arg_max(net: Network, value: str) -> str:
    place = net.node("ArgMax", value, axis=1, keepdims=1)
    return net.node("Mul", value, net.node("Cast", place, to=onnx.TensorProto.FLOAT))


def shape(net: Network, value: str) -> str:
    flat = net.node("Reshape", value, net.constant("flat", np.array([-1])))
    return net.node("Reshape", flat, net.node("Shape", value))
