"""A small convolutional network for 8x8 digits."""

from __future__ import annotations

import onnx

from tools.networks.builder import Network

CLASSES = 10


def build(seed: int) -> onnx.ModelProto:
    """image (batch, 1, 8, 8) -> probabilities (batch, 10)."""
    network = Network(seed)
    value = network.convolution("conv1", "image", 1, 32, bias=False)
    value = network.relu(network.batch_normalization("bn1", value, 32))
    value = network.node("MaxPool", value, kernel_shape=[2, 2], strides=[2, 2])
    value = network.convolution("conv2", value, 32, 64, bias=False)
    value = network.relu(network.batch_normalization("bn2", value, 64))
    logits = network.dense("fc", network.global_mean(value), 64, CLASSES)
    assert network.parameter_count == 19_562
    return network.model("digits_cnn", [1, 8, 8], logits, CLASSES)
