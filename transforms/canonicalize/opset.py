"""Bring the model to an opset that onnxruntime 1.19 can differentiate."""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx import version_converter

from svgd_onnx.errors import UserError

# BatchNormalization has an explicit training mode from 14 on, and 17 is what ORT's gradient
# builder was written against; 21 is the newest opset, and 10 the newest IR, that 1.19 loads.
OLDEST_OPSET = 17
NEWEST_OPSET = 21
OLDEST_IR = 8
NEWEST_IR = 10


class Opset(ir.passes.PassBase):
    """Converts opsets below 17 up, opsets above 21 down, and leaves those between alone.

    Ensures: the default domain's opset lies in [17, 21], the IR version in [8, 10].
    """

    @property
    def in_place(self) -> bool:
        return False

    @property
    def changes_input(self) -> bool:
        return True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        version = model.graph.opset_imports.get("", 0)
        target = min(max(version, OLDEST_OPSET), NEWEST_OPSET)
        converted = ir.from_proto(_convert(model, version, target))
        converted.ir_version = min(max(converted.ir_version, OLDEST_IR), NEWEST_IR)
        return ir.passes.PassResult(converted, modified=version != target)

    def ensures(self, model: ir.Model) -> None:
        version = model.graph.opset_imports.get("", 0)
        if not OLDEST_OPSET <= version <= NEWEST_OPSET:
            raise ir.passes.PostconditionError(f"the opset is {version}")


def _convert(model: ir.Model, version: int, target: int) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    if version == target:
        return proto
    try:
        return version_converter.convert_version(proto, target)
    except Exception as error:  # the converter raises RuntimeError and its own ConvertError
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"The model's opset {version} cannot be converted to {target} ({reason}): "
            f"export it again with an opset from {OLDEST_OPSET} to {NEWEST_OPSET}."
        ) from error
