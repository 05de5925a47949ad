"""Windows as our operators have them: each of their attributes is given."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import RefusedError, integers, text


def window_attributes(node: ir.Node, kernel: list[int]) -> dict[str, list[int]]:
    """The attributes of a node's window.

    Args:
        node: a convolution, a pooling, or a gradient of one.
        kernel: the window's sizes, one for each axis that it slides along.

    Raises:
        RefusedError: its pads follow from sizes.
    """
    axes = len(kernel)
    padding = text(node, "auto_pad", "NOTSET")
    if padding not in ("NOTSET", "VALID"):
        raise RefusedError(f"its auto_pad is {padding}")
    pads = integers(node, "pads", ()) if padding == "NOTSET" else ()
    return {
        "kernel_shape": kernel,
        "strides": integers(node, "strides", [1] * axes),
        "dilations": integers(node, "dilations", [1] * axes),
        "pads": list(pads) or [0] * 2 * axes,
    }
