"""The graph that is differentiated: every operator on the way to the loss has a gradient."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.transforms.canonicalize.schema_functions import InlineSchemaFunctions
from svgd_onnx.transforms.decompose import Decompose, blocking_nodes, where_gradients_end
from svgd_onnx.transforms.differentiate.obstacles import check_obstacles
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.quantization import QUANTIZING

_SHOWN = 5


def differentiable_form(
    forward: ir.Model,
    copies: Mapping[str, Sequence[str]],
    differentiable: Container[str],
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
    refusals = write_differentiably(model, names, differentiable, kept)
    check_obstacles(model.graph, copies, refusals, differentiable)
    return model


def write_differentiably(
    model: ir.Model,
    names: Collection[str],
    differentiable: Container[str],
    kept: Container[str] = (),
    outputs: int = 1,
) -> dict[ir.Node, str]:
    """Writes the operators of a graph that have no gradient with others, as far as there are rules.

    Args:
        model: it is changed.
        names: of the inputs that are differentiated by.
        differentiable: the operators that have a gradient.
        kept: operators that need no rule of ours.
        outputs: how many of its outputs, from the first on, are differentiated.

    Returns:
        Why rules could not write nodes.
    """
    decompose = Decompose(names, kept, outputs)
    decompose(model)
    blocking = blocking_nodes(model.graph, names, decompose.refusals, differentiable, outputs)
    # a quantization is refused as it stands, whatever its body does
    inlined = [node for node in blocking if node.op_type not in QUANTIZING]
    if InlineSchemaFunctions(inlined)(model).modified:
        decompose(model)
    return decompose.refusals


def check_gradients(
    gradient: ir.Graph, forward: ir.Graph, copies: Mapping[str, Sequence[str]]
) -> None:
    """Refuses a gradient graph in which parameters have none.

    Args:
        gradient: the graph.
        forward: that it was made from.
        copies: trainable parameter -> the inputs that stand for it.

    Raises:
        UserError: names them, and the operators that pass no gradient on.
    """
    outputs = {value.name for value in gradient.outputs}
    without = {
        name: parameter
        for parameter, inputs in copies.items()
        for name in inputs
        if gradient_name(name) not in outputs
    }
    if not without:
        return
    ends = {
        f"{node.op_type} ('{node.name}')": None
        for value in forward.inputs
        if value.name in without
        for node in where_gradients_end(value)
    }
    parameters = [f"'{name}'" for name in dict.fromkeys(without.values())]
    raise UserError(
        f"The loss depends on {listed(parameters)} only through operators that pass no gradient on"
        f"{': ' + listed(list(ends), _SHOWN) if ends else ''}. Leave out with {option('freeze')} what "
        "comes before those."
    )
