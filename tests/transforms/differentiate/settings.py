"""All settings of operators, by name, as far as the onnx package knows their opsets."""

from __future__ import annotations

from activation_cases import ACTIVATIONS
from elementwise_cases import ELEMENTWISE
from function_cases import FUNCTIONS
from layer_cases import LAYERS
from movement_cases import MOVEMENT
from onnx.defs import onnx_opset_version
from product_cases import PRODUCTS, RESIZE
from reduction_cases import REDUCTIONS
from sampling_cases import SAMPLING
from scattering_cases import SCATTERING

_ALL = {
    **ACTIVATIONS,
    **ELEMENTWISE,
    **FUNCTIONS,
    **LAYERS,
    **MOVEMENT,
    **PRODUCTS,
    **REDUCTIONS,
    **RESIZE,
    **SAMPLING,
    **SCATTERING,
}
CASES = {name: case for name, case in _ALL.items() if case.opset <= onnx_opset_version()}
