"""Small models, as an exporter would write them, for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

OPSET = 17


class Network:
    """Nodes and weights, put together call by call.

    Args:
        seed: of the weights.
    """

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.weights: list[str] = []
        self._random = np.random.default_rng(seed)

    def weight(self, name: str, *shape: int, mean: float = 0.0, scale: float = 0.3) -> str:
        """A random float32 initializer, which is to be trained."""
        self.weights.append(name)
        values = self._random.normal(mean, scale, shape)
        return self.constant(name, values.astype(np.float32))

    def constant(self, name: str, array: np.ndarray) -> str:
        """An initializer of given value."""
        self.initializers.append(onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, op_type: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """A node with one output, named after its operator unless `output` says otherwise."""
        name = output or f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, inputs, [name], name=f"{name}_node", **attributes)
        )
        return name

    def batch_normalization(self, value: str, channels: int, prefix: str) -> str:
        """BatchNormalization in inference mode, as exporters write it."""
        statistics = (
            self.weight(f"{prefix}.scale", channels, mean=1.0, scale=0.1),
            self.weight(f"{prefix}.shift", channels, scale=0.1),
            self.constant(f"{prefix}.mean", np.zeros(channels, np.float32)),
            self.constant(f"{prefix}.variance", np.ones(channels, np.float32)),
        )
        return self.node("BatchNormalization", value, *statistics, epsilon=1e-3, momentum=0.9)

    def model(
        self,
        inputs: dict[str, tuple[Any, ...]],
        outputs: dict[str, tuple[Any, ...]],
        opset: int = OPSET,
        domains: Sequence[str] = (),
        check: bool = True,
    ) -> onnx.ModelProto:
        """The model; shapes by name, a string for an axis of any size; domains besides ONNX's own.

        With `check`, onnx's checker has nothing against it.
        """

        def infos(shapes: dict[str, tuple[Any, ...]]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
                for name, shape in shapes.items()
            ]

        graph = helper.make_graph(
            self.nodes, "network", infos(inputs), infos(outputs), self.initializers
        )
        opsets = [
            helper.make_opsetid("", opset),
            *(helper.make_opsetid(name, 1) for name in domains),
        ]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = 8
        helper.set_model_props(model, {"weights": "\n".join(self.weights)})
        if check:
            onnx.checker.check_model(model)
        return model


FEATURES, CLASSES = 6, 4


def shares() -> onnx.ModelProto:
    """x (batch, 6) -> squares over their sum (batch, 5), which is no activation that the loss knows."""
    net = Network()
    scores = net.node("MatMul", "x", net.weight("w", 6, 5))
    squares = net.node("Mul", scores, scores)
    total = net.node("ReduceSum", squares, net.constant("axes", np.array([1])))
    net.node("Div", squares, total, output="y")
    return net.model({"x": ("batch", 6)}, {"y": ("batch", 5)})


def mlp(opset: int = OPSET) -> onnx.ModelProto:
    """Dense, BatchNormalization, Relu, dense, Softmax: x (batch, 6) -> probabilities (batch, 4)."""
    net = Network()
    value = net.node(
        "Gemm", "x", net.weight("fc1.weight", 5, FEATURES), net.weight("fc1.bias", 5), transB=1
    )
    value = net.node("Relu", net.batch_normalization(value, 5, "bn"))
    value = net.node(
        "Gemm",
        value,
        net.weight("fc2.weight", CLASSES, 5),
        net.weight("fc2.bias", CLASSES),
        transB=1,
    )
    net.node("Softmax", value, output="probabilities", axis=1)
    return net.model({"x": ("batch", FEATURES)}, {"probabilities": ("batch", CLASSES)}, opset)


def convolutional(opset: int = OPSET) -> onnx.ModelProto:
    """Two convolutions with bias, max pooling between: image (batch, 2, 8, 8) -> logits (batch, 4)."""
    net = Network()
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    value = net.node(
        "Conv", "image", net.weight("conv1.weight", 3, 2, 3, 3), net.weight("conv1.bias", 3), **same
    )
    value = net.node("MaxPool", net.node("Relu", value), kernel_shape=[2, 2], strides=[2, 2])
    value = net.node(
        "Conv",
        value,
        net.weight("conv2.weight", 4, 3, 3, 3),
        net.weight("conv2.bias", 4),
        strides=[2, 2],
        **same,
    )
    value = net.node("Flatten", net.node("Relu", value))
    net.node(
        "Gemm",
        value,
        net.weight("fc.weight", 16, CLASSES),
        net.weight("fc.bias", CLASSES),
        output="logits",
    )
    return net.model({"image": ("batch", 2, 8, 8)}, {"logits": ("batch", CLASSES)}, opset)


def large_outputs(opset: int = OPSET) -> onnx.ModelProto:
    """Layers whose outputs are larger than their weights: image (batch, 2, 18, 18) -> logits (batch, 4)."""
    net = Network()
    value = net.node("Conv", "image", net.weight("conv1.weight", 8, 2, 3, 3), kernel_shape=[3, 3])
    value = net.node(
        "Conv", net.node("Relu", value), net.weight("conv2.weight", 8, 4, 1, 1), group=2
    )
    value = net.node("MatMul", net.node("Relu", value), net.weight("rows.weight", 16, 12))
    value = net.node("Flatten", net.node("GlobalAveragePool", net.node("Relu", value)))
    net.node("MatMul", value, net.weight("head.weight", 8, CLASSES), output="logits")
    return net.model({"image": ("batch", 2, 18, 18)}, {"logits": ("batch", CLASSES)}, opset)


def residual(opset: int = OPSET) -> onnx.ModelProto:
    """A residual block with BatchNormalization: image (batch, 2, 6, 6) -> logits (batch, 4)."""
    net = Network()
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    stem = net.node("Conv", "image", net.weight("stem.weight", 3, 2, 3, 3), **same)
    value = net.node("Relu", net.batch_normalization(stem, 3, "bn1"))
    value = net.node("Conv", value, net.weight("conv1.weight", 3, 3, 3, 3), **same)
    value = net.node("Relu", net.batch_normalization(value, 3, "bn2"))
    value = net.node(
        "Conv", value, net.weight("conv2.weight", 3, 3, 3, 3), net.weight("conv2.bias", 3), **same
    )
    value = net.node("GlobalAveragePool", net.node("Add", value, stem))
    value = net.node("Flatten", value)
    net.node(
        "Gemm",
        value,
        net.weight("fc.weight", CLASSES, 3),
        net.weight("fc.bias", CLASSES),
        output="logits",
        transB=1,
    )
    return net.model({"image": ("batch", 2, 6, 6)}, {"logits": ("batch", CLASSES)}, opset)


def shared_weight(opset: int = OPSET) -> onnx.ModelProto:
    """One weight in two layers: x (batch, 4) -> logits (batch, 4)."""
    net = Network()
    weight = net.weight("shared.weight", CLASSES, CLASSES)
    value = net.node("Gemm", "x", weight, net.weight("bias1", CLASSES))
    value = net.node("Tanh", value)
    net.node("Gemm", value, weight, net.weight("bias2", CLASSES), output="logits", transB=1)
    return net.model({"x": ("batch", CLASSES)}, {"logits": ("batch", CLASSES)}, opset)


def matmul_add(opset: int = OPSET) -> onnx.ModelProto:
    """Dense layers as MatMul + Add: x (batch, 6) -> logits (batch, 4)."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("fc1.weight", FEATURES, 5))
    value = net.node("Relu", net.node("Add", value, net.weight("fc1.bias", 5)))
    value = net.node("MatMul", value, net.weight("fc2.weight", 5, CLASSES))
    net.node("Add", value, net.weight("fc2.bias", CLASSES), output="logits")
    return net.model({"x": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)}, opset)


def gemm(opset: int = OPSET) -> onnx.ModelProto:
    """The network of `matmul_add`, with the same weights, as Gemm with a bias."""
    net = Network()
    value = net.node("Gemm", "x", net.weight("fc1.weight", FEATURES, 5), net.weight("fc1.bias", 5))
    value = net.node("Relu", value)
    net.node(
        "Gemm",
        value,
        net.weight("fc2.weight", 5, CLASSES),
        net.weight("fc2.bias", CLASSES),
        output="logits",
    )
    return net.model({"x": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)}, opset)


GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}


def recurrent(op_type: str = "LSTM", steps: int | str = 40, hidden: int = 16) -> onnx.ModelProto:
    """x (steps, batch, 8), as torch writes it -> a layer in both directions -> logits (batch, 5) of its end."""
    net, gates = Network(), GATES[op_type] * hidden
    weights = [
        net.weight("W", 2, gates, 8, scale=0.1),
        net.weight("R", 2, gates, hidden, scale=0.1),
        net.weight("B", 2, 2 * gates),
    ]
    net.node(op_type, "x", *weights, hidden_size=hidden, direction="bidirectional")
    net.nodes[-1].output[:] = ["", "last"]
    value = net.node("Transpose", "last", perm=[1, 0, 2])
    value = net.node("Reshape", value, net.constant("shape", np.array([-1, 2 * hidden])))
    net.node("MatMul", value, net.weight("head", 2 * hidden, 5), output="logits")
    return net.model({"x": (steps, "batch", 8)}, {"logits": ("batch", 5)})


def sequence(opset: int = OPSET) -> onnx.ModelProto:
    """A dense layer over the positions of a sequence, then their mean: x (batch, 3, 6) -> (batch, 4)."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("position.weight", FEATURES, 5))
    value = net.node("Relu", net.node("Add", value, net.weight("position.bias", 5)))
    value = net.node("ReduceMean", value, axes=[1], keepdims=0)
    net.node("MatMul", value, net.weight("head.weight", 5, CLASSES), output="logits")
    return net.model({"x": ("batch", 3, FEATURES)}, {"logits": ("batch", CLASSES)}, opset)


def dropout(opset: int = OPSET) -> onnx.ModelProto:
    """An MLP with Dropout: x (batch, 6) -> logits (batch, 4)."""
    net = Network()
    value = net.node("Gemm", "x", net.weight("fc1.weight", FEATURES, 8), net.weight("fc1.bias", 8))
    value = net.node(
        "Dropout", net.node("Relu", value), net.constant("ratio", np.array(0.5, np.float32))
    )
    net.node(
        "Gemm",
        value,
        net.weight("fc2.weight", 8, CLASSES),
        net.weight("fc2.bias", CLASSES),
        output="logits",
    )
    return net.model({"x": ("batch", FEATURES)}, {"logits": ("batch", CLASSES)}, opset)


def regression(final: str | None = None, opset: int = OPSET) -> onnx.ModelProto:
    """An MLP with three outputs: x (batch, 6) -> prediction (batch, 3); `final` is its last operator."""
    net = Network()
    value = net.node("Gemm", "x", net.weight("fc1.weight", FEATURES, 8), net.weight("fc1.bias", 8))
    value = net.node("Tanh", value)
    last = None if final else "prediction"
    value = net.node(
        "Gemm", value, net.weight("fc2.weight", 8, 3), net.weight("fc2.bias", 3), output=last
    )
    if final:
        net.node(final, value, output="prediction")
    return net.model({"x": ("batch", FEATURES)}, {"prediction": ("batch", 3)}, opset)


def obstacles() -> onnx.ModelProto:
    """x (N, 6) -> a backbone with three operators that have no gradient -> a head -> logits (N, 4)."""
    net = Network()
    value = net.node("MatMul", "x", net.weight("backbone", 6, 6))
    value = net.node("Hardmax", value, output="one", axis=1)
    value = net.node("Atan", net.node("MatMul", value, net.weight("middle", 6, 6)), output="two")
    value = net.node(
        "Mod", value, net.constant("divisor", np.array(2, np.float32)), output="three", fmod=1
    )
    value = net.node("MatMul", value, net.weight("head.weight", 6, 4))
    net.node("Add", value, net.weight("head.bias", 4), output="logits")
    return net.model({"x": ("batch", 6)}, {"logits": ("batch", 4)})


def examples(model: onnx.ModelProto, count: int = 12, seed: int = 1) -> dict[str, np.ndarray]:
    """Random float32 inputs and int64 labels for a classifier of this module."""
    random = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {
        value.name: random.normal(
            size=(count, *(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]))
        ).astype(np.float32)
        for value in model.graph.input
    }
    arrays["labels"] = random.integers(0, CLASSES, count)
    return arrays
