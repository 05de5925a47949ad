"""Every rule: its gradients are those of central differences in float64, and run on onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from activation_cases import ACTIVATIONS
from elementwise_cases import ELEMENTWISE
from function_cases import FUNCTIONS
from layer_cases import LAYERS
from movement_cases import MOVEMENT
from product_cases import PRODUCTS, RESIZE
from reduction_cases import REDUCTIONS
from sampling_cases import SAMPLING
from scattering_cases import SCATTERING

CASES = {
    **ACTIVATIONS,
    **ELEMENTWISE,
    **FUNCTIONS,
    **LAYERS,
    **MOVEMENT,
    **PRODUCTS,
    **RESIZE,
    **REDUCTIONS,
    **SAMPLING,
    **SCATTERING,
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_central_differences(name: str) -> None:
    assert max(CASES[name].differences().values()) < 1e-6, CASES[name].differences()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.runs])
def test_gradients_run_on_onnxruntime(name: str) -> None:
    case = CASES[name]
    for form in (case.backward, case.standard):
        for key, found in case.on_onnxruntime(form).items():
            expected = case.gradients[key]
            scale = max(1.0, float(np.abs(expected).max(initial=0)))
            np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-5)
