"""The paper's VGG for CIFAR-10 (Fig. 10): BatchNormalization after a block's last Relu."""

from __future__ import annotations

import itertools

import onnx

from tools.networks.builder import Network

BLOCKS = ((3, 3, 16), (16, 16, 32), (32, 128))  # channels before, between and after convolutions
CLASSES = 10


def build(seed: int) -> onnx.ModelProto:
    """image (batch, 3, 32, 32) -> probabilities (batch, 10)."""
    network = Network(seed)
    value = "image"
    for block, channels in enumerate(BLOCKS, start=1):
        if block > 1:
            # 3x3 by 2 with padding at the end: 32 -> 16 -> 8.
            value = network.node(
                "MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]
            )
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(channels), start=1):
            name = f"block{block}.conv{layer}"
            value = network.relu(network.convolution(name, value, inputs, outputs, bias=True))
        value = network.batch_normalization(f"block{block}.bn", value, channels[-1])
    logits = network.dense("fc", network.global_mean(value), BLOCKS[-1][-1], CLASSES)
    assert network.parameter_count == 46_126
    return network.model("paper_vgg", [3, 32, 32], logits, CLASSES)
