"""Small models, each around one operator, between two that have weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from models import OPSET, Network

Make = Callable[[Network, str], str]


def _vector(make: Make, opset: int = OPSET, outputs: int = 5) -> Callable[[], onnx.ModelProto]:
    """x (batch, 6) -> MatMul -> (batch, 5) -> the operator -> y."""

    def build() -> onnx.ModelProto:
        net = Network()
        value = make(net, net.node("MatMul", "x", net.weight("w", 6, 5, scale=1.0)))
        net.node("Identity", value, output="y")
        return net.model({"x": ("batch", 6)}, {"y": ("batch", outputs)}, opset)

    return build


def _image(
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


def _unary(op_type: str, opset: int = OPSET, **attributes: Any) -> Callable[[], onnx.ModelProto]:
    return _vector(lambda net, value: net.node(op_type, value, **attributes), opset)


def _axes(net: Network, *axes: int) -> str:
    return net.constant("axes", np.array(axes, np.int64))


def _reduction(
    op_type: str, opset: int = OPSET, positive: bool = False
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        if positive:
            value = net.node(
                "Add", net.node("Mul", value, value), net.constant("one", np.array(1, np.float32))
            )
        if opset >= 18:
            return net.node(op_type, value, _axes(net, 1), keepdims=1)
        return net.node(op_type, value, axes=[1], keepdims=1)

    return _vector(make, opset, outputs=1)


def _average_pool(size: int, output: int, **attributes: Any) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        return net.node("AveragePool", value, **attributes)

    return _image(make, (4, output, output), size=size, opset=19)


def _resize(scale: float, output: int, **attributes: Any) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        scales = net.constant("scales", np.array([1, 1, scale, scale], np.float32))
        return net.node("Resize", value, "", scales, **attributes)

    return _image(make, (4, output, output), size=5)


def _transposed(
    output: int, group: int = 1, bias: bool = True, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        kernel = attributes["kernel_shape"]
        weights = [net.weight("up", 4, 6 // group, *kernel, scale=1.0)]
        if bias:
            weights.append(net.weight("up.bias", 6))
        return net.node("ConvTranspose", value, *weights, group=group, **attributes)

    return _image(make, (6, output, output), size=5)


def _convolution(
    output: tuple[Any, Any], size: Any = 8, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        weight = net.weight("second", 6, 4, 3, 3, scale=1.0)
        return net.node("Conv", value, weight, kernel_shape=[3, 3], **attributes)

    return _image(make, (6, *output), size=size)


def _normalization(
    op_type: str, channels: int, opset: int = OPSET, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        scale, shift = net.weight("scale", channels, mean=1.0), net.weight("shift", channels)
        return net.node(op_type, value, scale, shift, **attributes)

    return _image(make, (4, 8, 8), opset)


def _recurrent(
    op_type: str, gates: int, direction: str = "forward", start: bool = False, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def build() -> onnx.ModelProto:
        net = Network()
        hidden, count = 4, 2 if direction == "bidirectional" else 1
        weights = [
            net.weight("W", count, gates * hidden, 3, scale=1.0),
            net.weight("R", count, gates * hidden, hidden, scale=1.0),
            net.weight("B", count, 2 * gates * hidden, scale=1.0),
        ]
        sequence = net.node("Transpose", "x", perm=[1, 0, 2])
        if start:
            first = net.node(
                "Unsqueeze", net.node("MatMul", "z", net.weight("start", 3, hidden)), _axes(net, 0)
            )
            weights += ["", first]
        value = net.node(
            op_type, sequence, *weights, hidden_size=hidden, direction=direction, **attributes
        )
        net.node("Transpose", value, output="y", perm=[2, 0, 1, 3])
        inputs: dict[str, tuple[Any, ...]] = {"x": ("batch", 5, 3)}
        if start:
            inputs["z"] = ("batch", 3)
        return net.model(inputs, {"y": ("batch", 5, count, hidden)})

    return build


def _einsum(
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


def _attention() -> onnx.ModelProto:
    """Einsum of two values that both depend on a weight."""
    net = Network()
    left = net.node("MatMul", "x", net.weight("q", 3, 4, scale=1.0))
    right = net.node("MatMul", "x", net.weight("k", 3, 4, scale=1.0))
    net.node("Einsum", left, right, output="y", equation="bid,bjd->bij")
    return net.model({"x": ("batch", 5, 3)}, {"y": ("batch", 5, 5)})


def _transposed_weight() -> onnx.ModelProto:
    """A weight that is transposed before it is used, once with each of two readers."""
    net = Network()
    weight = net.node("Transpose", net.weight("w", 6, 6, scale=0.5), perm=[1, 0])
    value = net.node("Tanh", net.node("MatMul", "x", weight))
    net.node("MatMul", value, weight, output="y")
    return net.model({"x": ("batch", 6)}, {"y": ("batch", 6)})


def _mixed(op_type: str) -> Make:
    def make(net: Network, value: str) -> str:
        others = [net.constant(f"c{i}", np.full(5, 0.1 * i, np.float32)) for i in range(2)]
        return net.node(op_type, value, others[0], net.node("Neg", value), others[1])

    return make


def _stepped(op_type: str) -> Make:
    def make(net: Network, value: str) -> str:
        return net.node("Mul", value, net.node(op_type, value))

    return make


def _pad(
    size: tuple[int, int], opset: int = 17, axes: list[int] | None = None, **attributes: Any
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        pads = [0, 0, 1, 2, 0, 0, 3, 1] if axes is None else [1, 2, 3, 1]
        inputs = [value, net.constant("pads", np.array(pads))]
        if axes is not None:
            inputs += ["", net.constant("axes", np.array(axes))]
        return net.node("Pad", *inputs, **attributes)

    return _image(make, (4, *size), opset)


def _clip(net: Network, value: str) -> str:
    bounds = [net.constant(f"b{i}", np.array(v, np.float32)) for i, v in enumerate((-1, 1.5))]
    return net.node("Clip", value, *bounds)


def _max_pool(output: int, **attributes: Any) -> Callable[[], onnx.ModelProto]:
    return _image(lambda net, value: net.node("MaxPool", value, **attributes), (4, output, output))


def _old_resize(
    op_type: str, mode: str, height: float, width: float
) -> Callable[[], onnx.ModelProto]:
    def make(net: Network, value: str) -> str:
        scales = net.constant("scales", np.array([1, 1, height, width], np.float32))
        return net.node(op_type, value, scales, mode=mode)

    size = (int(8 * height), int(8 * width))
    return _image(make, (4, *size), 9 if op_type == "Upsample" else 10)


def _where(net: Network, value: str) -> str:
    positive = net.node("Greater", value, net.constant("zero", np.array(0, np.float32)))
    return net.node("Where", positive, value, net.node("Mul", value, value))


def _arg_max(net: Network, value: str) -> str:
    place = net.node("ArgMax", value, axis=1, keepdims=1)
    return net.node("Mul", value, net.node("Cast", place, to=onnx.TensorProto.FLOAT))


def _shape(net: Network, value: str) -> str:
    flat = net.node("Reshape", value, net.constant("flat", np.array([-1])))
    return net.node("Reshape", flat, net.node("Shape", value))


# Operators that onnxruntime differentiates itself.
_NATIVE: dict[str, Callable[[], onnx.ModelProto]] = {
    "MaxPool ceil": _max_pool(4, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "MaxPool dilated": _max_pool(6, kernel_shape=[2, 2], dilations=[2, 2]),
    "MaxPool same": _max_pool(4, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "MaxPool padded": _max_pool(4, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "Conv padded on one side": _convolution((4, 4), strides=[2, 2], pads=[0, 0, 1, 1]),
    "Conv dilated": _convolution((4, 4), dilations=[2, 2]),
    "Where": _vector(_where),
    "ArgMax": _vector(_arg_max),
    "Shape": _vector(_shape),
    "Upsample nearest, opset 9": _old_resize("Upsample", "nearest", 2.5, 1.5),
    "Upsample linear, opset 9": _old_resize("Upsample", "linear", 2, 3),
    "Resize nearest, opset 10": _old_resize("Resize", "nearest", 0.7, 0.6),
    "Resize linear, opset 10": _old_resize("Resize", "linear", 0.5, 0.75),
    "Clip, opset 9": _unary("Clip", 9, min=-1.0, max=1.0),
    "Softmax, opset 9": _unary("Softmax", 9, axis=1),
}

# Operators that are decomposed.
_DECOMPOSED: dict[str, Callable[[], onnx.ModelProto]] = {
    "Celu": _unary("Celu", alpha=1.5),
    "Elu": _unary("Elu", alpha=0.7),
    "Gelu": _unary("Gelu", 20),
    "Gelu tanh": _unary("Gelu", 20, approximate="tanh"),
    "HardSigmoid": _unary("HardSigmoid", alpha=0.3),
    "HardSwish": _unary("HardSwish"),
    "LeakyRelu": _unary("LeakyRelu", alpha=0.1),
    "Mish": _unary("Mish", 18),
    "PRelu": _vector(lambda net, value: net.node("PRelu", value, net.weight("slope", 5))),
    "Selu": _unary("Selu"),
    "Softplus": _unary("Softplus"),
    "Softsign": _unary("Softsign"),
    "ThresholdedRelu": _unary("ThresholdedRelu", alpha=0.5),
    "Shrink, a function of the standard": _unary("Shrink", 18, lambd=0.3, bias=0.1),
    "CenterCropPad, a function that depends on its inputs": _image(
        lambda net, value: net.node(
            "CenterCropPad", value, net.constant("size", np.array([5, 6])), axes=[2, 3]
        ),
        (4, 5, 6),
        18,
    ),
    "Pad": _pad((12, 11)),
    "Pad of some axes": _pad((12, 11), 18, [2, -1]),
    "Pad reflecting": _pad((12, 11), mode="reflect"),
    "Pad repeating the edge": _pad((12, 11), 18, [2, 3], mode="edge"),
    "Pad wrapping around": _pad((12, 11), 19, mode="wrap"),
    "Clip": _vector(_clip),
    "Sum": _vector(_mixed("Sum")),
    "Mean": _vector(_mixed("Mean")),
    "Max": _vector(_mixed("Max")),
    "Min": _vector(_mixed("Min")),
    "Round": _vector(_stepped("Round")),
    "Floor": _vector(_stepped("Floor")),
    "Ceil": _vector(_stepped("Ceil")),
    "Sign": _vector(_stepped("Sign")),
    "ReduceMax": _reduction("ReduceMax"),
    "ReduceMax 18": _reduction("ReduceMax", 18),
    "ReduceMin": _reduction("ReduceMin"),
    "ReduceL1": _reduction("ReduceL1"),
    "ReduceL2": _reduction("ReduceL2"),
    "ReduceSumSquare 18": _reduction("ReduceSumSquare", 18),
    "ReduceLogSum": _reduction("ReduceLogSum", positive=True),
    "GlobalMaxPool": _image(lambda net, value: net.node("GlobalMaxPool", value), (4, 1, 1)),
    "AveragePool blocks": _average_pool(8, 4, kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool blocks and a rest": _average_pool(9, 3, kernel_shape=[3, 3], strides=[3, 3]),
    "AveragePool overlapping": _average_pool(8, 3, kernel_shape=[3, 3], strides=[2, 2]),
    "AveragePool padded": _average_pool(8, 8, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "AveragePool counting padding": _average_pool(
        8, 4, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1
    ),
    "AveragePool ceil": _average_pool(8, 4, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "AveragePool same": _average_pool(
        7, 4, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "AveragePool dilated": _average_pool(8, 4, kernel_shape=[3, 3], dilations=[2, 2]),
    "LRN": _image(
        lambda net, value: net.node("LRN", value, size=3, alpha=0.9, bias=1.5), (4, 8, 8)
    ),
    "InstanceNormalization": _normalization("InstanceNormalization", 4),
    "GroupNormalization": _normalization("GroupNormalization", 4, 21, num_groups=2),
    "LayerNormalization": _vector(
        lambda net, value: net.node(
            "LayerNormalization", value, net.weight("scale", 5), net.weight("shift", 5)
        )
    ),
    "LayerNormalization without shift": _vector(
        lambda net, value: net.node("LayerNormalization", value, net.weight("scale", 5))
    ),
    "LpNormalization": _unary("LpNormalization", p=2, axis=1),
    "LpNormalization 1": _unary("LpNormalization", p=1, axis=1),
    "MeanVarianceNormalization": _image(
        lambda net, value: net.node("MeanVarianceNormalization", value), (4, 8, 8)
    ),
    "DepthToSpace": _image(
        lambda net, value: net.node("DepthToSpace", value, blocksize=2), (1, 16, 16)
    ),
    "DepthToSpace CRD": _image(
        lambda net, value: net.node("DepthToSpace", value, blocksize=2, mode="CRD"), (1, 16, 16)
    ),
    "SpaceToDepth": _image(
        lambda net, value: net.node("SpaceToDepth", value, blocksize=2), (16, 4, 4)
    ),
    "Resize nearest": _resize(
        2, 10, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    ),
    "Resize nearest not whole": _resize(1.6, 8, mode="nearest"),
    "Resize linear": _resize(2, 10, mode="linear"),
    "Resize linear corners": _resize(
        2, 10, mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "Resize cubic": _resize(2, 10, mode="cubic"),
    "Resize down": _resize(0.6, 3, mode="linear"),
    "Conv same upper": _convolution((4, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv same lower": _convolution((4, 4), auto_pad="SAME_LOWER", strides=[2, 2]),
    "Conv same, open": _convolution(("h", "w"), "size", auto_pad="SAME_UPPER"),
    "Conv same upper, open, strided": _convolution(
        ("h", "w"), "size", auto_pad="SAME_UPPER", strides=[2, 3]
    ),
    "Conv same lower, open, strided": _convolution(
        ("h", "w"), "size", auto_pad="SAME_LOWER", strides=[3, 2]
    ),
    "ConvTranspose same upper": _transposed(
        10, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "ConvTranspose same lower": _transposed(
        10, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_LOWER"
    ),
    "ConvTranspose": _transposed(10, kernel_shape=[2, 2], strides=[2, 2]),
    "ConvTranspose overlapping": _transposed(
        10, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]
    ),
    "ConvTranspose groups": _transposed(7, group=2, bias=False, kernel_shape=[3, 3]),
    "ConvTranspose dilated": _transposed(9, kernel_shape=[3, 3], dilations=[2, 2]),
    "Einsum": _einsum("bij,jk->bik", (3, 4), (3, 5)),
    "Einsum transposed": _einsum("bij,kj->bki", (3, 4), (5, 3)),
    "Einsum over batches": _einsum("bhi,hij->bhj", (2, 3), (2, 4)),
    "Einsum with two contracted": _einsum("bhi,hij->bj", (2, 3), (4,)),
    "Einsum with two columns": _einsum("bi,hij->bhj", (3,), (2, 4)),
    "Einsum of values": _attention,
    "Transposed weight": _transposed_weight,
    "LSTM": _recurrent("LSTM", 4),
    "LSTM reverse": _recurrent("LSTM", 4, "reverse"),
    "LSTM bidirectional": _recurrent("LSTM", 4, "bidirectional"),
    "LSTM from a state": _recurrent("LSTM", 4, start=True),
    "LSTM with its activations spelt out": _recurrent(
        "LSTM", 4, activations=["Sigmoid", "Tanh", "Tanh"]
    ),
    "GRU": _recurrent("GRU", 3),
    "GRU with its activations spelt out": _recurrent(
        "GRU", 3, "bidirectional", activations=["Sigmoid", "Tanh", "Sigmoid", "Tanh"]
    ),
    "GRU late reset": _recurrent("GRU", 3, "bidirectional", linear_before_reset=1),
    "RNN": _recurrent("RNN", 1),
}

MODELS = {**_NATIVE, **_DECOMPOSED}
