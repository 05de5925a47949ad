"""onnxruntime's gradient builder."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from svgd_onnx.errors import UserError, option
from svgd_onnx.runtime import training_binding
from svgd_onnx.transforms.decompose import Decompose, InlineSchemaFunctions, blocking_nodes
from svgd_onnx.transforms.decompose.differentiable import DIFFERENTIABLE
from svgd_onnx.transforms.differentiate.obstacles import check_obstacles
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.names import gradient_name


def differentiable_form(
    forward: ir.Model,
    copies: Mapping[str, Sequence[str]],
    differentiable: Container[str] = DIFFERENTIABLE,
    kept: Container[str] = (),
) -> ir.Model:
    """A copy of a forward graph in which all operators on the way to the loss have a gradient.

    Operators without one are written with others, by rules of ours or else by the function body that
    ONNX gives them.

    Args:
        forward: the loss, or what leads to it, its first output; parameters as inputs.
        copies: trainable parameter -> the inputs that stand for it.
        differentiable: the operators that have a gradient.
        kept: operators that need no rule of ours.

    Raises:
        UserError: operators on the way have no gradient; the message names them and their nodes.
    """
    names = {name for inputs in copies.values() for name in inputs}
    model = forward.clone()
    decompose = Decompose(names, kept)
    decompose(model)
    blocking = blocking_nodes(model.graph, names, decompose.refusals, differentiable)
    if InlineSchemaFunctions(blocking)(model).modified:
        decompose(model)
    check_obstacles(model.graph, copies, decompose.refusals, differentiable)
    return model


def differentiate(forward: ir.Model, copies: Mapping[str, Sequence[str]]) -> ir.Model:
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
    names = {name for inputs in copies.values() for name in inputs}
    model = differentiable_form(forward, copies)
    options = _quiet_options()
    try:
        data = binding.get_optimized_model(ir.to_proto(model).SerializeToString(), names, options)
        builder = binding.GradientGraphBuilder(data, {LOSS_OUTPUT}, names, LOSS_OUTPUT, options)
        builder.build()
    except RuntimeError as error:
        raise RuntimeError(f"onnxruntime's gradient builder failed: {error}") from error
    gradient = ir.from_proto(onnx.load_from_string(builder.get_model()))
    check_gradients(gradient.graph, copies)
    return gradient


def check_gradients(graph: ir.Graph, copies: Mapping[str, Sequence[str]]) -> None:
    """Refuses a gradient graph in which a parameter has none.

    Raises:
        UserError: names the parameter.
    """
    outputs = {value.name for value in graph.outputs}
    for parameter, inputs in copies.items():
        if any(gradient_name(name) not in outputs for name in inputs):
            raise UserError(
                f"Parameter '{parameter}' has no gradient: the loss depends on it only through "
                f"operators whose derivative is 0; leave it out with {option('freeze')}."
            )


def _quiet_options() -> Any:
    from onnxruntime import SessionOptions

    options = SessionOptions()
    # errors only: the training build reports every transformation otherwise
    options.log_severity_level = 3
    return options
