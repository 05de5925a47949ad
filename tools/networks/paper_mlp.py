"""The paper's multi-layer perceptron for MNIST (Fig. 8)."""

from __future__ import annotations

import itertools

import onnx

from tools.networks.builder import Network

WIDTHS = (784, 256, 128, 64, 32, 10)


def build(seed: int) -> onnx.ModelProto:
    """image (batch, 784) -> probabilities (batch, 10)."""
    network = Network(seed)
    value = "image"
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(WIDTHS[:-1]), start=1):
        value = network.dense(f"fc{layer}", value, inputs, outputs)
        value = network.relu(network.batch_normalization(f"bn{layer}", value, outputs))
    logits = network.dense("fc5", value, *WIDTHS[-2:])
    assert network.parameter_count == 245_482
    return network.model("paper_mlp", WIDTHS[:1], logits, WIDTHS[-1])
