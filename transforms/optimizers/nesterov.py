"""Nesterov's momentum, in the form that PyTorch has (Sutskever et al., ICML 2013).

m <- momentum * m + g
w <- w - rate * (g + momentum * m)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.optimizer import Optimizer, Option, of_its_shape
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _formula(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    write = step.write
    kept = write.node("Mul", step.state("momentum"), step.number("momentum"))
    momentum = write.node("Add", kept, step.gradient)
    ahead = write.node("Mul", momentum, step.number("momentum"))
    return write.node("Add", step.gradient, ahead), {"momentum": momentum}


NESTEROV = Optimizer(
    defaults={"momentum": 0.9},
    options={"momentum": Option(0, below=1)},
    state=of_its_shape("momentum"),
    session_operator=None,  # AdamW's direction is of its moments alone
    formula=_formula,
)
