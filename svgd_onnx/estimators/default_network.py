"""The network of an estimator that was given none: one hidden layer."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN = 100
_OPSET, _IR_VERSION = 17, 8


def perceptron(
    n_features: int,
    n_outputs: int,
    *,
    hidden: int = HIDDEN,
    final: str = "Identity",
    seed: int = 0,
) -> onnx.ModelProto:
    """A multi-layer perceptron with one hidden layer of Relu: x (batch, n_features) -> y (batch, n_outputs).

    Weights are uniform in ±sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010), biases zero.

    Args:
        n_features: numbers of an example.
        n_outputs: numbers of its prediction.
        hidden: units of the hidden layer.
        final: the operator at the end, such as Softmax.
        seed: of the weights.
    """
    random = np.random.default_rng(seed)
    initializers = [
        tensor
        for layer, sizes in (("fc1", (n_features, hidden)), ("fc2", (hidden, n_outputs)))
        for tensor in _dense(layer, *sizes, random)
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "fc1.weight", "fc1.bias"], ["fc1"], "fc1"),
        helper.make_node("Relu", ["fc1"], ["relu"], "relu"),
        helper.make_node("Gemm", ["relu", "fc2.weight", "fc2.bias"], ["fc2"], "fc2"),
        helper.make_node(final, ["fc2"], ["y"], "final"),
    ]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", n_features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", n_outputs])],
        initializers,
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def _dense(
    name: str, inputs: int, outputs: int, random: np.random.Generator
) -> list[onnx.TensorProto]:
    bound = np.sqrt(6 / (inputs + outputs))
    weight = random.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)
    bias = np.zeros(outputs, np.float32)
    return [
        numpy_helper.from_array(weight, f"{name}.weight"),
        numpy_helper.from_array(bias, f"{name}.bias"),
    ]
