"""A batch that a model can be run on: random, or the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.conversion.axis_rules import RECURRENT
from svgd_onnx.conversion.batch_axes import BatchAxes
from svgd_onnx.conversion.description import describe_tensor
from svgd_onnx.conversion.inference import MOST_BYTES, NotRunError, run
from svgd_onnx.conversion.loss_changes import LARGE
from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.conversion.random_integers import random_integers
from svgd_onnx.errors import UserError, listed, option, without
from svgd_onnx.step_names import unquoted
from svgd_onnx.training.data import Arrays
from svgd_onnx.training.examples import first_examples
from svgd_onnx.training.sources import Data
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.canonicalize.fix_sizes import check_axes, name_of_axis, size_of
from svgd_onnx.transforms.canonicalize.stated_shapes import differ, shown
from svgd_onnx.transforms.check_indices import CheckIndices
from svgd_onnx.transforms.differentiate import ParametersAsInputs
from svgd_onnx.transforms.lower import LowerFakeQuantize
from svgd_onnx.transforms.rule import input_of, integer, integers
from svgd_onnx.transforms.value_sizes import largest_value

_BATCH_SIZE, _BATCH_SIZE_OF_LARGE = 4, 2
_OTHER_AXIS = 8
_IMAGE_AXIS = 32
# Of some tens of microseconds each, in a dozen runs.
_MOST_TURNS = 1 << 14


def random_batch(
    plan: TrainingPlan,
    batch_size: int,
    sizes: Mapping[str, int] | None,
    random: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Random inputs of a model, and labels that go with what it makes of them; by name."""
    batch, _ = random_examples(plan, batch_size, sizes, random)
    return batch


def random_examples(
    plan: TrainingPlan,
    batch_size: int,
    sizes: Mapping[str, int] | None,
    random: np.random.Generator,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A random batch as `random_batch` makes it, and the model's predictions for it, by the names of outputs.

    Where a prediction is not finite, as that of a model that takes a logarithm of what it gets, there
    are other data: positive numbers.

    Raises:
        NotRunError: onnxruntime cannot run the model, or not on these data, a value is too large to try, or it
            makes too many turns.
        UserError: the model says another shape of its prediction than it gives, or gives no numbers.
    """
    value, size = largest_value(plan.canonical.graph)
    if value is not None and size > MOST_BYTES:
        raise NotRunError(
            f"The value '{value.name}' alone has {size:,} bytes, more than are tried on made-up data."
        )
    turns = sum(map(_turns, all_nodes(plan.canonical.graph)))
    if turns > _MOST_TURNS:
        raise NotRunError(
            f"The model makes {turns:,} turns one after another, and at most {_MOST_TURNS:,} are tried "
            "on made-up data."
        )
    inputs = plan.canonical.graph.inputs
    check_axes("random_size", sizes or {}, sized_values(plan))
    batch_size = max(batch_size, *(each.loss.least_examples for each in plan.losses))
    for positive in (False, True):
        batch = random_inputs(inputs, plan.batch_axes, batch_size, random, sizes, positive=positive)
        predictions = predict(plan, batch)
        if _are_finite(predictions):
            break
    for each in plan.losses:
        prediction = predictions[each.prediction]
        _check_declared(plan, each.prediction, prediction)
        if not prediction.size:
            raise UserError(
                f"The prediction '{unquoted(each.prediction)}' has no numbers: it is of the shape "
                f"{prediction.shape} on made-up data. Name another with {option('prediction')}, or give larger "
                f"sizes of open axes with {option('random_size')}."
            )
    return {**batch, **random_labels(plan, predictions, random, sizes)}, predictions


def sized_values(plan: TrainingPlan) -> list[ir.Value]:
    """The inputs, and the labels with open axes of their own, whose sizes may be given."""
    labels = [each.label for each in plan.losses if each.label is not None and each.loss.own_axes]
    return [*plan.canonical.graph.inputs, *labels]


def _turns(node: ir.Node) -> int:
    """How many turns a recurrent layer or a Scan makes, as far as that is fixed; else 0."""
    place, axis = 0, 0
    if node.op_type == "Scan":
        place = len(node.inputs) - integer(node, "num_scan_inputs", 0)
        axis = (*integers(node, "scan_input_axes", ()), 0)[0]
    elif node.op_type not in RECURRENT:
        return 0
    scanned = input_of(node, place)
    sizes = () if scanned is None or scanned.shape is None else tuple(scanned.shape)
    size = sizes[axis] if -len(sizes) <= axis < len(sizes) else None
    return size if isinstance(size, int) else 0


def _are_finite(arrays: Mapping[str, np.ndarray]) -> bool:
    return all(np.isfinite(array).all() for array in arrays.values())


def made_up_batch(
    plan: TrainingPlan, sizes: Mapping[str, int] | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The random batch that conversion is verified on, the same at every call, and the model's predictions.

    Raises:
        NotRunError: onnxruntime cannot run the model on it, or says NaN or infinity.
        UserError: a parameter holds NaN, and so the prediction; no input has an axis of a name that a size is
            given for, the model says another shape of its prediction than it gives or gives other than one
            entry for each example, or there is no onnxruntime.
    """
    values = plan.values
    numbers = sum(values[name].size for name in plan.selection.trainable)
    batch_size = _BATCH_SIZE if numbers < LARGE else _BATCH_SIZE_OF_LARGE
    batch, predictions = random_examples(plan, batch_size, sizes, np.random.default_rng(0))
    if not _are_finite(predictions):
        # not infinity, which a mask may well hold
        without_value = [name for name in values if np.isnan(values[name].numpy()).any()]
        if without_value:
            quoted = [f"'{unquoted(name)}'" for name in without_value]
            raise UserError(
                "The prediction is NaN or infinite on made-up data, as "
                f"{listed(quoted, 3)} holds NaN: export the model "
                f"with numbers in its place, or do without this with {without('verify')}."
            )
        raise NotRunError("the prediction is NaN or infinite.")
    for each in plan.losses:
        if each.label is not None:
            _check_examples(plan, batch, each.prediction, predictions[each.prediction])
    return batch, predictions


def _check_declared(plan: TrainingPlan, name: str, prediction: np.ndarray) -> None:
    """Refuses a model that says another shape of a prediction than it gives."""
    output = next(each for each in plan.canonical.graph.outputs if each.name == name)
    declared = list(output.shape or prediction.shape)
    if differ(declared, prediction.shape):
        raise UserError(
            f"The model says that '{unquoted(name)}' has the shape ({shown(declared)}), but it is "
            f"{prediction.shape} on made-up data: export it with the right shape, or without one."
        )


def _check_examples(
    plan: TrainingPlan, batch: Mapping[str, np.ndarray], output: str, prediction: np.ndarray
) -> None:
    """Refuses a prediction whose labels would not be as many as the examples, which no data are."""
    axes = {name: plan.batch_axes[name] for name in plan.inputs}
    counts = {batch[name].shape[axis] for name, axis in axes.items() if axis is not None}
    axis = plan.batch_axes[output]
    if axis is None or not counts or prediction.shape[axis] in counts:
        return
    name = unquoted(output)
    raise UserError(
        f"The prediction '{name}' has {prediction.shape[axis]} entries along axis {axis} for {min(counts)} "
        f"examples on made-up data, and a label cannot have both: name with {option('batch_axis')} the axis "
        f"that examples lie along, or none of '{name}' and of each input, if a step takes all as one."
    )


def predict(plan: TrainingPlan, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the model says of some data: each output that a loss compares, by name.

    Raises:
        NotRunError: onnxruntime cannot run the model, or not on these data.
    """
    model = plan.canonical.clone()
    LowerFakeQuantize()(model)
    CheckIndices()(model)  # made-up data may bring any number
    # they may be in external data, or too large for a proto
    ParametersAsInputs(plan.selection.all)(model)
    values = {name: tensor.numpy() for name, tensor in plan.values.items()}
    return dict(zip(plan.predictions, run(model, plan.predictions, {**batch, **values})))


def given_batch(
    plan: TrainingPlan, arrays: Arrays | Data, count: int | None = None
) -> dict[str, np.ndarray]:
    """The user's first examples, checked, and of the model's types; by name.

    Args:
        plan: of the model.
        arrays: all of the examples, by name or as `load_data` gives them.
        count: how many to take; None for all. Of a model that takes one example it is always one.

    Raises:
        UserError: they do not fit the model.
    """
    values = [*plan.canonical.graph.inputs, *plan.labels]
    tensors = [describe_tensor(value, plan.batch_axes) for value in values]
    by_value = dict(zip(values, tensors))
    losses = {
        by_value[each.label].name: each.loss for each in plan.losses if each.label is not None
    }
    taken = first_examples(arrays, tensors, losses, count)
    return {value.name or "": array for value, array in zip(values, taken)}


def random_inputs(
    values: Sequence[ir.Value],
    axes: BatchAxes,
    batch_size: int,
    random: np.random.Generator,
    sizes: Mapping[str, int] | None = None,
    *,
    positive: bool = False,
) -> dict[str, np.ndarray]:
    """An array for each graph input.

    Floating-point arrays are standard normal, integers as `random_integers` has them.

    Args:
        values: the inputs.
        axes: the axis of examples of each, by name.
        batch_size: size of that axis, where it is open.
        random: where numbers come from.
        sizes: sizes of other open axes, by the axis's name or a glob.
        positive: whether floating-point arrays are uniform from 0 to 1 instead.
    """
    arrays = {}
    named: dict[str, int] = {}
    for value in values:
        shape = _shape(value, axes[value.name or ""], batch_size, sizes or {}, named)
        dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
        if dtype.kind == "f":
            numbers = random.random(size=shape) if positive else random.normal(size=shape)
            array = numbers.astype(dtype)
        else:
            array = random_integers(value, shape, random).astype(dtype)
        arrays[value.name or ""] = array
    return arrays


def random_labels(
    plan: TrainingPlan,
    predictions: Mapping[str, np.ndarray],
    random: np.random.Generator,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray]:
    """What losses compare predictions with, at random.

    Args:
        plan: says which losses, what the labels are, and where predictions have their classes.
        predictions: the model's outputs, by name.
        random: where numbers come from.
        sizes: as of `random_inputs`, of axes that are the label's own.

    Returns:
        An array for each label, by name.
    """
    labels = {}
    for each in plan.losses:
        if each.label is not None:
            axes = len(each.label.shape or ())
            array = each.loss.random_target(
                predictions[each.prediction], each.class_axis, axes, random
            )
            for axis in each.loss.own_axes:
                size = size_of(name_of_axis(each.label, axis) or "", sizes or {})
                if size is not None:
                    array = np.take(array, np.arange(size) % array.shape[axis], axis)
            labels[each.label.name or ""] = array
    return labels


def _shape(
    value: ir.Value,
    batch_axis: int | None,
    batch_size: int,
    sizes: Mapping[str, int],
    named: dict[str, int],
) -> list[int]:
    shape = []
    dims = list(value.shape or ())
    for axis, dim in enumerate(dims):
        name = "" if isinstance(dim, int) else dim.value or ""
        given = size_of(name_of_axis(value, axis) or "", sizes)
        if isinstance(dim, int):
            shape.append(dim)
        elif axis == batch_axis and name not in named:
            shape.append(batch_size)
        elif name in named:
            shape.append(named[name])
        elif given:
            shape.append(given)
        else:
            shape.append(_IMAGE_AXIS if len(dims) > 3 else _OTHER_AXIS)
        if name:
            named[name] = shape[-1]
    return shape
