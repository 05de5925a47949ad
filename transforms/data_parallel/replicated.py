"""Which values are the same on all ranks."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes, bodies_of, read_by
from svgd_onnx.transforms.data_parallel.all_reduce import is_all_reduce

_DRAWS = frozenset(
    {
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
_TERMS = frozenset({"Add", "Sum"})


class Replicated:
    """The values of a graph that do not depend on a rank's share of the batch but through sums over ranks.

    Args:
        graph: sorted.
        own: the inputs that differ from rank to rank.

    Attributes:
        values: these.
    """

    def __init__(self, graph: ir.Graph, own: Collection[str]) -> None:
        self.values = {value for value in graph.inputs if value.name not in own}
        self.values.update(graph.initializers.values())
        self._totals: set[ir.Value] = set()
        for node in graph:
            read = [value for value in read_by(node) if value is not None]
            if is_all_reduce(node):
                self.values.update(node.outputs)
                self._totals.update(node.outputs)
                continue
            if any(value in self._totals for value in read):
                self._totals.update(node.outputs)
            if all(value in self.values for value in read) and not _draws(node):
                self.values.update(node.outputs)

    def others(self, node: ir.Node) -> list[ir.Value]:
        """What a node reads that is not the same on all ranks."""
        return [value for value in node.inputs if value is not None and value not in self.values]

    def is_partly(self, node: ir.Node) -> bool:
        """Whether a node adds to, or multiplies by, what is of the whole batch already.

        Of a node of that kind the sum over ranks is the node of the sum. Else the sum had better come last.
        """
        if node.op_type not in _TERMS and node.op_type != "Mul":
            return False
        read = [value for value in node.inputs if value is not None]
        if node.op_type == "Mul":
            return len(self.others(node)) == 1 and any(
                value in self._totals and value in self.values for value in read
            )
        return any(value in self.values or self._is_partly(value) for value in read)

    def _is_partly(self, value: ir.Value) -> bool:
        node = value.producer()
        return node is not None and self.is_partly(node)


def _draws(node: ir.Node) -> bool:
    inner = (each for body in bodies_of(node) for each in all_nodes(body))
    return node.op_type in _DRAWS or any(each.op_type in _DRAWS for each in inner)
