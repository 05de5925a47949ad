"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).

m <- beta_1 * m + (1 - beta_1) * g
v <- beta_2 * v + (1 - beta_2) * g^2
w <- w - rate * (m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + stability) + weight_decay * w)

at step t = 1, 2, ...
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
    return adamw_optimizer(
        alpha=values["beta_1"],
        beta=values["beta_2"],
        epsilon=values["stability"],
        weight_decay=values["weight_decay"],
        adam_mode=0,
        correct_bias=1,
    )


def adam(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    """Writes Adam's direction."""
    write, gradient = step.write, step.gradient
    steps = step.steps()

    def corrected(moment: ir.Value, beta: str) -> ir.Value:
        power = write.node("Pow", step.number(beta), steps)
        return write.node("Div", moment, write.node("Sub", write.scalar(1), power))

    first = step.moving_average("beta_1", step.state("first_moment"), gradient)
    old_second = step.state("second_moment")
    second = step.moving_average("beta_2", old_second, write.node("Mul", gradient, gradient))
    root = write.node("Sqrt", corrected(second, "beta_2"))
    root = write.node("Add", root, step.number("stability"))
    direction = write.node("Div", corrected(first, "beta_1"), root)
    return direction, {"first_moment": first, "second_moment": second}


ADAMW = Optimizer(
    defaults={"beta_1": 0.9, "beta_2": 0.999, "stability": 1e-8, "weight_decay": 0.0},
    options={},
    state=of_its_shape("first_moment", "second_moment"),
    session_operator=_session_operator,
    formula=adam,
    squares=True,
)
