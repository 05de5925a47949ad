"""The axis of the logits that has an entry for each class, and its way to axis 1."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from svgd_onnx.errors import UserError, option
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.losses.binary_cross_entropy import BinaryCrossEntropy
from svgd_onnx.transforms.losses.last_layer import axis_of_last_layer
from svgd_onnx.transforms.losses.mean_squared_error import MeanSquaredError
from svgd_onnx.transforms.writer import Writer


def find_class_axis(
    logits: ir.Value, softmax_axis: int | None, settings: LossSettings, loss: str
) -> tuple[int, str]:
    """The axis of classes: that of the settings, of a final Softmax, of the outputs of the last layer, or 1.

    Args:
        logits: of known shape.
        softmax_axis: the axis that a final Softmax normalizes, if there is one and it can be told.
        settings: of the loss.
        loss: its name.

    Returns:
        The axis, from the front; and why it was taken, as the end of a sentence, empty where nothing else could
        be meant.

    Raises:
        UserError: that axis is none of classes, or does not fit the Softmax or the class weights.
    """
    rank = len(logits.shape or ())
    if softmax_axis == 0:
        raise UserError(
            f"The model's final activation normalizes axis 0 of '{logits.name}', but {loss} needs "
            "examples there, and the classes on another axis."
        )
    axis, reason = settings.class_axis, ""
    if axis is None:
        axis, reason = _told(logits, softmax_axis)
    elif -rank <= axis < 0:
        axis += rank
    if rank < 2 or not 1 <= axis < rank:
        raise UserError(
            f"The logits '{logits.name}' have {rank} axes, so axis {axis} cannot hold the classes: "
            f"{loss} needs a batch axis and then one of classes, which {option('class_axis')} names."
        )
    if softmax_axis is not None and axis != softmax_axis:
        raise UserError(
            f"{option('class_axis')} is {settings.class_axis}, but the model's final activation "
            f"normalizes axis {softmax_axis}: leave {option('class_axis')} out."
        )
    _check_classes(logits, axis, settings, loss)
    return axis, reason if rank > 2 else ""


def _told(logits: ir.Value, softmax_axis: int | None) -> tuple[int, str]:
    """The axis of classes as the graph tells it, and how."""
    if softmax_axis is not None:
        return softmax_axis, "the final Softmax normalizes it"
    layer = axis_of_last_layer(logits)
    if layer is not None and layer[0]:
        axis, node = layer
        return (
            axis,
            f"the last layer, {node.op_type} '{unquoted(node.name or '')}', has its outputs there",
        )
    return 1, "nothing in the model tells, and it is the usual one"


def _check_classes(logits: ir.Value, axis: int, settings: LossSettings, loss: str) -> None:
    classes = (logits.shape or ())[axis]
    if classes == 1:
        raise UserError(
            f"Axis {axis} of the logits '{logits.name}' has one class only, so {loss} is always 0: use "
            f"{option('loss', BinaryCrossEntropy.name)} for one that is there or not, "
            f"{option('loss', MeanSquaredError.name)} for a number, or name another axis with "
            f"{option('class_axis')}."
        )
    weights = settings.class_weights
    if weights is not None and isinstance(classes, int) and classes != len(weights):
        raise UserError(
            f"{option('class_weights')} has {len(weights)} weights, but axis {axis} of "
            f"'{logits.name}' has {classes} classes: give one weight a class."
        )


def as_rows(write: Writer, logits: ir.Value, axis: int) -> ir.Value | None:
    """The logits (..., C) of tokens as rows (rows, C); None where that takes more than a Reshape."""
    assert logits.shape is not None
    *outer, classes = list(logits.shape)
    if len(outer) < 2 or axis != len(outer) or not isinstance(classes, int):
        return None
    sizes = [size for size in outer if isinstance(size, int)]
    rows = write.node("Reshape", logits, write.integers(-1, classes))
    rows.shape = ir.Shape([prod(sizes) if len(sizes) == len(outer) else None, classes])
    rows.type = logits.type
    return rows


def classes_on_axis_1(write: Writer, logits: ir.Value, axis: int) -> ir.Value:
    """The logits with their classes on axis 1, and without what comes after them if it is all 1."""
    assert logits.shape is not None
    dims = list(logits.shape)
    if len(dims) > 2 and axis == 1 and all(dim == 1 for dim in dims[2:]):
        moved = write.node("Squeeze", logits, write.integers(*range(2, len(dims))))
        moved.shape = ir.Shape(dims[:2])
    elif axis != 1:
        perm = [0, axis, *(i for i in range(1, len(dims)) if i != axis)]
        moved = write.node("Transpose", logits, perm=perm)
        moved.shape = ir.Shape([dims[i] for i in perm])
    else:
        return logits
    moved.type = logits.type
    return moved
