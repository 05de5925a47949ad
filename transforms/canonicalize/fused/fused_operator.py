"""What the table of fused operators says of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.rule import RefusedError, Rule
from svgd_onnx.transforms.writer import Writer


@dataclass(frozen=True)
class FusedOperator:
    """A rule that writes an operator of onnxruntime with standard ones, and how much of it the rule knows.

    It is called as any rule, and refuses what the rule would pass over: other inputs, other attributes
    that are not 0, outputs that are read and not written.

    Attributes:
        rule: writes the node.
        inputs: how many inputs it knows, from the first on.
        attributes: those it heeds.
        constants: inputs that no training learned, as tables of cosines are not.
        scales: inputs by which a normalization that is written with other operators scales.
    """

    rule: Rule
    inputs: int
    attributes: frozenset[str] = frozenset()
    constants: frozenset[int] = frozenset()
    scales: frozenset[int] = frozenset()

    def __call__(self, node: ir.Node, write: Writer) -> Sequence[ir.Value | None] | None:
        """Writes the node, as `Rule` says.

        Raises:
            RefusedError: the node asks for what the rule does not know, or the rule refuses it.
        """
        for index, value in enumerate(node.inputs):
            if value is not None and index >= self.inputs:
                raise RefusedError(f"its input {index + 1}, '{value.name}', is given")
        for name, attribute in node.attributes.items():
            if name not in self.attributes and attribute.value:
                raise RefusedError(f"its attribute {name} is given")
        written = self.rule(node, write)
        if written is None:
            return None
        outputs = [written] if isinstance(written, ir.Value) else list(written)
        for index, value in enumerate(node.outputs):
            read = value.uses() or value.is_graph_output()
            if read and (index >= len(outputs) or outputs[index] is None):
                raise RefusedError(f"its output {index + 1}, '{value.name}', is read")
        return outputs
