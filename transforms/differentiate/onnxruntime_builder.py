"""onnxruntime's gradient builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.runtime import training_binding
from svgd_onnx.transforms.bodies import CONTROL_FLOW
from svgd_onnx.transforms.decompose.differentiable import DIFFERENTIABLE
from svgd_onnx.transforms.decompose.normalizations import NORMALIZATIONS
from svgd_onnx.transforms.differentiate.differentiable_form import (
    check_gradients,
    differentiable_form,
)
from svgd_onnx.transforms.differentiate.frozen_recurrent import FrozenRecurrent
from svgd_onnx.transforms.differentiate.masked_rows import MaskedRows
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.rule import apply_rule, integer


def differentiate_by_onnxruntime(
    forward: ir.Model, copies: Mapping[str, Sequence[str]]
) -> ir.Model:
    """Extends a forward graph by its gradient graph.

    The `differentiable_form` is optimized first, by the transformations that onnxruntime's own artifact
    tool runs: fusions with a gradient of their own, the mask of MaxPool, the saved statistics of
    BatchNormalization.

    Args:
        forward: training mode, the loss its first output, parameters as inputs, each used once. It
            stays as it is.
        copies: trainable parameter -> the inputs that stand for it.

    Returns:
        The gradient graph, which has `gradient_name(x)` as an output for each input x in `copies`.

    Raises:
        UserError: operators on the way have no gradient; the message names them and their nodes.
    """
    binding = training_binding()
    _check_without_bodies(forward.graph)
    names = {name for inputs in copies.values() for name in inputs}
    model = differentiable_form(forward, copies, DIFFERENTIABLE)
    _write_out_frozen_normalizations(model.graph)
    options = _quiet_options()
    try:
        data = binding.get_optimized_model(ir.to_proto(model).SerializeToString(), names, options)
        builder = binding.GradientGraphBuilder(data, {LOSS_OUTPUT}, names, LOSS_OUTPUT, options)
        builder.build()
    except (RuntimeError, IndexError) as error:  # whatever the binding makes of its own
        raise RuntimeError(f"onnxruntime's gradient builder failed: {error}") from error
    gradient = ir.from_proto(onnx.load_from_string(builder.get_model()))
    FrozenRecurrent()(gradient)
    MaskedRows()(gradient)
    check_gradients(gradient.graph, forward.graph, copies)
    return gradient


def _check_without_bodies(graph: ir.Graph) -> None:
    """Refuses control flow, of which the builder dies, wherever it is."""
    nodes = [f"{node.op_type} '{node.name}'" for node in graph if node.op_type in CONTROL_FLOW]
    if nodes:
        raise UserError(
            f"onnxruntime's gradient builder cannot take a model with control flow ({listed(nodes)}): leave "
            f"out {option('differentiator', 'onnxruntime')}."
        )


def _write_out_frozen_normalizations(graph: ir.Graph) -> None:
    """The builder would put them into training mode, where no gradient is wanted of them too."""
    for node in list(graph):
        if node.op_type == "BatchNormalization" and not integer(node, "training_mode", 0):
            apply_rule(graph, node, NORMALIZATIONS["BatchNormalization"])


def _quiet_options() -> Any:
    from onnxruntime import SessionOptions

    options = SessionOptions()
    # the training build reports every transformation otherwise, and errors are raised too
    options.log_severity_level = 4
    return options
