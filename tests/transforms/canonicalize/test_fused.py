"""onnxruntime's fused operators, beside what they are written with."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from fused_cases import CASES, Case

from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.canonicalize.fused import FUSED_OPERATORS

VERSION = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])


def outputs(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # 1.19's fusions of its own do not take the sum of FusedConv
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


@pytest.mark.parametrize("name", CASES)
def test_an_expansion_gives_what_the_operator_gives(name: str) -> None:
    case: Case = CASES[name]
    if case.since > VERSION:
        pytest.skip("its kernel is wrong in this onnxruntime")
    expected = outputs(case.model().SerializeToString(), case.feeds())
    expanded = canonicalize(ir.from_proto(case.model()))
    assert all(node.domain == "" for node in expanded.graph)
    found = outputs(ir.to_proto(expanded).SerializeToString(), case.feeds())
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=3e-6)


def test_there_is_a_case_for_each_rule() -> None:
    assert {case.op_type for case in CASES.values()} == FUSED_OPERATORS.keys()
