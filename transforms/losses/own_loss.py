"""An output of the model that is the loss already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svgd_onnx.errors import UserError, option
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import NOTHING, Loss

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


class OwnLoss(Loss):
    """The prediction itself, one float32 number; the model's own inputs hold what it is compared with."""

    name = "none"
    target = None
    says = NOTHING
    settings = frozenset()

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        dtype, dims = prediction.dtype, list(prediction.shape or ())
        if dtype is None or dtype.name != "FLOAT" or any(dim != 1 for dim in dims):
            raise UserError(
                f"With {option('loss', self.name)} the output '{prediction.name}' is the loss, but it "
                f"is {dtype} of shape ({', '.join(map(str, dims))}): it must be one float32 number."
            )
        return write.node("Reshape", prediction, write.integers())
