"""Who makes gradient graphs: onnxruntime's builder, or rules of our own; one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.runtime import has_training
from svgd_onnx.transforms.differentiate.onnxruntime_builder import differentiate_by_onnxruntime
from svgd_onnx.transforms.differentiate.onnxruntime_faults import fault_of
from svgd_onnx.transforms.differentiate.reverse_mode import differentiate_in_reverse

AUTO, ONNXRUNTIME, OWN = "auto", "onnxruntime", "own"

# From a forward graph and, for each trainable parameter, the inputs that stand for it, to the gradient graph.
Differentiator = Callable[[ir.Model, Mapping[str, Sequence[str]]], ir.Model]

DIFFERENTIATORS: dict[str, Differentiator] = {
    ONNXRUNTIME: differentiate_by_onnxruntime,
    OWN: differentiate_in_reverse,
}
DIFFERENTIATOR_NAMES = (AUTO, *DIFFERENTIATORS)


def differentiate(
    forward: ir.Model, copies: Mapping[str, Sequence[str]], differentiator: str
) -> tuple[ir.Model, str]:
    """Extends a forward graph by its gradient graph.

    Args:
        forward: training mode, the loss its first output, parameters as inputs, each used once. It
            stays as it is.
        copies: trainable parameter -> the inputs that stand for it.
        differentiator: one of `DIFFERENTIATOR_NAMES`. "auto" is onnxruntime's builder where it is
            installed and right for the graph, and rules of our own otherwise.

    Returns:
        The gradient graph, which has `gradient_name(x)` as an output for each input x in `copies`, and
        who made it: a key of `DIFFERENTIATORS`.

    Raises:
        UserError: operators on the way have no gradient; the message names them and their nodes.
    """
    if differentiator != AUTO:
        return DIFFERENTIATORS[differentiator](forward, copies), differentiator
    parameters = {name for inputs in copies.values() for name in inputs}
    if has_training() and fault_of(forward.graph, parameters) is None:
        try:
            return differentiate_by_onnxruntime(forward, copies), ONNXRUNTIME
        except (UserError, RuntimeError):
            pass  # it lacks an operator, or errs on one: ours may know it
    return differentiate_in_reverse(forward, copies), OWN
