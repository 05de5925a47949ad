"""The paper's pre-activation ResNet-20 for CIFAR-10.

As in the authors' published code, the first block adds to the activated output of the stem, and has no
BatchNormalization and Relu of its own before its first convolution.
"""

from __future__ import annotations

import numpy as np
import onnx

from tools.networks.builder import Network

STAGES = (16, 32, 64)  # channels
BLOCKS = 3  # in a stage
CLASSES = 10


def build(seed: int) -> onnx.ModelProto:
    """image (batch, 3, 32, 32) -> probabilities (batch, 10)."""
    network = Network(seed)
    channels = STAGES[0]
    value = network.convolution("stem", "image", 3, channels, bias=False)
    value = network.relu(network.batch_normalization("stem.bn", value, channels))
    for stage, outputs in enumerate(STAGES, start=1):
        for block in range(1, BLOCKS + 1):
            first = (stage, block) == (1, 1)
            value = _block(network, f"stage{stage}.block{block}", value, channels, outputs, first)
            channels = outputs
    value = network.relu(network.batch_normalization("bn", value, channels))
    logits = network.dense("fc", network.global_mean(value), channels, CLASSES)
    assert network.parameter_count == 269_722
    return network.model("paper_resnet20", [3, 32, 32], logits, CLASSES)


def _block(
    network: Network, name: str, value: str, inputs: int, outputs: int, activated: bool
) -> str:
    """Twice BatchNormalization, Relu, Conv; more channels mean half the height and width.

    Where its input is `activated`, the first of these BatchNormalizations and Relus are left out.
    """
    stride = 1 if inputs == outputs else 2
    residual = value
    if not activated:
        residual = network.relu(network.batch_normalization(f"{name}.bn1", value, inputs))
    residual = network.convolution(
        f"{name}.conv1", residual, inputs, outputs, stride=stride, bias=False
    )
    residual = network.relu(network.batch_normalization(f"{name}.bn2", residual, outputs))
    residual = network.convolution(f"{name}.conv2", residual, outputs, outputs, bias=False)
    if stride == 2:
        value = _shortcut(network, name, value, outputs - inputs)
    return network.node("Add", residual, value, name=f"{name}.add")


def _shortcut(network: Network, name: str, value: str, missing: int) -> str:
    """2x2 mean, and the missing channels as zeros, half of them on either side."""
    value = network.node("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
    before, after = missing // 2, missing - missing // 2
    pads = np.array([0, before, 0, 0, 0, after, 0, 0], np.int64)
    return network.node("Pad", value, network.constant(f"{name}.pads", pads))
