"""Turn the gradient into the virtual gradient (paper Sec. 3.2)."""

from __future__ import annotations

from svgd_onnx.transforms.virtualize.l1_regularization import L1Regularization
from svgd_onnx.transforms.virtualize.merge_parameter_uses import MergeParameterUses
from svgd_onnx.transforms.virtualize.settings import VirtualGradientSettings
from svgd_onnx.transforms.virtualize.sigma_prime import (
    ParameterUse,
    sigma_prime,
    where_gradients_come_back,
)
from svgd_onnx.transforms.virtualize.virtual_gradient import DOMAIN, VirtualGradient

__all__ = [
    "DOMAIN",
    "L1Regularization",
    "MergeParameterUses",
    "ParameterUse",
    "VirtualGradient",
    "VirtualGradientSettings",
    "sigma_prime",
    "where_gradients_come_back",
]
