"""Write a training graph with standard operators only."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.lower.activations import ACTIVATIONS
from svgd_onnx.transforms.lower.batch_normalization import BATCH_NORMALIZATION
from svgd_onnx.transforms.lower.broadcast import BROADCAST
from svgd_onnx.transforms.lower.convolution import CONVOLUTION
from svgd_onnx.transforms.lower.cross_entropy import CROSS_ENTROPY
from svgd_onnx.transforms.lower.dropout import DROPOUT
from svgd_onnx.transforms.lower.gather import GATHER
from svgd_onnx.transforms.lower.joining import JOINING
from svgd_onnx.transforms.lower.layer_normalization import LAYER_NORMALIZATION
from svgd_onnx.transforms.lower.matrix_product import MATRIX_PRODUCT
from svgd_onnx.transforms.lower.max_pool import MAX_POOL
from svgd_onnx.transforms.lower.scaling import SCALING
from svgd_onnx.transforms.lower.slicing import SLICING
from svgd_onnx.transforms.lower.softmax import SOFTMAX
from svgd_onnx.transforms.rule import Rule, apply_rule

RULES: dict[str, Rule] = {
    **ACTIVATIONS,
    **BATCH_NORMALIZATION,
    **BROADCAST,
    **CONVOLUTION,
    **CROSS_ENTROPY,
    **DROPOUT,
    **GATHER,
    **JOINING,
    **LAYER_NORMALIZATION,
    **MATRIX_PRODUCT,
    **MAX_POOL,
    **SCALING,
    **SLICING,
    **SOFTMAX,
}
"""By operator of onnxruntime's training set (`com.microsoft`, and MaxPoolGrad)."""

# These make no gradient; with them written, shapes follow from those of the inputs.
_FORWARD = ("BatchNormInternal", "ConcatTraining", "FastGelu", "QuickGelu")
_TRAINING_DOMAIN = "com.microsoft"


class Lower(ir.passes.InPlacePass):
    """Replaces every operator of onnxruntime's training set by standard ones.

    Args:
        kept: other domains whose operators may stay.

    Raises:
        UserError: operators without a rule; the message names them and their nodes.

    Ensures: all operators are of the default domain or a kept one, and so are the opset imports.
    """

    def __init__(self, kept: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._domains = {"", *kept}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        forward = [node for node in graph if node.op_type in _FORWARD]
        for node in forward:
            _lower(graph, node)
        InferShapes()(model)
        for node in list(graph):
            if node.domain == _TRAINING_DOMAIN or node.op_type == "MaxPoolGrad":
                _lower(graph, node)
        self._check(graph)
        common.RemoveUnusedNodesPass()(model)
        for domain in [name for name in graph.opset_imports if name not in self._domains]:
            del graph.opset_imports[domain]
        return ir.passes.PassResult(model, modified=True)

    def _check(self, graph: ir.Graph) -> None:
        left = [
            f"{node.op_type} ('{node.name or node.outputs[0].name}')"
            for node in graph
            if node.domain not in self._domains or node.op_type == "MaxPoolGrad"
        ]
        if left:
            raise UserError(
                f"The target onnx cannot express {', '.join(left)}: convert with --target "
                "ort-training, or train other parameters with --train."
            )

    def ensures(self, model: ir.Model) -> None:
        if any(node.domain not in self._domains for node in model.graph):
            raise ir.passes.PostconditionError("an operator of another domain is left")


def _lower(graph: ir.Graph, node: ir.Node) -> None:
    rule = RULES.get(node.op_type)
    if rule is not None:
        apply_rule(graph, node, rule)
