"""Operators whose reference in the onnx package is slow, or wrong, in NumPy."""

from __future__ import annotations

from svgd_onnx.gradient_check.double_precision.activations import Erf, Gelu
from svgd_onnx.gradient_check.double_precision.control_flow import Loop, Scan
from svgd_onnx.gradient_check.double_precision.convolutions import Conv, ConvTranspose
from svgd_onnx.gradient_check.double_precision.means import Mean
from svgd_onnx.gradient_check.double_precision.normalizations import (
    LRN,
    GroupNormalization,
    LpNormalization,
    MeanVarianceNormalization,
)
from svgd_onnx.gradient_check.double_precision.pooling import (
    AveragePool,
    GlobalLpPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
)
from svgd_onnx.gradient_check.double_precision.quantization import (
    DequantizeLinear,
    FakeQuantize,
    MatMulNBits,
)
from svgd_onnx.gradient_check.double_precision.recurrent import RECURRENT
from svgd_onnx.gradient_check.double_precision.resize import Resize
from svgd_onnx.gradient_check.double_precision.sampling import AffineGrid, DeformConv, GridSample
from svgd_onnx.transforms.reference_movement import MOVEMENT

OPERATORS = [
    AffineGrid,
    AveragePool,
    Conv,
    ConvTranspose,
    DeformConv,
    DequantizeLinear,
    Erf,
    FakeQuantize,
    Gelu,
    GlobalLpPool,
    GlobalMaxPool,
    GridSample,
    GroupNormalization,
    LRN,
    Loop,
    LpNormalization,
    LpPool,
    MatMulNBits,
    MaxPool,
    Mean,
    MeanVarianceNormalization,
    Resize,
    Scan,
    *MOVEMENT,
    *RECURRENT,
]
