"""A network that normalizes with the statistics of its batch, with its parameters as inputs."""

from __future__ import annotations

import onnx
from onnx import helper


def with_batch_statistics(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose BatchNormalization is in training mode, and whose output is the logits.

    Args:
        model: ends in a Softmax. Its float32 initializers become inputs, after its own.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            node.attribute.append(helper.make_attribute("training_mode", 1))
            node.output.extend(
                f"{node.output[0]}.{name}" for name in ("running_mean", "running_variance")
            )
    softmax = graph.node.pop()
    assert softmax.op_type == "Softmax"
    graph.output[0].name = softmax.input[0]
    weights = [each for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT]
    for weight in weights:
        graph.input.append(
            helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        )
        graph.initializer.remove(weight)
    onnx.checker.check_model(copy, full_check=True)
    return copy
