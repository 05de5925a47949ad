"""A diffusion U-Net (Ho et al., arXiv 2006.11239): a time embedding in residual blocks, attention between.

As torch.onnx writes it: GroupNorm is InstanceNormalization by ones and zeros between two Reshapes, with scale
and shift of shape (C, 1, 1) behind; frequencies of the time are a constant.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.usual_models.attention import attention, heads
from tools.usual_models.exported import Exported, integer, real

GROUPS = 32


def write(
    path: Path,
    *,
    seed: int = 0,
    size: int = 32,
    width: int = 128,
    groups: int = GROUPS,
    count: int = 4,
) -> list[str]:
    """sample (batch, 3, size, size), timestep (batch,) -> noise of sample's shape; its parameters' names."""
    net = Exported(seed)
    time = _time(net, width)
    value = _convolution(net, "sample", "conv_in", 3, width)
    skipped = []
    inputs = width
    for level, outputs in enumerate((width, 2 * width)):
        value = _block(net, value, f"down.{level}", inputs, outputs, time, width, groups)
        skipped.append((value, outputs))
        value = _convolution(net, value, f"down.{level}.conv", outputs, outputs, stride=2)
        inputs = outputs
    value = _block(net, value, "mid.0", inputs, inputs, time, width, groups)
    value = _attention(net, value, "mid.attention", inputs, size // 4, count, groups)
    value = _block(net, value, "mid.1", inputs, inputs, time, width, groups)
    for level, (kept, channels) in enumerate(reversed(skipped)):
        scales = net.constant(np.array([1, 1, 2, 2], np.float32))
        value = net.node(
            "Resize",
            *(value, "", scales),
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
        value = _convolution(net, value, f"up.{level}.conv", inputs, inputs)
        value = net.node("Concat", value, kept, axis=1)
        name = f"up.{level}"
        value = _block(net, value, name, inputs + channels, channels, time, width, groups)
        inputs = channels
    value = _silu(net, _group_normalization(net, value, inputs, groups))
    net.rename(_convolution(net, value, "conv_out", inputs, 3), "noise")
    shape = ("batch", 3, size, size)
    net.save(path, {"sample": real(*shape), "timestep": integer("batch")}, {"noise": shape})
    return net.parameters


def _time(net: Exported, width: int) -> str:
    steps = net.node("Cast", net.node("Unsqueeze", "timestep", net.integers(1)), to=1)
    frequencies = np.exp(-np.log(10_000) * np.arange(width // 2) / (width // 2))
    angles = net.node("Mul", steps, net.constant(frequencies[None].astype(np.float32)))
    value = net.node("Concat", net.node("Sin", angles), net.node("Cos", angles), axis=-1)
    value = _silu(net, _gemm(net, value, "time.linear_1", width, 4 * width))
    return _silu(net, _gemm(net, value, "time.linear_2", 4 * width, 4 * width))


def _block(
    net: Exported,
    value: str,
    module: str,
    inputs: int,
    outputs: int,
    time: str,
    width: int,
    groups: int,
) -> str:
    hidden = _silu(net, _group_normalization(net, value, inputs, groups))
    hidden = _convolution(net, hidden, f"{module}.conv1", inputs, outputs)
    shift = _gemm(net, time, f"{module}.time_emb_proj", 4 * width, outputs)
    hidden = net.node("Add", hidden, net.node("Unsqueeze", shift, net.integers(2, 3)))
    hidden = _silu(net, _group_normalization(net, hidden, outputs, groups))
    hidden = _convolution(net, hidden, f"{module}.conv2", outputs, outputs)
    if inputs != outputs:
        value = _convolution(net, value, f"{module}.conv_shortcut", inputs, outputs, kernel=1)
    return net.node("Add", value, hidden)


def _attention(
    net: Exported, value: str, module: str, width: int, side: int, count: int, groups: int
) -> str:
    tokens, size = side**2, width // count
    flat = net.reshape(_group_normalization(net, value, width, groups), -1, width, tokens)
    flat = net.transpose(flat, 0, 2, 1)
    parts = [
        heads(net, net.linear(flat, f"{module}.{name}", width, width), tokens, count, size)
        for name in ("to_q", "to_k", "to_v")
    ]
    mixed = net.reshape(attention(net, *parts, size=size, mask=None), -1, tokens, width)
    mixed = net.linear(mixed, f"{module}.to_out.0", width, width)
    mixed = net.reshape(net.transpose(mixed, 0, 2, 1), -1, width, side, side)
    return net.node("Add", value, mixed)


def _group_normalization(net: Exported, value: str, channels: int, groups: int) -> str:
    ones, zeros = (net.constant(np.full(groups, each, np.float32)) for each in (1, 0))
    split = net.node("Reshape", value, net.integers(0, groups, -1), allowzero=0)
    normal = net.node("InstanceNormalization", split, ones, zeros, epsilon=1e-5)
    normal = net.node("Reshape", normal, net.node("Shape", value, start=0), allowzero=0)
    scaled = net.node("Mul", normal, net.weight(None, channels, 1, 1, deviation=1.0))
    return net.node("Add", scaled, net.weight(None, channels, 1, 1))


def _gemm(net: Exported, value: str, module: str, inputs: int, outputs: int) -> str:
    weight = net.weight(f"{module}.weight", outputs, inputs, deviation=inputs**-0.5)
    return net.node("Gemm", value, weight, net.weight(f"{module}.bias", outputs), transB=1)


def _convolution(
    net: Exported,
    value: str,
    module: str,
    inputs: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
) -> str:
    deviation = (inputs * kernel**2) ** -0.5
    weight = net.weight(f"{module}.weight", outputs, inputs, kernel, kernel, deviation=deviation)
    return net.node(
        "Conv",
        *(value, weight, net.weight(f"{module}.bias", outputs)),
        kernel_shape=[kernel, kernel],
        strides=[stride, stride],
        pads=[kernel // 2] * 4,
    )


def _silu(net: Exported, value: str) -> str:
    return net.node("Mul", value, net.node("Sigmoid", value))
