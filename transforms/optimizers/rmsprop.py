"""RMSProp (Tieleman and Hinton, Coursera 2012, lecture 6.5).

v <- decay * v + (1 - decay) * g^2
w <- w - rate * g / (sqrt(v) + stability)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.optimizer import Optimizer, of_its_shape
from svgd_onnx.transforms.optimizers.session_operator import SessionOperator, adamw_optimizer
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _session_operator(values: Mapping[str, float]) -> SessionOperator:
    # With alpha 0 its m is g.
    return adamw_optimizer(alpha=0.0, beta=values["decay"], epsilon=values["stability"])


def _formula(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    write, gradient = step.write, step.gradient
    square = write.node("Mul", gradient, gradient)
    mean_square = step.moving_average("decay", step.state("mean_square"), square)
    root = write.node("Add", write.node("Sqrt", mean_square), step.number("stability"))
    return write.node("Div", gradient, root), {"mean_square": mean_square}


RMSPROP = Optimizer(
    defaults={"decay": 0.9, "stability": 1e-8},
    options={},
    state=of_its_shape("mean_square"),
    session_operator=_session_operator,
    formula=_formula,
    squares=True,
)
