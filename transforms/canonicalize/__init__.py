"""Before differentiation: any export becomes one inference form, its weights initializers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize.body_form import BodyForm
from svgd_onnx.transforms.canonicalize.dequantized_weights import DequantizedWeights
from svgd_onnx.transforms.canonicalize.embed_constants import EmbedConstants
from svgd_onnx.transforms.canonicalize.fake_quantization import FakeQuantization
from svgd_onnx.transforms.canonicalize.fix_sizes import FixSizes
from svgd_onnx.transforms.canonicalize.fold_constants import FoldConstants
from svgd_onnx.transforms.canonicalize.fused import ExpandFused, OwnDomain
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.canonicalize.inference_mode import InferenceMode
from svgd_onnx.transforms.canonicalize.inline_if import InlineIf
from svgd_onnx.transforms.canonicalize.known_sizes import KnownSizes
from svgd_onnx.transforms.canonicalize.lift_constants import LiftConstants
from svgd_onnx.transforms.canonicalize.open_sizes import OpenNegativeSizes
from svgd_onnx.transforms.canonicalize.opset import OLDEST_OPSET, Opset
from svgd_onnx.transforms.canonicalize.pads_of_pools import PadsOfPools
from svgd_onnx.transforms.canonicalize.quote_names import QuoteNames
from svgd_onnx.transforms.canonicalize.separate_vectors import SeparateVectors
from svgd_onnx.transforms.canonicalize.single_precision import SinglePrecision
from svgd_onnx.transforms.canonicalize.split_outputs import NameSplitOutputs
from svgd_onnx.transforms.canonicalize.stated_shapes import (
    WrongStatements,
    refuse_wrong_statement,
)
from svgd_onnx.transforms.canonicalize.time_major import TimeMajor
from svgd_onnx.transforms.canonicalize.unroll import Unroll
from svgd_onnx.transforms.canonicalize.unzip_maps import UnzipMaps
from svgd_onnx.transforms.empty_windows import refuse_empty_windows
from svgd_onnx.transforms.odd_constants import refuse_odd_constants
from svgd_onnx.transforms.passes import run
from svgd_onnx.transforms.quantization import FROZEN, STRAIGHT_THROUGH
from svgd_onnx.transforms.value_sizes import refuse_odd_sizes

# The IR version from which on an initializer need not be an input.
_INITIALIZERS_ALONE = 4

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
    "source_form",
]


def source_form(model: ir.Model) -> ir.Model:
    """The model as it came, each parameter under the name that it is trained by.

    Initializers are no inputs any more, and equal vectors that were stored once are separated; all else
    stays. Export puts trained parameters into it.
    """
    model.ir_version = max(model.ir_version, _INITIALIZERS_ALONE)
    return run(model, common.RemoveInitializersFromInputsPass(), SeparateVectors())


def canonicalize(
    model: ir.Model,
    train: Sequence[str] = (),
    sizes: Mapping[str, int] | None = None,
    quantized: str = FROZEN,
    oldest_opset: int = OLDEST_OPSET,
) -> ir.Model:
    """The model at a current opset, in inference mode, weights as initializers, shapes inferred.

    Args:
        model: an exported model; it is not to be used afterwards.
        train: globs; quantized weights that match one become real numbers.
        sizes: of open axes that are fixed, by the axis's name or a glob.
        quantized: one of `QUANTIZED_CHOICES`.
        oldest_opset: 17 to 21; an older one is brought to this.

    Raises:
        UserError: the opset cannot be brought to one that onnxruntime's training layer knows, there is no axis
            that a size is given for, or a value is larger, or a constant other, than can be meant.
    """
    model = run(
        source_form(model),
        OpenNegativeSizes(),
        UnzipMaps(),
        OwnDomain(),
        FixSizes(sizes or {}),
        Opset(oldest_opset),
        LiftConstants(),
        common.InlinePass(),
        SinglePrecision(),
        DequantizedWeights(() if quantized == STRAIGHT_THROUGH else train),
        ExpandFused(),
        TimeMajor(),
        NameSplitOutputs(),
        FoldConstants(),
        WrongStatements(),
    )
    refuse_odd_constants(model.graph)  # before onnxruntime runs any of it
    _inline_branches(model)
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
    PadsOfPools()(model)
    refuse_odd_sizes(model.graph)
    refuse_wrong_statement(model)
    refuse_odd_constants(model.graph)  # those that follow from known sizes, too
    refuse_empty_windows(model.graph)
    if quantized == STRAIGHT_THROUGH:
        FakeQuantization()(model)
    return run(model, QuoteNames())


def _inline_branches(model: ir.Model) -> None:
    """Takes the branch of each If whose condition is constant, or follows from sizes that are known.

    torch's exporters write so what Squeeze does to an axis of unknown size.
    """
    while InlineIf()(model).modified:
        FoldConstants()(model)
    while any(node.op_type == "If" for node in all_nodes(model.graph)):
        run(model, InferShapes(), KnownSizes(), FoldConstants(sizes=True))
        if not InlineIf()(model).modified:
            return
        FoldConstants()(model)
