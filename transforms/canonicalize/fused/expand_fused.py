"""Write what onnxruntime fused with standard operators."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize.fold_constants import NO_WEIGHT, SCALE
from svgd_onnx.transforms.canonicalize.fused.activations import ACTIVATIONS
from svgd_onnx.transforms.canonicalize.fused.attention import ATTENTION
from svgd_onnx.transforms.canonicalize.fused.fused_operator import FusedOperator
from svgd_onnx.transforms.canonicalize.fused.normalizations import NORMALIZATIONS
from svgd_onnx.transforms.canonicalize.fused.products import PRODUCTS
from svgd_onnx.transforms.canonicalize.fused.rotary_embedding import ROTARY_EMBEDDING
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.rule import RefusedError, apply_rule, table
from svgd_onnx.transforms.validity import is_of_onnx

DOMAIN = "com.microsoft"

FUSED_OPERATORS: dict[str, FusedOperator] = table(
    ACTIVATIONS, ATTENTION, NORMALIZATIONS, PRODUCTS, ROTARY_EMBEDDING
)


class OwnDomain(ir.passes.InPlacePass):
    """Moves what onnxruntime has in ONNX's domain, and ONNX has not, to onnxruntime's own.

    Ensures: onnx's version converter and shape inference know every operator of the default domain that
        a rule knows.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        opset = model.graph.opset_imports.get("", 0)
        moved = [
            node
            for node in all_nodes(model.graph)
            if node.domain == ""
            and node.op_type in FUSED_OPERATORS
            and not is_of_onnx(node.op_type, opset)
        ]
        for node in moved:
            node.domain = DOMAIN
            model.graph.opset_imports.setdefault(DOMAIN, 1)
        return ir.passes.PassResult(model, bool(moved))


class ExpandFused(ir.passes.InPlacePass):
    """Writes fused operators with standard ones, so that all that follows sees those only.

    A node that its rule refuses stays; where it is in the way, `Decompose` says why.

    Requires: opset 17 or newer, constants as initializers.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        while True:
            nodes = [node for node in all_nodes(model.graph) if is_fused(node)]
            if not nodes:
                break
            _tell_roles(nodes)
            InferShapes()(model)  # an expansion may make shapes known that another rule asks for
            if not _expand(model, nodes):
                break
            modified = True
        return ir.passes.PassResult(model, modified)


def is_fused(node: ir.Node) -> bool:
    """Whether there is a rule for a node."""
    return node.domain == DOMAIN and node.op_type in FUSED_OPERATORS


def _tell_roles(nodes: Iterable[ir.Node]) -> None:
    """Notes what initializers are to nodes, as it will not be seen any more."""
    for node in nodes:
        operator = FUSED_OPERATORS[node.op_type]
        for position, value in enumerate(node.inputs):
            if value is not None and value.is_initializer():
                if position in operator.constants:
                    value.meta[NO_WEIGHT] = True
                if position in operator.scales:
                    value.meta[SCALE] = True


def _expand(model: ir.Model, nodes: Iterable[ir.Node]) -> bool:
    modified = False
    for node in nodes:
        graph = node.graph
        assert isinstance(graph, ir.Graph)
        graph.opset_imports.setdefault("", model.graph.opset_imports[""])
        try:
            modified |= apply_rule(graph, node, FUSED_OPERATORS[node.op_type])
        except RefusedError:
            continue
    return modified
