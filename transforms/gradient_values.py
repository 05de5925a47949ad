"""Which values of a gradient graph belong to the backward pass."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.bodies import read_by
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.names import gradient_name


def gradient_values(graph: ir.Graph) -> set[ir.Value]:
    """The values that are computed from the gradient of the loss by itself, 1, and that gradient."""
    values = {graph.initializers[gradient_name(LOSS_OUTPUT)]}
    for node in graph:
        if any(value in values for value in read_by(node)):
            values.update(node.outputs)
    return values
