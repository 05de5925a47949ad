"""Windows that do not fit into what they slide over: onnxruntime goes on with a tensor of no numbers."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.rule import inputs_of, integer, integers, static_shape, text

_WITH_WINDOWS = frozenset({"AveragePool", "Conv", "LpPool", "MaxPool"})


def refuse_empty_windows(graph: ir.Graph) -> None:
    """Refuses a graph with a window that is larger than what it slides over, with its pads.

    onnx infers a size for its output, PyTorch refuses it, and onnxruntime ends the process where a
    convolution follows.

    Raises:
        UserError: names the node.
    """
    for node in all_nodes(graph):
        if node.domain != "" or node.op_type not in _WITH_WINDOWS or integer(node, "ceil_mode", 0):
            continue
        if text(node, "auto_pad", "NOTSET").startswith("SAME"):
            continue  # padded as much as a window takes
        sizes, kernel = static_shape(inputs_of(node, 1)[0], 2), _kernel(node)
        if sizes is None or len(sizes) != len(kernel):
            continue
        dims = len(kernel)
        pads = integers(node, "pads", [0] * 2 * dims)
        dilations = integers(node, "dilations", [1] * dims)
        for axis, size in enumerate(sizes):
            padded = size + pads[axis] + pads[dims + axis]
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            if reach > padded:
                name = node.name or node.outputs[0].name
                raise UserError(
                    f"{node.op_type} '{name}' has a window of {reach} along an axis of {padded}, pads "
                    "included, where it does not fit: export the model for larger inputs."
                )


def _kernel(node: ir.Node) -> list[int]:
    if node.op_type != "Conv":
        return integers(node, "kernel_shape", ())
    return integers(node, "kernel_shape", static_shape(inputs_of(node, 2)[1], 2) or ())
