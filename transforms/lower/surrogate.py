"""The function whose gradient is taken where a quantization is passed straight through, in a written step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.lower.fake_quantize import STRAIGHT_THROUGH
from svgd_onnx.transforms.quantization import spread
from svgd_onnx.transforms.rule import known_constant
from svgd_onnx.transforms.writer import Writer

# What lies further from what it is rounded to was clipped; a step in float32 is not exact.
_HALF = 0.501


class StraightThroughSurrogate:
    """Writes for every quantization y of x: y0 + (x - x0), and y0 where the range clipped x0.

    x0 and y0 are what they are in one run. So the loss, a staircase of the parameters, becomes a function
    whose slope is the gradient; at that run both are the same.

    Args:
        model: a training step, in which quantizations are as `LowerFakeQuantize` writes them.
    """

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        marked = [node for node in self._graph if STRAIGHT_THROUGH in node.metadata_props]
        self._nodes = [(_real(node), node) for node in marked]

    @property
    def names(self) -> list[str]:
        """The values that the first run is asked for; none of a step without quantizations."""
        return [value.name or "" for x, node in self._nodes for value in (x, node.outputs[0])]

    def apply(self, first: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Changes the model.

        Args:
            first: an array for each of `names`.

        Returns:
            Arrays for the inputs that the model has from now on, by name.
        """
        feeds: dict[str, np.ndarray] = {}
        for index, (x, node) in enumerate(self._nodes):
            before, after = first[2 * index], first[2 * index + 1]
            inside = np.abs(after - before) <= _HALF * _step(node, after.shape)
            offset = after - before * inside
            feeds.update(self._write(x, node, inside.astype(np.float32), offset))
        return feeds

    def _write(
        self, x: ir.Value, node: ir.Node, inside: np.ndarray, offset: np.ndarray
    ) -> dict[str, np.ndarray]:
        y = node.outputs[0]
        given = {f"{y.name}/inside": inside, f"{y.name}/offset": offset}
        inputs = [ir.val(name, ir.DataType.FLOAT, array.shape) for name, array in given.items()]
        self._graph.inputs.extend(inputs)
        write = Writer(f"{y.name}/surrogate", self._graph.opset_imports[""])
        result = write.node("Add", write.node("Mul", x, inputs[0]), inputs[1])
        y.replace_all_uses_with(result, replace_graph_outputs=True)
        write.insert_after(self._graph, node)
        return given


def _real(node: ir.Node) -> ir.Value:
    """The real numbers that the last node of a quantization gives rounded."""
    value = node.inputs[0]
    while value is not None and (before := value.producer()) is not None:
        value = before.inputs[0]
        if before.op_type in ("Div", "QuantizeLinear"):
            break
    assert value is not None
    return value


def _step(node: ir.Node, shape: Sequence[int]) -> np.ndarray:
    """Between neighbouring numbers that are not rounded, in a shape that broadcasts to that of the result."""
    numbers = known_constant(node.inputs[1], "its scale is")
    return spread(numbers, shape, node) if node.op_type == "DequantizeLinear" else numbers
