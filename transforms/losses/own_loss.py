"""Take an output of the model itself as the loss."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.losses.add_loss import append_loss


class OwnLoss(ir.passes.InPlacePass):
    """Makes a scalar output of the model the loss; the output itself stays too.

    Args:
        prediction: name of the output, one float32 number.

    Ensures: the first output is the scalar float32 `svgd.loss`.
    """

    def __init__(self, prediction: str) -> None:
        super().__init__()
        self.logits = prediction
        self.class_axis: int | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        output = next(value for value in model.graph.outputs if value.name == self.logits)
        shape = None if output.shape is None else list(output.shape)
        if output.dtype != ir.DataType.FLOAT or shape is None or any(dim != 1 for dim in shape):
            shown = (
                "of unknown shape" if shape is None else f"of shape ({', '.join(map(str, shape))})"
            )
            raise UserError(
                f"With --loss none the output '{self.logits}' is the loss, but it is "
                f"{output.dtype} {shown}: it must be one float32 number."
            )
        constant = ir.node("Constant", [], {"value": ir.tensor(np.array([], np.int64))})
        scalar = ir.node("Reshape", [output, constant.outputs[0]])
        append_loss(model.graph, [constant, scalar])
        return ir.passes.PassResult(model, modified=True)
