"""Which parameters the loss does not depend on."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from svgd_onnx.transforms.bodies import read_by


def independent_of_loss(graph: ir.Graph, parameters: Iterable[str]) -> list[str]:
    """The parameters that no way leads from to the loss, as those of another head.

    Args:
        graph: the loss its first output.
        parameters: names of initializers.
    """
    reached: set[ir.Value | None] = {graph.outputs[0]}
    for node in reversed(graph):
        if any(value in reached for value in node.outputs):
            reached.update(read_by(node))
    return [name for name in parameters if graph.initializers[name] not in reached]
