"""A model in float64, by the onnx package's reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from svgd_onnx.gradient_check.double_precision import double_precision, operators
from tools.node_cases.operators import OPERATORS

_REPLACED = {each.__name__ for each in OPERATORS}
_ALL = [*OPERATORS, *(each for each in operators.OPERATORS if each.__name__ not in _REPLACED)]


class Double:
    """A model that computes in float64.

    Args:
        model: of float32; it stays as it is.

    Raises:
        NotImplementedError: the onnx package has no reference for an operator.
    """

    def __init__(self, model: ir.Model) -> None:
        copy = model.clone()
        make_double(copy)
        self._evaluator = ReferenceEvaluator(ir.to_proto(copy), new_ops=_ALL)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """All outputs by name."""
        feeds = {name: np.asarray(array, np.float64) for name, array in inputs.items()}
        with np.errstate(all="ignore"):
            results = self._evaluator.run(None, feeds)
        return dict(zip(self._evaluator.output_names, results))


def make_double(model: ir.Model) -> None:
    """Float64 instead of float32: types of values too, in inner graphs, and where float32 is a default."""
    double_precision.DoublePrecision()(model)
    for graph in (model.graph, *model.graph.subgraphs()):
        results = [value for node in graph for value in node.outputs]
        for value in (*graph.inputs, *graph.initializers.values(), *results):
            tensor = value.const_value
            if tensor is not None and tensor.dtype == ir.DataType.FLOAT:
                value.const_value = ir.tensor(tensor.numpy().astype(np.float64), name=value.name)
            if value.dtype == ir.DataType.FLOAT:
                value.type = ir.TensorType(ir.DataType.DOUBLE)  # of its own: clones share theirs
        for node in graph:
            for name in ("value_float", "value_floats"):
                if name in node.attributes:
                    number = np.array(node.attributes.pop(name).value, np.float64)
                    node.attributes["value"] = ir.AttrTensor("value", ir.tensor(number))
            if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
                node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.zeros(1)))
