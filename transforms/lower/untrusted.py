"""Which operators of onnxruntime-training 1.19.2's training set are right and fast on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.lower.lower import lowering_of
from svgd_onnx.transforms.rule import RefusedError, apply_rule, static_shape


def _always(node: ir.Node) -> bool:
    return True


def _of_single_precision(node: ir.Node) -> bool:
    y = node.inputs[1]
    return y is None or y.dtype in (None, ir.DataType.FLOAT)


def _of_two_axes(node: ir.Node) -> bool:
    # In groups over one or three axes it writes behind its output; alone it is as slow as standard operators.
    weight = node.inputs[2]
    return weight is not None and weight.shape is not None and len(weight.shape) == 4


def _of_fixed_images(node: ir.Node) -> bool:
    return static_shape(node.outputs[0], 2) is not None  # with open axes it ends the process


TRUSTED: dict[str, Callable[[ir.Node], bool]] = {
    "BatchNormInternal": _always,
    "BatchNormalizationGrad": _always,
    "ConvGrad": _of_two_axes,
    "DropoutGrad": _always,
    "FusedMatMul": _always,
    "GatherElementsGrad": _always,
    "GatherGrad": _always,
    "GeluGrad": _always,
    "LayerNormalizationGrad": _always,
    "LogSoftmaxGrad_13": _of_single_precision,
    "MaxPoolGrad": _of_fixed_images,
    "SigmoidGrad": _always,
    "SoftmaxCrossEntropyLossGrad": _always,
    "SoftmaxGrad_13": _of_single_precision,
    "TanhGrad": _always,
}
"""By operator, of which nodes. ReluGrad works on one thread; LeakyReluGrad reads the sign of y for that of x;
SliceGrad fails on negative steps."""


class LowerUntrusted(ir.passes.InPlacePass):
    """Writes operators of the training set that are not trusted with standard ones, where that is known.

    Ensures: what is left of the training set is trusted, or has no lowering.
    """

    def __init__(self) -> None:
        super().__init__()
        self._refused: set[ir.Node] = set()

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        modified = False
        InferShapes()(model)
        for node in list(all_nodes(graph)):
            lowering = lowering_of(node)
            if lowering is None or _is_trusted(node):
                continue
            try:
                assert isinstance(node.graph, ir.Graph)
                modified |= apply_rule(node.graph, node, lowering.rule)
            except RefusedError:
                self._refused.add(node)
        return ir.passes.PassResult(model, modified)

    def ensures(self, model: ir.Model) -> None:
        for node in all_nodes(model.graph):
            if (
                lowering_of(node) is not None
                and not _is_trusted(node)
                and node not in self._refused
            ):
                raise ir.passes.PostconditionError(f"{node.op_type} '{node.name}' is not trusted")


def _is_trusted(node: ir.Node) -> bool:
    trusted = TRUSTED.get(node.op_type)
    return trusted is not None and trusted(node)
