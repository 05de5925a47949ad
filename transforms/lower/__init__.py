"""Operators of onnxruntime's training set, written with standard ONNX operators."""

from __future__ import annotations

from svgd_onnx.transforms.lower.fake_quantize import LowerFakeQuantize
from svgd_onnx.transforms.lower.lower import RULES, Lower, operators_of
from svgd_onnx.transforms.lower.portable_virtual_gradient import (
    PortableVirtualGradient,
    mean_of_means,
    standard_t,
)
from svgd_onnx.transforms.lower.relu_gradient import LowerReluGradient
from svgd_onnx.transforms.lower.scatter_into_sum import ScatterIntoSum, adds_to_zeros
from svgd_onnx.transforms.lower.surrogate import StraightThroughSurrogate
from svgd_onnx.transforms.lower.untrusted import LowerUntrusted

__all__ = [
    "RULES",
    "Lower",
    "LowerFakeQuantize",
    "LowerReluGradient",
    "LowerUntrusted",
    "PortableVirtualGradient",
    "ScatterIntoSum",
    "StraightThroughSurrogate",
    "adds_to_zeros",
    "mean_of_means",
    "operators_of",
    "standard_t",
]
