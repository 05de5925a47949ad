"""A small multi-layer perceptron for 8x8 digits: dense, BatchNormalization, Relu; dense."""

from __future__ import annotations

import itertools

import onnx

from tools.networks.builder import Network

WIDTHS = (64, 128, 64, 10)


def build(seed: int) -> onnx.ModelProto:
    """image (batch, 64) -> probabilities (batch, 10)."""
    network = Network(seed)
    value = "image"
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS[:-1]), start=1):
        value = network.dense(f"fc{layer}", value, inputs, outputs)
        value = network.relu(network.batch_normalization(f"bn{layer}", value, outputs))
    logits = network.dense("fc3", value, *WIDTHS[-2:])
    assert network.parameter_count == 17_610
    return network.model("digits_mlp", WIDTHS[:1], logits, WIDTHS[-1])
