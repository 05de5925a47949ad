"""Small convolutional networks, one for each thing that the layout of channels has to do with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from models import CLASSES, Network

SAME = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}


def _head(net: Network, value: str, channels: int) -> None:
    value = net.node("Flatten", net.node("GlobalAveragePool", value))
    net.node("MatMul", value, net.weight("head.weight", channels, CLASSES), output="logits")


def _network(
    build: Callable[[Network], None], *image: int, batch: Any = "batch"
) -> Callable[[], onnx.ModelProto]:
    def model() -> onnx.ModelProto:
        net = Network()
        build(net)
        return net.model({"image": (batch, *image)}, {"logits": (batch, CLASSES)})

    return model


def _windows(net: Network) -> None:
    """Strides, dilations and pads, which differ along the axes and at their ends."""
    value = net.node(
        "Conv",
        "image",
        net.weight("a.weight", 5, 3, 3, 2),
        net.weight("a.bias", 5),
        strides=[2, 1],
        pads=[0, 1, 2, 0],
        kernel_shape=[3, 2],
    )
    value = net.node(
        "Conv", net.node("Relu", value), net.weight("b.weight", 7, 5, 2, 3), dilations=[2, 1]
    )
    _head(net, net.node("Tanh", value), 7)


def _groups(net: Network) -> None:
    """A convolution of each channel by itself, one in groups, and one of single places."""
    value = net.node("Conv", "image", net.weight("a.weight", 6, 3, 1, 1))
    value = net.node("Conv", value, net.weight("b.weight", 6, 1, 3, 3), group=6, **SAME)
    value = net.node(
        "Conv", net.node("Sigmoid", value), net.weight("c.weight", 4, 3, 3, 3), group=2, **SAME
    )
    _head(net, net.node("Relu", value), 4)


def _sequence(net: Network) -> None:
    value = net.node("Conv", "image", net.weight("a.weight", 5, 3, 3), net.weight("a.bias", 5))
    value = net.node("MaxPool", net.node("Relu", value), kernel_shape=[2], strides=[2])
    value = net.node("Conv", value, net.weight("b.weight", 4, 5, 2), pads=[1, 0])
    _head(net, net.batch_normalization(value, 4, "bn"), 4)


def _volume(net: Network) -> None:
    value = net.node(
        "Conv", "image", net.weight("a.weight", 3, 2, 2, 3, 2), pads=[0, 1, 0, 1, 0, 0]
    )
    value = net.node("MaxPool", net.node("Relu", value), kernel_shape=[2, 1, 2])
    _head(net, net.node("Conv", value, net.weight("b.weight", 4, 3, 2, 2, 1)), 4)


def _normalized(net: Network) -> None:
    """Normalizations before and behind an addition, with a Relu and without."""
    stem = net.node("Conv", "image", net.weight("stem.weight", 5, 3, 3, 3), **SAME)
    value = net.node("Relu", net.batch_normalization(stem, 5, "bn1"))
    value = net.node("Conv", value, net.weight("a.weight", 5, 5, 3, 3), **SAME)
    value = net.node("Add", net.batch_normalization(value, 5, "bn2"), stem)
    value = net.node("Relu", value)
    value = net.node("Relu", net.batch_normalization(value, 5, "bn3"))
    _head(net, value, 5)


def _residual(net: Network) -> None:
    """Blocks that end in a Relu: two normalizations are added, then one and what came before."""
    stem = net.node("Conv", "image", net.weight("stem.weight", 5, 3, 3, 3), **SAME)
    stem = net.node("Relu", net.batch_normalization(stem, 5, "bn0"))
    wide = net.node("Conv", stem, net.weight("wide.weight", 6, 5, 1, 1))
    value = net.node("Conv", stem, net.weight("a.weight", 6, 5, 3, 3), **SAME)
    value = net.node(
        "Add", net.batch_normalization(wide, 6, "bn1"), net.batch_normalization(value, 6, "bn2")
    )
    first = net.node("Relu", value)
    value = net.node("Conv", first, net.weight("b.weight", 6, 6, 3, 3), **SAME)
    value = net.node("Relu", net.node("Add", first, net.batch_normalization(value, 6, "bn3")))
    _head(net, value, 6)


def _pooled(net: Network) -> None:
    """Windows that overlap, windows beyond the image, and means of windows."""
    value = net.node("Conv", "image", net.weight("a.weight", 5, 3, 3, 3), **SAME)
    value = net.node(
        "MaxPool", net.node("Relu", value), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 1]
    )
    value = net.node("Conv", value, net.weight("b.weight", 6, 5, 3, 3), **SAME)
    value = net.node("AveragePool", net.node("Relu", value), kernel_shape=[2, 2], strides=[2, 2])
    _head(net, value, 6)


def _moved(net: Network) -> None:
    """What rearranges values in between: padding, joining, parts, and a layer with channels last."""
    pads = net.constant("pads", np.array([0, 1, 0, 1, 0, 0, 1, 0], np.int64))
    value = net.node("Conv", "image", net.weight("a.weight", 4, 3, 3, 3), **SAME)
    value = net.node("Pad", net.node("Relu", value), pads)
    other = net.node("Conv", value, net.weight("b.weight", 3, 5, 1, 1))
    value = net.node("Concat", value, other, axis=1)
    value = net.node("Transpose", value, perm=[0, 2, 3, 1])
    value = net.node("MatMul", value, net.weight("rows.weight", 8, 6))
    value = net.node("Transpose", value, perm=[0, 3, 1, 2])
    factor = net.weight("factor", 6, 1, 1, mean=1.0)
    value = net.node("Mul", net.node("Relu", value), factor)
    value = net.node("Conv", value, net.weight("c.weight", 4, 6, 2, 2))
    _head(net, value, 4)


def _sliced(net: Network) -> None:
    """Parts of images, whose bounds are int32 as TensorFlow's exporter writes them."""
    value = net.node("Conv", "image", net.weight("a.weight", 4, 3, 3, 3), **SAME)
    bounds = [net.constant(name, np.array(numbers, np.int32)) for name, numbers in _BOUNDS.items()]
    value = net.node("Slice", net.node("Relu", value), *bounds)
    value = net.node("Conv", value, net.weight("b.weight", 5, 4, 2, 2))
    _head(net, value, 5)


_BOUNDS = {"starts": [1, 0], "ends": [6, 4], "axes": [2, 3]}

NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "windows": _network(_windows, 3, 9, 8),
    "groups": _network(_groups, 3, 6, 7),
    "sequence": _network(_sequence, 3, 11),
    "volume": _network(_volume, 2, 4, 5, 6),
    "normalized": _network(_normalized, 3, 7, 6),
    "residual": _network(_residual, 3, 7, 6),
    "pooled": _network(_pooled, 3, 9, 8),
    "moved": _network(_moved, 3, 6, 5),
    "a fixed batch": _network(_normalized, 3, 5, 5, batch=8),
}

sliced = _network(_sliced, 3, 7, 5)
