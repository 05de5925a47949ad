"""Before differentiation: any export becomes one inference form, its weights initializers."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.canonicalize.body_form import BodyForm
from svgd_onnx.transforms.canonicalize.embed_constants import EmbedConstants
from svgd_onnx.transforms.canonicalize.fix_sizes import FixSizes
from svgd_onnx.transforms.canonicalize.fold_constants import FoldConstants
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.canonicalize.inference_mode import InferenceMode
from svgd_onnx.transforms.canonicalize.inline_if import InlineIf
from svgd_onnx.transforms.canonicalize.known_sizes import KnownSizes
from svgd_onnx.transforms.canonicalize.lift_constants import LiftConstants
from svgd_onnx.transforms.canonicalize.open_sizes import OpenNegativeSizes
from svgd_onnx.transforms.canonicalize.opset import Opset
from svgd_onnx.transforms.canonicalize.quote_names import QuoteNames
from svgd_onnx.transforms.canonicalize.separate_vectors import SeparateVectors
from svgd_onnx.transforms.canonicalize.unroll import Unroll
from svgd_onnx.transforms.passes import run

__all__ = [
    "EmbedConstants",
    "FoldConstants",
    "InferShapes",
    "InferenceMode",
    "LiftConstants",
    "OpenNegativeSizes",
    "Opset",
    "SeparateVectors",
    "canonicalize",
]


def canonicalize(model: ir.Model, sizes: Mapping[str, int] | None = None) -> ir.Model:
    """The model at a current opset, in inference mode, weights as initializers, shapes inferred.

    Args:
        model: an exported model; it is not to be used afterwards.
        sizes: of open axes that are fixed, by the axis's name or a glob.

    Raises:
        UserError: the opset cannot be brought to one that onnxruntime's training layer knows, or there
            is no axis that a size is given for.
    """
    model = run(
        model,
        OpenNegativeSizes(),
        FixSizes(sizes or {}),
        Opset(),
        common.RemoveInitializersFromInputsPass(),
        LiftConstants(),
        common.InlinePass(),
        FoldConstants(),
    )
    while InlineIf()(model).modified:
        FoldConstants()(model)
    model = run(
        model,
        BodyForm(),
        SeparateVectors(),
        InferenceMode(),
        common.NameFixPass(),
        common.RemoveUnusedNodesPass(),
        common.TopologicalSortPass(),
        InferShapes(),
    )
    if Unroll()(model).modified:
        InferShapes()(model)
    if KnownSizes()(model).modified:
        FoldConstants()(model)
    return run(model, QuoteNames())
