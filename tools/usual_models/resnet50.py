"""ResNet-50 (He et al., arXiv 1512.03385), BatchNormalization folded into the convolutions or kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.usual_models.exported import Exported, real

BLOCKS = (3, 4, 6, 3)
EXPANSION = 4


def write(
    path: Path,
    *,
    seed: int = 0,
    size: int = 224,
    classes: int = 1000,
    blocks: tuple[int, ...] = BLOCKS,
    width: int = 64,
    is_folded: bool = True,
) -> list[str]:
    """image (batch, 3, size, size) -> logits (batch, classes); the names of its parameters.

    A block's last scale is small, so that values do not grow from block to block.
    """
    net = Exported(seed)
    value = net.node("Relu", _convolution(net, "image", "conv1", 3, width, 7, 2, is_folded))
    value = net.node("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    inputs = width
    for stage, count in enumerate(blocks):
        narrow = width << stage
        for block in range(count):
            module = f"layer{stage + 1}.{block}"
            stride = 2 if stage and not block else 1
            value = _block(net, value, module, inputs, narrow, stride, is_folded)
            inputs = EXPANSION * narrow
    value = net.node("ReduceMean", value, net.integers(2, 3), keepdims=1)
    value = net.reshape(value, -1, inputs)
    weight = net.weight("fc.weight", classes, inputs)
    bias = net.weight("fc.bias", classes)
    net.rename(net.node("Gemm", value, weight, bias, transB=1), "logits")
    net.save(path, {"image": real("batch", 3, size, size)}, {"logits": ("batch", classes)})
    return net.parameters


def _block(
    net: Exported, value: str, module: str, inputs: int, width: int, stride: int, is_folded: bool
) -> str:
    outputs, around = EXPANSION * width, value
    if stride > 1 or inputs != outputs:
        name = f"{module}.downsample.0"
        around = _convolution(net, value, name, inputs, outputs, 1, stride, is_folded)
    value = net.node(
        "Relu", _convolution(net, value, f"{module}.conv1", inputs, width, 1, 1, is_folded)
    )
    value = net.node(
        "Relu", _convolution(net, value, f"{module}.conv2", width, width, 3, stride, is_folded)
    )
    value = _convolution(net, value, f"{module}.conv3", width, outputs, 1, 1, is_folded, scale=0.3)
    return net.node("Relu", net.node("Add", value, around))


def _convolution(
    net: Exported,
    value: str,
    module: str,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    is_folded: bool,
    scale: float = 1.0,
) -> str:
    deviation = (2 / (inputs * kernel**2)) ** 0.5 * (scale if is_folded else 1)
    shape = (outputs, inputs, kernel, kernel)
    given = [value, net.weight(f"{module}.weight", *shape, deviation=deviation)]
    if is_folded:
        given.append(net.weight(f"{module}.bias", outputs))
    attributes = {
        "kernel_shape": [kernel, kernel],
        "strides": [stride, stride],
        "pads": [kernel // 2] * 4,
        "dilations": [1, 1],
        "group": 1,
    }
    value = net.node("Conv", *given, module=module, **attributes)
    if is_folded:
        return value
    name = module.replace("conv", "bn").replace("downsample.0", "downsample.1")
    learned = [net.vector(f"{name}.weight", scale, outputs), net.vector(f"{name}.bias", 0, outputs)]
    statistics = [net.constant(np.full(outputs, each, np.float32)) for each in (0, 1)]
    return net.node(
        "BatchNormalization", value, *learned, *statistics, module=name, epsilon=1e-5, momentum=0.9
    )
