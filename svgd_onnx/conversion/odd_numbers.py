"""Numbers in a model that nothing else is to be done with than to run it, of which onnxruntime would die."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from svgd_onnx.conversion.bounds import called, check_attributes
from svgd_onnx.conversion.contents import nodes
from svgd_onnx.transforms.canonicalize.lift_constants import LiftConstants
from svgd_onnx.transforms.odd_constants import refuse_odd_constants


def refuse_odd_numbers(model: onnx.ModelProto, source: str) -> None:
    """Refuses a model with an attribute, or a constant, that no such number can be.

    Args:
        model: as it was read.
        source: what to call it in a message.

    Raises:
        UserError: names the node.
    """
    for holder in (model, *model.functions):
        for node, _ in nodes(holder):
            check_attributes(node, called(node, source))
    try:
        read = ir.from_proto(model)
        LiftConstants()(read)
    except Exception:  # what is no model onnxruntime tells better
        return
    refuse_odd_constants(read.graph)
