"""Turn the gradient into the virtual gradient (paper Sec. 3.2)."""

from __future__ import annotations

from svgd_onnx.transforms.virtualize.l1_regularization import L1Regularization
from svgd_onnx.transforms.virtualize.merge_parameter_uses import MergeParameterUses
from svgd_onnx.transforms.virtualize.sigma_prime import (
    ALL_LINEAR,
    GRANULARITIES,
    WEIGHTS,
    ParameterUse,
    TScope,
    sigma_prime,
)
from svgd_onnx.transforms.virtualize.virtual_gradient import (
    DOMAIN,
    VirtualGradient,
    VirtualGradientAttributes,
)

__all__ = [
    "ALL_LINEAR",
    "DOMAIN",
    "GRANULARITIES",
    "WEIGHTS",
    "L1Regularization",
    "MergeParameterUses",
    "ParameterUse",
    "TScope",
    "VirtualGradient",
    "VirtualGradientAttributes",
    "sigma_prime",
]
