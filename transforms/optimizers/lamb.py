"""LAMB: Adam whose directions are as long as their parameters (You et al., arXiv 1904.00962, Algorithm 2).

d = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + stability) + weight_decay * w
w <- w - rate * |w| / |d| * d

with Adam's m and v, at step t = 1, 2, ...; |w| / |d| is 1 where one of them is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.adamw import adam
from svgd_onnx.transforms.optimizers.optimizer import Optimizer, of_its_shape
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _as_long_as_the_parameter(step: Step, direction: ir.Value) -> ir.Value:
    write = step.write
    of_parameter = write.node("ReduceL2", step.parameter, keepdims=0)
    of_direction = write.node("ReduceL2", direction, keepdims=0)
    shorter = write.node("Min", of_parameter, of_direction)
    ratio = write.node("Div", of_parameter, of_direction)
    known = write.node("Greater", shorter, write.scalar(0))
    return write.node("Mul", direction, write.node("Where", known, ratio, write.scalar(1)))


LAMB = Optimizer(
    defaults={"beta_1": 0.9, "beta_2": 0.999, "stability": 1e-6},
    options={},
    state=of_its_shape("first_moment", "second_moment"),
    session_operator=None,  # none of onnxruntime's operators takes a norm
    formula=adam,
    elementwise=False,
    squares=True,
    rescaled=_as_long_as_the_parameter,
)
