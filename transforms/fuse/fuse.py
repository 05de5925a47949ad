"""Replace nodes that standard operators make slowly, or in several passes over memory, by operators of ours."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.fuse.activations import ACTIVATIONS
from svgd_onnx.transforms.fuse.added_rows import ADDED_ROWS
from svgd_onnx.transforms.fuse.batch_normalization import BATCH_NORMALIZATION
from svgd_onnx.transforms.fuse.cross_entropy import CROSS_ENTROPY
from svgd_onnx.transforms.fuse.layer_normalization import LAYER_NORMALIZATION
from svgd_onnx.transforms.fuse.matrix_product import MATRIX_PRODUCTS
from svgd_onnx.transforms.fuse.softmax import SOFTMAX
from svgd_onnx.transforms.known_shapes import infer_shapes
from svgd_onnx.transforms.rule import RefusedError, Rule, apply_rule, table
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN, VERSION

RULES: dict[str, Rule] = table(
    ACTIVATIONS,
    ADDED_ROWS,
    BATCH_NORMALIZATION,
    CROSS_ENTROPY,
    LAYER_NORMALIZATION,
    MATRIX_PRODUCTS,
    SOFTMAX,
)


class Fuse(ir.passes.InPlacePass):
    """Replaces nodes by operators of ours, where a rule knows how; a rule that refuses leaves its node.

    Requires: operators of onnxruntime's training set are not lowered yet, and the graph is sorted.
    Ensures: it is modified if a node was replaced.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        infer_shapes(model)
        modified = False
        for node in list(graph):
            rule = RULES.get(node.op_type)
            if rule is None or node.domain == DOMAIN:
                continue
            try:
                modified |= apply_rule(graph, node, rule)
            except RefusedError:
                continue
        if modified:
            common.RemoveUnusedNodesPass()(model)
            graph.opset_imports[DOMAIN] = VERSION
        return ir.passes.PassResult(model, modified)
