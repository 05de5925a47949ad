"""Operators that have a derivative and are not differentiated, and why."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import RefusedError, Rule, input_of
from svgd_onnx.transforms.writer import Writer


def _refused(reason: str) -> Rule:
    def rule(node: ir.Node, write: Writer) -> None:
        raise RefusedError(reason)

    return rule


def optional_get_element(node: ir.Node, write: Writer) -> ir.Value:
    """Of a tensor it is the tensor."""
    x = input_of(node, 0)
    if x is None or not isinstance(x.type, ir.TensorType):
        raise RefusedError("its tensor may be absent")
    return write.node("Identity", x)


_SEQUENCE = "its tensors are in a sequence"

REFUSED: dict[str, Rule] = {
    "ConcatFromSequence": _refused(_SEQUENCE),
    "MaxRoiPool": _refused("it does not say where its maxima lie"),
    "Optional": _refused("its tensor may be absent"),
    "OptionalGetElement": optional_get_element,
    "SequenceAt": _refused(_SEQUENCE),
    "SequenceConstruct": _refused(_SEQUENCE),
    "SequenceErase": _refused(_SEQUENCE),
    "SequenceInsert": _refused(_SEQUENCE),
    "SplitToSequence": _refused(_SEQUENCE),
}
