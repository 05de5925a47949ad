"""Find what a loss reads: the value under the prediction's final activation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.errors import UserError, option
from svgd_onnx.transforms.bodies import bodies_of
from svgd_onnx.transforms.losses.written_out import written_out_activation
from svgd_onnx.transforms.quantization import FAKE_QUANTIZE, is_fake_quantization
from svgd_onnx.transforms.rearrangements import REARRANGEMENTS
from svgd_onnx.transforms.rule import constant_value, input_of
from svgd_onnx.transforms.writer import Writer

# They take some of the elements, or take them over into another type.
_SELECTIONS = frozenset({"Cast", "Gather", "Slice"})
# Over axes of size 1 they leave all elements as they are; over others nothing is left to look under.
_REDUCTIONS = frozenset({"ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"})
# They leave all elements where they are.
_UNMOVING = frozenset({"Cast", "Identity", FAKE_QUANTIZE})


@dataclass(frozen=True)
class Activation:
    """A final activation.

    Attributes:
        operator: "Softmax", "LogSoftmax" or "Sigmoid", as one operator or written out with others.
        logits: what it is of.
        output: what it gives.
        axis: that a Softmax normalizes, from the front, or None if it cannot be told.
    """

    operator: str
    logits: ir.Value
    output: ir.Value
    axis: int | None


def find_logits(
    write: Writer, output: ir.Value, activations: Collection[str]
) -> tuple[ir.Value, int | None]:
    """The value under the final activation of `output`, or `output` where there is none.

    What rearranges the activation's result, or takes a part of it, is done to its input too: an opset
    upgrade writes Softmax as Flatten, Softmax and Reshape, and a Squeeze or a Gather may follow a Sigmoid.

    Args:
        write: takes those operations.
        output: the model's prediction.
        activations: the operators to look under.

    Returns:
        The logits, of the output's shape, and the axis that a Softmax normalizes, if it can be told.

    Raises:
        UserError: the loss is of logits, and the prediction is part of the classes of a Softmax, a mean or
            the like of what an activation gives, or comes out of a body that ends in one.
    """
    steps: list[ir.Node] = []
    value = output
    while (
        (found := _activation(value)) is None
        and (node := value.producer()) is not None
        and _moves(node)
    ):
        steps.insert(0, node)
        value = _first_input(node)
    if found is None and node is not None and node.op_type in _REDUCTIONS:
        _check_reduced(node, output, activations)
    if found is None:
        _check_bodies(value, output, activations)
    if found is None or found.operator not in activations:
        return output, None
    axis = None if found.operator == "Sigmoid" else _softmax_axis(found, steps)
    if found.operator != "Sigmoid" and _cuts(steps, axis):
        raise UserError(
            f"The prediction '{output.name}' is a part of what a {found.operator} gives, so that it cannot "
            f"be compared with classes: name with {option('prediction')} an output that has all of them."
        )
    logits = found.logits
    moved = [step for step in steps if step.op_type not in _UNMOVING]
    for step in moved:
        (logits,) = write.nodes_with(step.op_type, [logits, *step.inputs[1:]], step.attributes, 1)
        logits.shape, logits.type = step.outputs[0].shape, step.outputs[0].type
    if moved:
        logits.shape = output.shape
    return logits, axis


def _check_reduced(node: ir.Node, output: ir.Value, activations: Collection[str]) -> None:
    """Refuses a prediction for which a reduction mixes what an activation gives."""
    activation = final_activation(_first_input(node))
    if activation in activations:
        raise UserError(
            f"The prediction '{output.name}' comes out of {node.op_type} '{node.name}' over what a "
            f"{activation} gives, so that there are no logits of it: choose another {option('loss')}, or say "
            f"with {option('from_logits')} that it is to be taken for logits."
        )


def _check_bodies(value: ir.Value, output: ir.Value, activations: Collection[str]) -> None:
    """Refuses a prediction that an If, a Loop or a Scan gives, where a body of it ends in an activation."""
    node = value.producer()
    if node is None:
        return
    place = node.outputs.index(value) + (node.op_type == "Loop")
    for body in bodies_of(node):
        inner = body.outputs[place]
        while (step := inner.producer()) is not None and _activation(inner) is None:
            if not _moves(step) and step.op_type not in _REDUCTIONS:
                break
            inner = _first_input(step)
        activation = final_activation(inner)
        if activation in activations:
            raise UserError(
                f"The prediction '{output.name}' comes out of {node.op_type} '{node.name}', in whose body a "
                f"{activation} gives it, and a loss of logits does not look into bodies: choose another "
                f"{option('loss')}, or say with {option('from_logits')} that it is to be taken for logits."
            )
        _check_bodies(inner, output, activations)


def final_activation(output: ir.Value) -> str | None:
    """The activation that a prediction ends in, rearranged or in part; None if it ends in none."""
    value = output
    while (found := _activation(value)) is None:
        node = value.producer()
        if node is None or not _moves(node):
            return None
        value = _first_input(node)
    return found.operator


def _activation(value: ir.Value) -> Activation | None:
    node = value.producer()
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in ("LogSoftmax", "Sigmoid", "Softmax"):
        attribute = node.attributes.get("axis")
        axis = -1 if attribute is None else attribute.as_int()
        return Activation(node.op_type, _first_input(node), value, _from_front(axis, value))
    written = written_out_activation(node)
    if written is None:
        return None
    operator, logits, normalized = written
    front = None if normalized is None else _from_front(normalized, value)
    return Activation(operator, logits, value, front)


def _moves(node: ir.Node) -> bool:
    """Whether a node moves elements, or takes some of them."""
    if node.op_type == "Cast":
        value = _first_input(node)
        return value.dtype is not None and value.dtype.is_floating_point()
    if node.op_type in _REDUCTIONS:
        return _is_over_one(node)
    return node.op_type in REARRANGEMENTS | _SELECTIONS or is_fake_quantization(node)


def _is_over_one(node: ir.Node) -> bool:
    """Whether all axes that a reduction is over have the size 1."""
    shape = _first_input(node).shape
    given = node.attributes.get("axes")
    axes = given.as_ints() if given is not None else constant_value(input_of(node, 1))
    return shape is not None and axes is not None and all(shape[int(axis)] == 1 for axis in axes)


def _cuts(steps: Sequence[ir.Node], axis: int | None) -> bool:
    """Whether some of the classes are taken away."""
    return axis is None and any(step.op_type in ("Gather", "Slice") for step in steps)


def _first_input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _from_front(axis: int, value: ir.Value) -> int | None:
    if axis >= 0:
        return axis
    return None if value.shape is None else axis + len(value.shape)


def _softmax_axis(activation: Activation, steps: Sequence[ir.Node]) -> int | None:
    """The axis that a Softmax normalizes, as the steps after it leave it; None if that is unclear."""
    axis = activation.axis
    for step in steps:
        before, after = _first_input(step).shape, step.outputs[0].shape
        if axis is None:
            return None
        if step.op_type in _REDUCTIONS:
            return None
        if step.op_type == "Transpose" and "perm" in step.attributes:
            axis = list(step.attributes["perm"].as_ints()).index(axis)
        elif before is None or after is None:
            return None
        elif step.op_type in ("Gather", "Slice") and len(before) == len(after):
            if before[axis] != after[axis]:
                return None
        elif step.op_type in _UNMOVING:
            continue
        elif list(before)[: axis + 1] != list(after)[: axis + 1]:
            axis = _moved_axis(step, axis, len(after))
    return axis


def _moved_axis(step: ir.Node, axis: int, axes: int) -> int | None:
    """Where an axis is once another one has been taken away before it, or all of what it is in."""
    if step.op_type == "Gather":
        attribute = step.attributes.get("axis")
        taken = 0 if attribute is None else attribute.as_int() % (axes + 1)
        return None if taken == axis else axis - (taken < axis)
    return None
