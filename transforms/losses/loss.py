"""What a loss is: nodes over a prediction and a target, and the activation it already contains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.loss_settings import LossSettings

# From the prediction, the target and the settings to the nodes, the last one's output the loss.
Build = Callable[[ir.Value, ir.Value, LossSettings], list[ir.Node]]
# The target's shape from the prediction's.
TargetShape = Callable[[ir.Shape], ir.Shape]


@dataclass(frozen=True)
class Loss:
    """A loss over one prediction.

    Attributes:
        target: name of the graph input that holds what the model should have said.
        target_dtype: its element type.
        target_shape: its shape, from the prediction's shape (of cross-entropy: classes on axis 1).
        build: the nodes, whose last one gives the scalar.
        contains: final activations that the loss computes itself, and better: it reads their input.
    """

    target: str
    target_dtype: ir.DataType
    target_shape: TargetShape
    build: Build
    contains: frozenset[str] = frozenset()


def same_shape(prediction: ir.Shape) -> ir.Shape:
    """The shape of a target that has one value for each of the prediction's."""
    return ir.Shape(list(prediction))


def reduce(value: ir.Value, settings: LossSettings) -> ir.Node:
    """The mean or the sum over all elements, a scalar."""
    operator = {"mean": "ReduceMean", "sum": "ReduceSum"}[settings.reduction]
    return ir.node(operator, [value], {"keepdims": 0})
