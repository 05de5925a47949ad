"""Lion: the sign of a moving average (Chen et al., arXiv 2302.06675).

w <- w - rate * (sign(beta_1 * m + (1 - beta_1) * g) + weight_decay * w)
m <- beta_2 * m + (1 - beta_2) * g
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.optimizer import Optimizer, of_its_shape
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _formula(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    old = step.state("moment")
    sign = step.write.node("Sign", step.moving_average("beta_1", old, step.gradient))
    return sign, {"moment": step.moving_average("beta_2", old, step.gradient)}


LION = Optimizer(
    # the decay is not read here: folders and checkpoints of older versions have it in their account of lion
    defaults={"beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.0},
    options={},
    state=of_its_shape("moment"),
    session_operator=None,  # none of onnxruntime's operators takes a sign
    formula=_formula,
)
