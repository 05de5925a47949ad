"""Rewrite the operators on the way to the loss that have no gradient."""

from __future__ import annotations

from collections.abc import Collection, Container

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.fused import FUSED_OPERATORS, is_fused
from svgd_onnx.transforms.decompose.activations import ACTIVATIONS
from svgd_onnx.transforms.decompose.convolutions import CONVOLUTIONS
from svgd_onnx.transforms.decompose.cross_entropy import CROSS_ENTROPY
from svgd_onnx.transforms.decompose.deformable import DEFORMABLE
from svgd_onnx.transforms.decompose.depth_to_space import DEPTH_TO_SPACE
from svgd_onnx.transforms.decompose.dequantize import DEQUANTIZE
from svgd_onnx.transforms.decompose.differentiable import path_to_loss
from svgd_onnx.transforms.decompose.einsum import EINSUM
from svgd_onnx.transforms.decompose.n_ary import N_ARY
from svgd_onnx.transforms.decompose.normalizations import NORMALIZATIONS
from svgd_onnx.transforms.decompose.pad import PAD
from svgd_onnx.transforms.decompose.pooling import POOLING
from svgd_onnx.transforms.decompose.recurrent import RECURRENT, UNROLLED
from svgd_onnx.transforms.decompose.reductions import REDUCTIONS
from svgd_onnx.transforms.decompose.refused import REFUSED
from svgd_onnx.transforms.decompose.resize import RESIZE
from svgd_onnx.transforms.decompose.rounding import ROUNDING
from svgd_onnx.transforms.decompose.selection import SELECTION
from svgd_onnx.transforms.decompose.stft import STFT
from svgd_onnx.transforms.rule import RefusedError, Rule, apply_rule, table

RULES: dict[str, Rule] = table(
    ACTIVATIONS,
    CONVOLUTIONS,
    CROSS_ENTROPY,
    DEFORMABLE,
    DEPTH_TO_SPACE,
    DEQUANTIZE,
    EINSUM,
    N_ARY,
    NORMALIZATIONS,
    PAD,
    POOLING,
    RECURRENT,
    REDUCTIONS,
    REFUSED,
    RESIZE,
    ROUNDING,
    SELECTION,
    STFT,
)


class Decompose(ir.passes.InPlacePass):
    """Replaces nodes between trainable inputs and the loss by ones that have a gradient.

    The outputs keep their names and shapes, so that what was known about the original node (its
    output is a hidden value of sigma-prime) holds of the decomposition.

    Args:
        trainable: names of the graph inputs that are differentiated by.
        kept: operators that stay as they are.
        outputs: how many of the graph's outputs, from the first on, are differentiated.

    After the call, `refusals` says of each node that a rule could not write why.
    """

    def __init__(
        self, trainable: Collection[str], kept: Container[str] = (), outputs: int = 1
    ) -> None:
        super().__init__()
        self._trainable = trainable
        self._outputs = outputs
        self._kept = kept
        self.refusals: dict[ir.Node, str] = {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        rules = RULES if "Scan" in self._kept else {**RULES, **UNROLLED}
        modified = False
        for node in path_to_loss(graph, self._trainable, self._outputs):
            rule = rules.get(node.op_type) if node.domain == "" else None
            if is_fused(node):
                rule = FUSED_OPERATORS[node.op_type]  # says again why it could not write it
            if rule is None or node.op_type in self._kept:
                continue
            try:
                modified |= apply_rule(graph, node, rule)
            except RefusedError as refused:
                self.refusals[node] = str(refused)
        return ir.passes.PassResult(model, modified)
