"""Stochastic gradient descent with momentum.

m <- momentum * m + g
w <- w - rate * m
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.optimizer import Optimizer, Option, of_its_shape
from svgd_onnx.transforms.optimizers.session_operator import SessionOperator, adamw_optimizer
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _session_operator(values: Mapping[str, float]) -> SessionOperator:
    # With beta 1 its v stays 0, and w <- w - rate * m / epsilon. Its m is 1 - momentum times ours, which
    # that epsilon undoes.
    return adamw_optimizer(
        alpha=values["momentum"],
        beta=1.0,
        epsilon=1.0 - values["momentum"],
    )


def momentum(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    """Writes the momentum, which is the direction."""
    write = step.write
    kept = write.node("Mul", step.state("momentum"), step.number("momentum"))
    new = write.node("Add", kept, step.gradient)
    return new, {"momentum": new}


MOMENTUM = Optimizer(
    defaults={"momentum": 0.9},
    options={"momentum": Option(0, below=1)},
    state=of_its_shape("momentum"),
    session_operator=_session_operator,
    formula=momentum,
)
