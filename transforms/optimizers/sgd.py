"""Stochastic gradient descent.

w <- w - rate * g
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svgd_onnx.transforms.optimizers.optimizer import Optimizer
from svgd_onnx.transforms.optimizers.session_operator import SGD_OPTIMIZER, SessionOperator
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir


def _session_operator(values: Mapping[str, float]) -> SessionOperator:
    return SGD_OPTIMIZER


def _formula(step: Step) -> tuple[ir.Value, Mapping[str, ir.Value]]:
    return step.descent(step.gradient), {}


SGD = Optimizer(
    defaults={},
    options={},
    state=(),
    session_operator=_session_operator,
    formula=_formula,
)
