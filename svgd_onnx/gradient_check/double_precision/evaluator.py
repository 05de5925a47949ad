"""Evaluate a graph once, then again and again with a few of its inputs changed."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from svgd_onnx.errors import UserError, first_line, option
from svgd_onnx.gradient_check.double_precision.double_precision import DoublePrecision
from svgd_onnx.gradient_check.double_precision.operators import OPERATORS
from svgd_onnx.transforms.bodies import read_by


class Evaluator:
    """A float32 model in float64, and all its values for one set of inputs.

    Inputs are held as they are given, and made float64 for the node that reads them: parameters are most of
    what there is to hold.

    Args:
        model: deterministic; it stays as it is.
        inputs: arrays by name; floating-point ones are taken as float64.

    Raises:
        UserError: the onnx package has no reference for an operator, or one that fails here.
    """

    def __init__(self, model: ir.Model, inputs: Mapping[str, np.ndarray]) -> None:
        copy = model.clone()
        DoublePrecision()(copy)
        try:
            reference = ReferenceEvaluator(ir.to_proto(copy), new_ops=OPERATORS)
        except Exception as error:  # one of its own, or whatever an operator's class raises
            raise UserError(
                f"The onnx package has no reference implementation to check against ({first_line(error)})."
            ) from error
        self._nodes: list[Any] = reference.rt_nodes_
        self._read = [
            {value.name or "" for value in read_by(node) if value is not None}
            for node in copy.graph
        ]
        self._output = reference.output_names[0]
        self._values: dict[str, Any] = {"": None, **reference.rt_inits_, **inputs}
        for node, read in zip(self._nodes, self._read):
            self._values.update(_run(node, read, self._values))

    def output(self, changed: Mapping[str, np.ndarray]) -> float:
        """The first output, a scalar, with some inputs changed; only what depends on them is computed.

        Args:
            changed: inputs by name; the others are as they were.
        """
        new: dict[str, Any] = dict(changed)
        values = ChainMap(new, self._values)
        for node, read in zip(self._nodes, self._read):
            if any(name in new for name in read):
                new.update(_run(node, read, values))
        return float(values[self._output])


def _run(node: Any, read: Collection[str], values: Mapping[str, Any]) -> dict[str, Any]:
    inputs = [_as_double(values[name]) for name in node.input]
    context = {}
    if node.need_context():
        context["context"] = {name: _as_double(values[name]) for name in read}
    try:
        with np.errstate(all="ignore"):
            results = node.run(*inputs, **context)
    except Exception as error:  # NumPy's, or the reference's own
        raise UserError(
            f"{node.op_type} '{node.onnx_node.name or node.output[0]}' cannot be checked, as its "
            f"reference in the onnx package fails here ({first_line(error)}): check the parameters after it "
            f"alone, with {option('train')}."
        ) from error
    return {name: value for name, value in zip(node.output, results) if name}


def _as_double(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype == np.float32:
        return value.astype(np.float64)
    return value
