"""The operators that the check has of its own."""

from __future__ import annotations

import control_flow_models as flows
from decompositions import MODELS
from settings import CASES

from svgd_onnx.gradient_check.double_precision.operators import OPERATORS


def test_every_operator_is_reached_by_a_model_that_is_checked() -> None:
    """The models of decompositions and the cases of gradients are checked one by one."""
    seen = {node.op_type for make in MODELS.values() for node in make().graph.node}
    seen |= {node.op_type for make in flows.MODELS.values() for node in make().graph.node}
    seen |= {case.op_type for case in CASES.values()}
    seen |= {"FakeQuantize", "MatMulNBits"}  # in tests/conversion, of models that are quantized
    assert {operator.__name__ for operator in OPERATORS} <= seen
