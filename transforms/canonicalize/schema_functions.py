"""Write an operator by the function body that the ONNX standard gives it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.canonicalize.fold_constants import NO_WEIGHT, FoldConstants
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.passes import run

_DOMAIN = "svgd.function"


class InlineSchemaFunctions(ir.passes.InPlacePass):
    """Replaces nodes by the bodies that their schemas have; nodes without one stay.

    The constants of a body are no weights.

    Args:
        nodes: which nodes.
    """

    def __init__(self, nodes: Iterable[ir.Node]) -> None:
        super().__init__()
        self._nodes = list(nodes)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        opset = model.graph.opset_imports[""]
        before = set(model.graph.initializers)
        modified = False
        for node in self._nodes:
            proto = _function(node, opset)
            if proto is None:
                continue
            function = ir.serde.deserialize_function(proto)
            # a body holds on as the operators in it stay the same
            function.graph.opset_imports[""] = opset
            # a function of its own for each node: a body may depend on its inputs' types
            name = f"{node.op_type}_{len(model.functions)}"
            own = ir.Function(
                _DOMAIN, name, graph=function.graph, attributes=function.attributes.values()
            )
            model.functions[own.identifier()] = own
            _fit(node, own)
            node.domain, node.op_type = _DOMAIN, name
            model.graph.opset_imports[_DOMAIN] = 1
            modified = True
        if modified:
            run(
                model,
                common.InlinePass(),
                common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
                common.NameFixPass(),
                InferShapes(),
            )
            # a size that is known makes shapes known, and these more sizes
            while FoldConstants(sizes=True)(model).modified:
                InferShapes()(model)
            model.graph.opset_imports.pop(_DOMAIN, None)
            for name in model.graph.initializers.keys() - before:
                model.graph.initializers[name].meta[NO_WEIGHT] = True
        return ir.passes.PassResult(model, modified)


def _fit(node: ir.Node, function: ir.Function) -> None:
    """Spells out the inputs and outputs that the node leaves out."""
    node.resize_inputs(len(function.inputs))
    given = len(node.outputs)
    node.resize_outputs(len(function.outputs))
    for index, output in enumerate(node.outputs[given:], given):
        output.name = f"{node.outputs[0].name}/output_{index}"


def _function(node: ir.Node, opset: int) -> onnx.FunctionProto | None:
    """The body for the given opset, its attributes filled in; None if there is none."""
    if node.domain != "":
        return None
    try:
        # typed loosely: the stubs leave out what schemas know of their functions
        schema: Any = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.name:
            node.attributes[name] = ir.serde.deserialize_attribute(attribute.default_value)
    plain = [version for version in schema.function_opset_versions if version <= opset]
    if schema.has_function and plain:
        return _parsed(schema.get_function_with_opset_version(max(plain)))
    dependent = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
    if schema.has_context_dependent_function and dependent:
        types = [
            b"" if value is None else ir.to_proto(value).type.SerializeToString()
            for value in node.inputs
        ]
        return _parsed(
            schema.get_context_dependent_function_with_opset_version(
                max(dependent), ir.to_proto(node).SerializeToString(), types
            )
        )
    return None


def _parsed(body: bytes | onnx.FunctionProto) -> onnx.FunctionProto:
    proto = onnx.FunctionProto()
    proto.ParseFromString(body if isinstance(body, bytes) else body.SerializeToString())
    # a body that depends on its node does not make the outputs that the node leaves out
    made = {name for node in proto.node for name in node.output}
    for name in set(proto.output) - made:
        proto.node.append(onnx.helper.make_node("Identity", [proto.input[0]], [name]))
    return proto
