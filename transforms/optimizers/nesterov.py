"""Nesterov's momentum, in the form that PyTorch has (Sutskever et al., ICML 2013).

m <- momentum * m + g
w <- w - rate * (g + momentum * m)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.momentum import momentum
from svgd_onnx.transforms.optimizers.optimizer import Optimizer, Option, of_its_shape
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _formula(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    new, states = momentum(step)
    ahead = step.write.node("Mul", new, step.number("momentum"))
    return step.write.node("Add", step.gradient, ahead), states


NESTEROV = Optimizer(
    defaults={"momentum": 0.9},
    options={"momentum": Option(0, below=1)},
    state=of_its_shape("momentum"),
    session_operator=None,  # AdamW's direction is of its moments alone
    formula=_formula,
)
