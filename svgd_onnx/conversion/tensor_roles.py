"""What each initializer of a model is taken for."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.conversion.plan import initial_value
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.parameters import Selection

# What makes of a tensor what it is not taken for.
_OTHERWISE = {"trained": "freeze", "constant": "train"}


@dataclass(frozen=True)
class TensorRole:
    """What an initializer is taken for.

    Attributes:
        name: its name.
        shape: its shape.
        role: "trained", "frozen", "statistics" or "constant".
        reason: why.
        decide_with: the option that decides otherwise, "train" or "freeze", where there is doubt.
    """

    name: str
    shape: list[int]
    role: str
    reason: str
    decide_with: str | None = None


def tensor_roles(graph: ir.Graph, selection: Selection) -> list[TensorRole]:
    """Of each floating-point initializer, and of running statistics."""
    roles = {
        **dict.fromkeys(selection.trainable, "trained"),
        **dict.fromkeys(selection.frozen, "frozen"),
    }
    found = [
        TensorRole(
            unquoted(name),
            list(initial_value(graph, name).shape.numpy()),
            roles.get(name, "constant"),
            verdict.reason,
            _OTHERWISE.get(roles.get(name, "constant")) if verdict.doubtful else None,
        )
        for name, verdict in selection.verdicts.items()
    ]
    running = [
        TensorRole(
            unquoted(name),
            list(initial_value(graph, name).shape.numpy()),
            "statistics",
            "running statistics of BatchNormalization",
        )
        for name in selection.statistics
    ]
    return [*found, *running]
