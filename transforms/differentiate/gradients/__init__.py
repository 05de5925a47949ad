"""The gradient of each operator, a file a family, in one table."""

from __future__ import annotations

from svgd_onnx.transforms.differentiate.gradients.activations import ACTIVATIONS
from svgd_onnx.transforms.differentiate.gradients.backward_pass import BackwardPass
from svgd_onnx.transforms.differentiate.gradients.einsum import EINSUM
from svgd_onnx.transforms.differentiate.gradients.elementwise import ELEMENTWISE
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule
from svgd_onnx.transforms.differentiate.gradients.layers import LAYERS
from svgd_onnx.transforms.differentiate.gradients.movement import MOVEMENT
from svgd_onnx.transforms.differentiate.gradients.products import PRODUCTS
from svgd_onnx.transforms.differentiate.gradients.quantization import QUANTIZATION
from svgd_onnx.transforms.differentiate.gradients.reductions import REDUCTIONS
from svgd_onnx.transforms.differentiate.gradients.regions import REGIONS
from svgd_onnx.transforms.differentiate.gradients.resize import RESIZE
from svgd_onnx.transforms.differentiate.gradients.sampling import SAMPLING
from svgd_onnx.transforms.differentiate.gradients.scattering import SCATTERING
from svgd_onnx.transforms.differentiate.gradients.spectra import SPECTRA
from svgd_onnx.transforms.differentiate.gradients.twin import TWINS
from svgd_onnx.transforms.differentiate.gradients.windows import WINDOWS
from svgd_onnx.transforms.rule import table

GRADIENTS: dict[str, GradientRule] = table(
    ACTIVATIONS,
    EINSUM,
    ELEMENTWISE,
    LAYERS,
    MOVEMENT,
    PRODUCTS,
    QUANTIZATION,
    REDUCTIONS,
    REGIONS,
    RESIZE,
    SAMPLING,
    SPECTRA,
    SCATTERING,
    TWINS,
    WINDOWS,
)

# Operators with a rule of which some kinds, or what their gradient reads, are written by a decomposition.
PREPARED = frozenset(
    {"AveragePool", "Conv", "Einsum", "LayerNormalization", "Pad", "SoftmaxCrossEntropyLoss"}
)

__all__ = ["GRADIENTS", "PREPARED", "Backward", "BackwardPass", "GradientRule"]
