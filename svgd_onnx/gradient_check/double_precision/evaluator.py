"""Evaluate a graph once, then again and again with a few of its inputs changed."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from svgd_onnx.gradient_check.double_precision.double_precision import DoublePrecision
from svgd_onnx.gradient_check.double_precision.operators import OPERATORS
from svgd_onnx.transforms.bodies import read_by


class Evaluator:
    """A float32 model in float64, and all its values for one set of inputs.

    Args:
        model: deterministic; it stays as it is.
        inputs: arrays by name; floating-point ones are taken as float64.

    Raises:
        NotImplementedError: the onnx package has no reference for an operator.
    """

    def __init__(self, model: ir.Model, inputs: Mapping[str, np.ndarray]) -> None:
        copy = model.clone()
        DoublePrecision()(copy)
        reference = ReferenceEvaluator(ir.to_proto(copy), new_ops=OPERATORS)
        self._nodes: list[Any] = reference.rt_nodes_
        self._read = [
            {value.name for value in read_by(node) if value is not None} for node in copy.graph
        ]
        self._output = reference.output_names[0]
        self._values: dict[str, Any] = {"": None, **reference.rt_inits_}
        self._values.update({name: _as_double(array) for name, array in inputs.items()})
        for node in self._nodes:
            self._values.update(_run(node, self._values))

    def output(self, changed: Mapping[str, np.ndarray]) -> float:
        """The first output, a scalar, with some inputs changed; only what depends on them is computed.

        Args:
            changed: inputs by name; the others are as they were.
        """
        new: dict[str, Any] = dict(changed)
        values = ChainMap(new, self._values)
        for node, read in zip(self._nodes, self._read):
            if any(name in new for name in read):
                new.update(_run(node, values))
        return float(values[self._output])


def _run(node: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    inputs = [values[name] for name in node.input]
    context = {"context": values} if node.need_context() else {}
    with np.errstate(all="ignore"):
        return {
            name: value for name, value in zip(node.output, node.run(*inputs, **context)) if name
        }


def _as_double(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype == np.float32 else array
