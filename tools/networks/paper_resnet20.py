"""The paper's pre-activation ResNet-20 for CIFAR-10.

As in the authors' published code, the first block adds to the activated output of the stem, and has no
BatchNormalization and Relu of its own before its first convolution.
"""

from __future__ import annotations

import numpy as np
import onnx

from tools.networks.builder import Network

SIZE, CHANNELS = 32, 16  # of images; of the first stage
STAGES = 3  # each with twice the channels
BLOCKS = 3  # in a stage
CLASSES = 10


def build(seed: int, size: int = SIZE, channels: int = CHANNELS) -> onnx.ModelProto:
    """image (batch, 3, size, size) -> probabilities (batch, 10).

    Args:
        seed: of the weights.
        size: height and width of images, a multiple of 4.
        channels: of the first stage.
    """
    network = Network(seed)
    is_of_the_paper = channels == CHANNELS
    value = network.convolution("stem", "image", 3, channels, bias=False)
    value = network.relu(network.batch_normalization("stem.bn", value, channels))
    for stage in range(1, STAGES + 1):
        outputs = channels if stage == 1 else 2 * channels
        for block in range(1, BLOCKS + 1):
            first = (stage, block) == (1, 1)
            value = _block(network, f"stage{stage}.block{block}", value, channels, outputs, first)
            channels = outputs
    value = network.relu(network.batch_normalization("bn", value, channels))
    logits = network.dense("fc", network.global_mean(value), channels, CLASSES)
    assert network.parameter_count == 269_722 or not is_of_the_paper
    return network.model("paper_resnet20", [3, size, size], logits, CLASSES)


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
