"""Virtual gradients: the backward function of a weight sees T(dy) where all others see dy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from .interpreter import Tape, backward, forward
from .losses import LOSSES

State = tuple[str, str]

WEIGHTS: dict[str, tuple[int, ...]] = {"Conv": (1,), "Gemm": (0, 1), "MatMul": (0, 1)}
"""The inputs at which an operator takes its weight: those it is linear in, the bias aside."""

ALL_LINEAR: dict[str, tuple[int, ...]] = {
    **{"Conv": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1), "Add": (0, 1)},
    "BatchNormalization": (1, 2),
}
"""The inputs that an operator is linear in."""

METHODS: dict[str, dict[str, tuple[int, ...]]] = {
    **{"sgd": {}, "svgd": WEIGHTS},
    "svgd all-linear": ALL_LINEAR,
}
"""The inputs whose backward function is fed T(dy), by op type."""


@dataclass(frozen=True)
class Result:
    """One step: the loss, the gradients (each of its parameter's shape), and what to carry on."""

    loss: float
    gradients: dict[str, np.ndarray]
    states: dict[State, np.ndarray]
    running_statistics: dict[str, np.ndarray]


def virtual_step(
    dy: np.ndarray,
    r: np.ndarray | float,
    *,
    scale: float,
    rho: float,
    epsilon: float,
    channel_axis: int | None = None,
    examples: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The operator T: dy (N, ...), r (...) -> T(dy) (N, ...) and the new r (...).

    With a channel axis r is (C), the mean over all other axes. r is fed by `examples` times dy.
    """
    others = tuple(axis for axis in range(dy.ndim) if axis != channel_axis)
    axes = 0 if channel_axis is None else others
    new = rho * r + (1.0 - rho) * ((examples * dy) ** 2).mean(axis=axes)
    root = np.sqrt(new + epsilon)
    if channel_axis is not None:
        root = np.expand_dims(root, others)
    return scale * dy / root, new


def virtual_gradients(
    model: onnx.ModelProto,
    feeds: Mapping[str, np.ndarray],
    target: np.ndarray,
    *,
    loss: str,
    loss_settings: Mapping[str, Any] | None = None,
    output: str,
    trainable: Collection[str],
    states: Mapping[State, np.ndarray] | None = None,
    method: str = "svgd",
    scale: float = 1.0,
    rho: float = 0.9,
    epsilon: float = 1e-6,
    channel: bool = False,
    per_example: bool = False,
    l1: float = 0.0,
    l1_exempt: Collection[str] = (),
) -> Result:
    """The gradients of the `trainable` parameters of a forward model, for one batch.

    feeds: the batch by input name, each (N, ...); target: what the loss compares `output` with.
    states: r (...) for each (parameter, output of the node that uses it as weight), of that
    output's shape without its first axis; zeros where absent. The returned ones make the next step.
    channel: r has an entry for each channel of outputs of three axes or more: axis 1 of Conv and
    BatchNormalization, the last of others. per_example: r is fed by N dy.
    l1 is the factor of the parameters' L1 norm: its gradient is added, the loss leaves it out.
    """
    transformed, before, after = METHODS[method], states or {}, {}

    def feed(node: onnx.NodeProto, i: int, dy: np.ndarray) -> np.ndarray:
        """T(dy) where input i is a trainable weight, else dy; both (N, ...)."""
        if node.input[i] not in trainable or i not in transformed.get(node.op_type, ()):
            return dy
        key = (node.input[i], node.output[0])
        axis = 1 if node.op_type in ("Conv", "BatchNormalization") else dy.ndim - 1
        virtual, after[key] = virtual_step(
            dy,
            before.get(key, 0.0),
            scale=scale,
            rho=rho,
            epsilon=epsilon,
            channel_axis=axis if channel and dy.ndim > 2 else None,
            examples=len(dy) if per_example else 1.0,
        )
        return virtual

    tape = forward(model, feeds, output)
    prediction = tape.values[output]
    value, gradient = LOSSES[loss](prediction, np.asarray(target), **(loss_settings or {}))
    gradients = backward(tape, output, gradient, trainable, feed)
    for name in set(trainable).difference(l1_exempt):
        gradients[name] = gradients[name] + l1 * np.sign(tape.values[name])
    return Result(value, gradients, after, running_statistics(tape))


def running_statistics(tape: Tape) -> dict[str, np.ndarray]:
    """The new running mean (C) and variance (C) of every batch normalization, by the old's name."""
    return {
        name: new
        for node, evaluation in tape.steps
        if node.op_type == "BatchNormalization"
        for name, new in zip(node.input[3:5], evaluation.outputs[1:3])
    }
