"""Stochastic gradient descent.

w <- w - rate * g
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.optimizer import Optimizer, of_its_shape
from svgd_onnx.transforms.optimizers.session_operator import SGD_OPTIMIZER, SessionOperator
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _session_operator(values: Mapping[str, float]) -> SessionOperator:
    return SGD_OPTIMIZER


def _formula(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    return step.gradient, {}


SGD = Optimizer(
    defaults={},
    options={},
    state=of_its_shape(),
    session_operator=_session_operator,
    formula=_formula,
)
