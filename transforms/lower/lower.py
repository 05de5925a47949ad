"""Write a training graph with standard operators only."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.transforms.bodies import all_bodies, all_nodes
from svgd_onnx.transforms.canonicalize.fix_sizes import advice_on_sizes
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
from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.lower.matrix_product import MATRIX_PRODUCT
from svgd_onnx.transforms.lower.max_pool import MAX_POOL
from svgd_onnx.transforms.lower.scaling import SCALING
from svgd_onnx.transforms.lower.slicing import SLICING
from svgd_onnx.transforms.lower.softmax import SOFTMAX
from svgd_onnx.transforms.rule import RefusedError, apply_rule, is_of_sizes, table

RULES: dict[str, Lowering] = table(
    ACTIVATIONS,
    BATCH_NORMALIZATION,
    BROADCAST,
    CONVOLUTION,
    CROSS_ENTROPY,
    DROPOUT,
    GATHER,
    JOINING,
    LAYER_NORMALIZATION,
    MATRIX_PRODUCT,
    MAX_POOL,
    SCALING,
    SLICING,
    SOFTMAX,
)


class Lower(ir.passes.InPlacePass):
    """Replaces every operator of onnxruntime's training set by standard ones.

    Args:
        kept: other domains whose operators may stay.
        own: operators, by domain and name, that came with the model and may stay.

    Raises:
        UserError: operators without a rule, or that theirs cannot write; the message names them, their
            nodes and why.

    Ensures: all operators are standard ones, of a domain that is kept, or the model's own; and so are the
        opset imports.
    """

    def __init__(
        self,
        kept: frozenset[str] = frozenset(),
        own: Collection[tuple[str, str]] = (),
    ) -> None:
        super().__init__()
        self._domains = {"", *kept}
        self._own = own

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        _write(graph, forward_only=True)
        InferShapes()(model)
        refusals = _write(graph)
        self._check(graph, refusals)
        common.RemoveUnusedNodesPass()(model)
        domains = self._domains | {node.domain for node in all_nodes(graph)}
        for domain in [name for name in graph.opset_imports if name not in domains]:
            del graph.opset_imports[domain]
        for body in all_bodies(graph):
            body.opset_imports.clear()
            body.opset_imports.update(graph.opset_imports)
        return ir.passes.PassResult(model, modified=True)

    def _check(self, graph: ir.Graph, refusals: Mapping[ir.Node, str]) -> None:
        left = []
        for node in all_nodes(graph):
            if self._is_left(node):
                reason = f": {refusals[node]}" if node in refusals else ""
                left.append(f"{node.op_type} ('{node.name or node.outputs[0].name}'{reason})")
        if left:
            of_sizes = any(is_of_sizes(reason) for reason in refusals.values())
            fix = advice_on_sizes(graph) if of_sizes else None
            raise UserError(
                f"The target onnx cannot express {listed(left)}: {f'{fix}, ' if fix else ''}convert with "
                f"{option('target', 'ort-training')}, or train other parameters with "
                f"{option('train')}."
            )

    def _is_left(self, node: ir.Node) -> bool:
        if lowering_of(node) is not None:
            return True
        return node.domain not in self._domains and (node.domain, node.op_type) not in self._own

    def ensures(self, model: ir.Model) -> None:
        if any(self._is_left(node) for node in all_nodes(model.graph)):
            raise ir.passes.PostconditionError("an operator of the training set is left")
        domains = self._domains | {domain for domain, _ in self._own}
        if not domains.issuperset(model.graph.opset_imports):
            raise ir.passes.PostconditionError("another domain is still imported")


def _write(graph: ir.Graph, *, forward_only: bool = False) -> dict[ir.Node, str]:
    """Applies the rules; returns why some could not write their node."""
    refusals = {}
    for node in list(all_nodes(graph)):
        lowering = lowering_of(node)
        if lowering is None or (forward_only and not lowering.forward):
            continue
        assert isinstance(node.graph, ir.Graph)
        try:
            apply_rule(node.graph, node, lowering.rule)
        except RefusedError as refused:
            refusals[node] = str(refused)
    return refusals


def operators_of(model: ir.Model) -> set[tuple[str, str]]:
    """The operators of a graph that are not standard, by domain and name."""
    return {(node.domain, node.op_type) for node in all_nodes(model.graph) if node.domain}


def lowering_of(node: ir.Node) -> Lowering | None:
    """How a node is written with standard operators, if it is one of the training set."""
    lowering = RULES.get(node.op_type)
    return lowering if lowering is not None and lowering.domain == node.domain else None
