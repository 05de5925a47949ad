"""Turn gradients into virtual gradients: by twins before (paper Sec. 3.1), or by T put in after (Sec. 3.2)."""

from __future__ import annotations

from svgd_onnx.transforms.virtualize.gradient_norms import GradientNorms
from svgd_onnx.transforms.virtualize.l1_regularization import L1Regularization
from svgd_onnx.transforms.virtualize.merge_parameter_uses import MergeParameterUses
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.virtualize.settings import VirtualGradientSettings
from svgd_onnx.transforms.virtualize.sigma_prime import (
    ParameterUse,
    sigma_prime,
)
from svgd_onnx.transforms.virtualize.twins import PlainOperators, TwinOperators
from svgd_onnx.transforms.virtualize.virtual_gradient import VirtualGradient

__all__ = [
    "DOMAIN",
    "GradientNorms",
    "L1Regularization",
    "MergeParameterUses",
    "ParameterUse",
    "PlainOperators",
    "TwinOperators",
    "VirtualGradient",
    "VirtualGradientSettings",
    "sigma_prime",
]
