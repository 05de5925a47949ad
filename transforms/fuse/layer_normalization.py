"""The gradient of LayerNormalization in one pass over its rows."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.fuse.operator import operator
from svgd_onnx.transforms.rule import RefusedError, Rule, Written, inputs_of, integer, known_rank
from svgd_onnx.transforms.writer import Writer

GRADIENT = "LayerNormalizationGradient"


def _gradient(node: ir.Node, write: Writer) -> Written:
    inputs = inputs_of(node, 5)
    gradient, x, scale = inputs[:3]
    axes = known_rank(x, gradient)
    if known_rank(scale) != axes - integer(node, "axis", -1) % axes:
        raise RefusedError("its scale is not of the axes that are normalized")
    return operator(write, GRADIENT, inputs, outputs=3)


LAYER_NORMALIZATION: dict[str, Rule] = {"LayerNormalizationGrad": _gradient}
