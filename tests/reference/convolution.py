"""Convolution, channels last, and its gradients in float64."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator


@dataclass(frozen=True)
class Case:
    """A convolution: X's sizes, channels, outputs, and the attributes of ONNX Conv."""

    sizes: tuple[int, ...]
    channels: int
    outputs: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    pads: tuple[int, ...] | None = None
    dilations: tuple[int, ...] | None = None
    group: int = 1
    batch: int = 2

    @property
    def attributes(self) -> dict[str, Any]:
        given = {"strides": self.strides, "pads": self.pads, "dilations": self.dilations}
        return {"group": self.group, "kernel_shape": self.kernel} | {
            name: value for name, value in given.items() if value is not None
        }

    @property
    def out(self) -> tuple[int, ...]:
        axes = len(self.sizes)
        pads, strides, dilations = self.each
        return tuple(
            (self.sizes[i] + pads[i] + pads[axes + i] - dilations[i] * (self.kernel[i] - 1) - 1)
            // strides[i]
            + 1
            for i in range(axes)
        )

    @property
    def each(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        axes = len(self.sizes)
        ones = (1,) * axes
        return self.pads or (0,) * 2 * axes, self.strides or ones, self.dilations or ones

    def tensors(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X and dY, channels last, and W."""
        random = np.random.default_rng(0)

        def made(*shape: int) -> np.ndarray:
            return random.normal(size=shape).astype(np.float32)

        x = made(self.batch, *self.sizes, self.channels)
        dy = made(self.batch, *self.out, self.outputs)
        return x, dy, made(self.outputs, self.channels // self.group, *self.kernel)


def taps(case: Case) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each element of the kernel, and what the outputs see of the padded X through it."""
    _, strides, dilations = case.each
    return [
        (
            tap,
            tuple(
                slice(k * d, k * d + s * (out - 1) + 1, s)
                for k, d, s, out in zip(tap, dilations, strides, case.out)
            ),
        )
        for tap in product(*(range(size) for size in case.kernel))
    ]


def padded(case: Case, x: np.ndarray) -> np.ndarray:
    axes = len(case.sizes)
    pads = case.each[0]
    around = [(0, 0), *((pads[i], pads[axes + i]) for i in range(axes)), (0, 0)]
    return np.pad(x.astype(np.float64), around)


def grouped(case: Case, array: np.ndarray) -> np.ndarray:
    return array.reshape(*array.shape[:-1], case.group, array.shape[-1] // case.group)


def weight_gradient(case: Case, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dW in float64, an element of the kernel at a time."""
    around, dy = padded(case, x), grouped(case, dy.astype(np.float64))
    dw = np.zeros((case.outputs, case.channels // case.group, *case.kernel))
    for tap, seen in taps(case):
        x = grouped(case, around[(slice(None), *seen)])
        of_tap = np.einsum(
            "pgm,pgc->gmc", dy.reshape(-1, *dy.shape[-2:]), x.reshape(-1, *x.shape[-2:])
        )
        dw[(slice(None), slice(None), *tap)] = of_tap.reshape(dw.shape[:2])
    return dw


def input_gradient(case: Case, dy: np.ndarray, w: np.ndarray) -> np.ndarray:
    """dX in float64, an element of the kernel at a time."""
    axes = len(case.sizes)
    pads = case.each[0]
    around = padded(case, np.zeros((case.batch, *case.sizes, case.channels)))
    dy = grouped(case, dy.astype(np.float64))
    for tap, seen in taps(case):
        of_tap = w[(slice(None), slice(None), *tap)].astype(np.float64)
        of_tap = of_tap.reshape(case.group, case.outputs // case.group, -1)
        part = np.einsum("...gm,gmc->...gc", dy, of_tap)
        around[(slice(None), *seen)] += part.reshape(*part.shape[:-2], case.channels)
    inside = tuple(slice(pads[i], pads[i] + case.sizes[i]) for i in range(axes))
    return around[(slice(None), *inside)]


def output(case: Case, x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Y by the onnx package's reference, in float64."""
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], **case.attributes)
    infos = [
        helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, None)
        for name in ("x", "w", "b")
    ]
    out = helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, None)
    graph = helper.make_graph([node], "conv", infos, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    feeds = {"x": np.moveaxis(x, -1, 1), "w": w, "b": bias}
    feeds = {name: each.astype(np.float64) for name, each in feeds.items()}
    (y,) = ReferenceEvaluator(model).run(None, feeds)
    return np.moveaxis(y, 1, -1)
