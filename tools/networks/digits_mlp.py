"""A small multi-layer perceptron for 8x8 digits: dense, BatchNormalization, Relu, dense."""

from __future__ import annotations

import onnx

from tools.networks.builder import Network

PIXELS, HIDDEN, CLASSES = 64, 128, 10


def build(seed: int) -> onnx.ModelProto:
    """image (batch, 64) -> probabilities (batch, 10)."""
    network = Network(seed)
    value = network.dense("fc1", "image", PIXELS, HIDDEN)
    value = network.relu(network.batch_normalization("bn1", value, HIDDEN))
    logits = network.dense("fc2", value, HIDDEN, CLASSES)
    assert network.parameter_count == 9_866
    return network.model("digits_mlp", [PIXELS], logits, CLASSES)
