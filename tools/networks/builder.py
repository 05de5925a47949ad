"""An ONNX graph put together layer by layer, as an exporter writes a model for inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 8
INPUT, OUTPUT = "image", "probabilities"


def truncated_normal(
    random: np.random.Generator, shape: Sequence[int], deviation: float
) -> np.ndarray:
    """Normal values, those beyond two standard deviations drawn again; float32."""
    values = random.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = random.standard_normal(np.count_nonzero(beyond))
    return (deviation * values).astype(np.float32)


class Network:
    """Nodes and weights of a network of images.

    Weights start truncated normal with standard deviation sqrt(2 / (inputs + outputs)), in
    convolutions the channels alone (the area of the kernel does not count); biases start at zero,
    BatchNormalization as the identity. Each layer returns the name of its value.

    Args:
        seed: of the weights.
    """

    def __init__(self, seed: int) -> None:
        self.parameter_count = 0
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def dense(self, name: str, value: str, inputs: int, outputs: int) -> str:
        """Gemm with a weight (outputs, inputs) and a bias: (N, inputs) -> (N, outputs)."""
        weight = self._weight(name, outputs, inputs)
        return self.node("Gemm", value, weight, self._bias(name, outputs), name=name, transB=1)

    def matmul(self, name: str, value: str, inputs: int, outputs: int) -> str:
        """MatMul with a weight (inputs, outputs), and Add of a bias: (..., inputs) -> (..., outputs)."""
        product = self.node("MatMul", value, self._weight(name, inputs, outputs))
        return self.node("Add", product, self._bias(name, outputs), name=name)

    def layer_normalization(self, name: str, value: str, size: int) -> str:
        """LayerNormalization over the last axis."""
        return self.node(
            "LayerNormalization",
            value,
            self._parameter(f"{name}.scale", np.ones(size, np.float32)),
            self._parameter(f"{name}.shift", np.zeros(size, np.float32)),
            name=name,
            axis=-1,
        )

    def convolution(
        self, name: str, value: str, inputs: int, outputs: int, *, stride: int = 1, bias: bool
    ) -> str:
        """3x3 Conv that divides height and width, which must be even, by the stride.

        With stride 2 the padding lies at the end only, TensorFlow's "SAME".
        """
        parameters = [self._weight(name, outputs, inputs, 3, 3)]
        if bias:
            parameters.append(self._bias(name, outputs))
        begin = 1 if stride == 1 else 0
        return self.node(
            "Conv",
            value,
            *parameters,
            name=name,
            kernel_shape=[3, 3],
            strides=[stride, stride],
            pads=[begin, begin, 1, 1],
        )

    def batch_normalization(self, name: str, value: str, channels: int) -> str:
        """BatchNormalization with running statistics."""
        return self.node(
            "BatchNormalization",
            value,
            self._parameter(f"{name}.scale", np.ones(channels, np.float32)),
            self._parameter(f"{name}.shift", np.zeros(channels, np.float32)),
            self.constant(f"{name}.mean", np.zeros(channels, np.float32)),
            self.constant(f"{name}.variance", np.ones(channels, np.float32)),
            name=name,
            epsilon=1e-3,
            momentum=0.9,
        )

    def relu(self, value: str) -> str:
        """Relu."""
        return self.node("Relu", value)

    def global_mean(self, value: str) -> str:
        """Mean over height and width: (N, C, H, W) -> (N, C)."""
        return self.node("Flatten", self.node("GlobalAveragePool", value))

    def last_state(self, op_type: str, value: str, *weights: str, hidden: int) -> str:
        """The last state of an LSTM, GRU or RNN of one direction: (T, N, inputs) -> (N, hidden)."""
        name = f"{op_type.lower()}{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(op_type, [value, *weights], ["", name], name=name, hidden_size=hidden)
        )
        return self.node("Squeeze", name, self.constant(f"{name}.axes", np.array([0], np.int64)))

    def node(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Any operator with one output."""
        name = name or f"{op_type.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: np.ndarray) -> str:
        """A tensor that is no parameter."""
        self._initializers.append(numpy_helper.from_array(array, name))
        return name

    def model(self, name: str, shape: Sequence[int], logits: str, classes: int) -> onnx.ModelProto:
        """The model, image (batch, *shape) -> probabilities (batch, classes), checked.

        Args:
            name: of the graph.
            shape: of one image.
            logits: the value under the final Softmax.
            classes: how many there are.
        """
        softmax = helper.make_node("Softmax", [logits], [OUTPUT], name="softmax", axis=1)
        image, probabilities = (
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *axes])
            for name, axes in ((INPUT, shape), (OUTPUT, [classes]))
        )
        graph = helper.make_graph(
            [*self._nodes, softmax], name, [image], [probabilities], self._initializers
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model

    def _parameter(self, name: str, array: np.ndarray) -> str:
        self.parameter_count += array.size
        return self.constant(name, array)

    def _weight(self, name: str, outputs: int, inputs: int, *kernel: int) -> str:
        deviation = (2 / (inputs + outputs)) ** 0.5
        shape = (outputs, inputs, *kernel)
        return self._parameter(f"{name}.weight", truncated_normal(self._random, shape, deviation))

    def _bias(self, name: str, size: int) -> str:
        return self._parameter(f"{name}.bias", np.zeros(size, np.float32))
