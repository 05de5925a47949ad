"""Make a float32 model compute in float64."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes, with_bodies

_FLOAT, _DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE
# Attributes that name an element type: the result's, or that of intermediate values.
_TYPE_ATTRIBUTES = ("to", "dtype")


class DoublePrecision(ir.passes.InPlacePass):
    """Turns initializers, tensor attributes and types named by attributes from float32 to float64.

    Ensures: fed with float64, the reference evaluator computes in float64 from end to end.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        for graph in with_bodies(model.graph):
            for value in graph.initializers.values():
                if value.const_value is not None and value.const_value.dtype == _FLOAT:
                    value.const_value = _double(value.const_value)
        for node in all_nodes(model.graph):
            if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
                node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.zeros(1)))
            for name, attribute in list(node.attributes.items()):
                if name in _TYPE_ATTRIBUTES and attribute.value == _FLOAT:
                    node.attributes[name] = ir.AttrInt64(name, int(_DOUBLE))
                elif attribute.type == ir.AttributeType.TENSOR:
                    tensor = attribute.as_tensor()
                    if tensor.dtype == _FLOAT:
                        node.attributes[name] = ir.AttrTensor(name, _double(tensor))
        return ir.passes.PassResult(model, modified=True)


def _double(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float64), name=tensor.name)
