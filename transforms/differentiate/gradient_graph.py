"""onnxruntime's gradient builder, and what its errors mean."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import onnx
import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.runtime import training_binding
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT


def gradient_name(value: str) -> str:
    """The name that onnxruntime's gradient builder gives to the gradient of a value."""
    return f"{value}_grad"


def differentiate(forward: ir.Model, trainable: Collection[str]) -> tuple[ir.Model, dict[str, str]]:
    """Extends a forward graph by its gradient graph.

    The forward graph is optimized first, by the transformations that onnxruntime's own artifact
    tool runs: fusions with a gradient of their own, the mask of MaxPool, the saved statistics of
    BatchNormalization.

    Args:
        forward: training mode, the loss its first output, parameters as inputs, each used once.
        trainable: inputs to differentiate by.

    Returns:
        The gradient graph, which has `gradient_name(x)` as an output for each x in `trainable`;
        and, for each x, the output of the optimized forward node that takes it.

    Raises:
        UserError: an operator on the path has no gradient; the message names it and its node.
    """
    binding = training_binding()
    names = set(trainable)
    try:
        options = _quiet_options()
        data = binding.get_optimized_model(ir.to_proto(forward).SerializeToString(), names, options)
        optimized = onnx.load_from_string(data)
        builder = binding.GradientGraphBuilder(data, {LOSS_OUTPUT}, names, LOSS_OUTPUT, options)
        builder.build()
    except RuntimeError as error:
        raise _explain(forward, str(error)) from error
    gradient = ir.from_proto(onnx.load_from_string(builder.get_model()))
    outputs = {value.name for value in gradient.graph.outputs}
    for name in names:
        if gradient_name(name) not in outputs:
            raise UserError(
                f"Parameter '{name}' has no gradient: the loss depends on it only through "
                "operators that cannot be differentiated; leave it out with --freeze."
            )
    return gradient, _consumers(optimized, names)


def _quiet_options() -> Any:
    from onnxruntime import SessionOptions

    options = SessionOptions()
    # errors only: the training build reports every transformation otherwise
    options.log_severity_level = 3
    return options


def _consumers(model: onnx.ModelProto, names: set[str]) -> dict[str, str]:
    return {
        value: node.output[0] for node in model.graph.node for value in node.input if value in names
    }


def _explain(forward: ir.Model, message: str) -> Exception:
    match = re.search(r"gradient builder has not been registered: (\S+) for node ?(\S*)", message)
    if match is None:
        return RuntimeError(f"onnxruntime's gradient builder failed: {message.strip()}")
    op_type, node = match.group(1), match.group(2)
    if not node:
        node = next((n.name or "" for n in forward.graph if n.op_type == op_type), "")
    return UserError(
        f"onnxruntime has no gradient for operator {op_type} (node '{node}'), which lies between a "
        "trainable parameter and the loss: train only what comes after it, with --train."
    )
