"""Every rule: its gradients are those of central differences in float64, and run on onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from settings import CASES

from svgd_onnx.runtime import has_training


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_central_differences(name: str) -> None:
    assert max(CASES[name].differences().values()) < 1e-6, CASES[name].differences()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.runs])
def test_gradients_run_on_onnxruntime(name: str) -> None:
    case = CASES[name]
    forms = (case.backward, case.standard) if has_training() else (case.standard,)
    for form in forms:
        for key, found in case.on_onnxruntime(form).items():
            expected = case.gradients[key]
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-5)
