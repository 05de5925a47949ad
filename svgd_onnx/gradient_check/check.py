"""Check the gradients of a model against central differences in float64."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Union

import numpy as np
import onnx
import onnx_ir as ir

from svgd_onnx.conversion.convert import (
    TrainingPlan,
    choose_prediction,
    load_model,
    manifest_tensor,
    plan_training,
)
from svgd_onnx.errors import UserError, first_line
from svgd_onnx.gradient_check.double_precision import Evaluator
from svgd_onnx.gradient_check.example_batch import random_inputs, random_label
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.runtime import training_binding
from svgd_onnx.training import data
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.differentiate import differentiate, gradient_name
from svgd_onnx.transforms.losses import check_settings, loss_named
from svgd_onnx.transforms.parameters import Selection, select_parameters
from svgd_onnx.transforms.virtualize import TScope

PathLike = Union[str, "os.PathLike[str]"]

_DEFAULT_LOSS = LossSettings()

# Steps are these fractions of a parameter's size. At the first, a difference in float64 usually loses
# about as much to rounding as to curvature, some 1e-9 of its value; smaller ones pass by fewer kinks.
_STEPS = (1e-6, 1e-7, 1e-8)
_SMALLEST_SIZE = 1e-2
# Gradients this much smaller than the largest are compared with it: a bias before BatchNormalization
# has the gradient 0, of which float32 leaves noise.
_NEGLIGIBLE = 1e-5
# Rounding is probed with changes of so many units in the last place, and may explain so many times
# what it does to the gradient.
_PROBED_UNITS = 4
_ROUNDING_FACTOR = 5

_TINY = float(np.finfo(np.float64).tiny)

DEFAULT_TOLERANCE = 5e-3


@dataclass(frozen=True)
class ParameterCheck:
    """What was found of the gradient of one parameter.

    Attributes:
        parameter: its name.
        shape: its shape.
        computed: the directional derivatives that onnxruntime's float32 gradient gives.
        expected: those that central differences in float64 give.
        error: the largest difference between the two, relative to the norm of the gradient (which is
            the standard deviation of the derivative along a random direction).
        rounding: how far float32 can be trusted here: how much the gradient changes, relative to its
            norm, when all numbers that go in change by a few units of their last place. It is large
            in deep networks, where rounding decides which side of a kink a value lies on.
    """

    parameter: str
    shape: tuple[int, ...]
    computed: tuple[float, ...]
    expected: tuple[float, ...]
    error: float
    rounding: float

    def is_right(self, tolerance: float = DEFAULT_TOLERANCE) -> bool:
        """Whether the error is within `tolerance` and what rounding explains."""
        return self.error <= tolerance + _ROUNDING_FACTOR * self.rounding


def check(
    model: PathLike | onnx.ModelProto,
    *,
    loss: str = "cross-entropy",
    loss_settings: LossSettings = _DEFAULT_LOSS,
    prediction: str | None = None,
    train: Sequence[str] = (),
    freeze: Sequence[str] = (),
    freeze_bn: bool = False,
    arrays: data.Arrays | None = None,
    batch_size: int = 2,
    sizes: Mapping[str, int] | None = None,
    only: Sequence[str] = (),
    directions: int = 2,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> list[ParameterCheck]:
    """Compares the gradients that training would use with central differences.

    For each trainable parameter w and random standard normal directions v, the product of v with the
    gradient of w is compared with (loss(w + h v) - loss(w - h v)) / 2h, where the loss of the model
    as it came, before any operator was decomposed, is computed in float64 by the onnx package's
    reference evaluator. BatchNormalization is in training mode (unless frozen), Dropout drops nothing.

    Args:
        model: an ONNX file, or the model itself.
        loss, loss_settings, prediction, train, freeze, freeze_bn: as for `convert`.
        arrays: a batch to check on, by name, the label with it; random if None.
        batch_size: of random data, where the first axis is open.
        sizes: of other open axes of random data, by the axis's name or a glob.
        only: globs; if given, only trainable parameters that match one are checked.
        directions: how many directions for each parameter.
        seed: of random data and directions.
        progress: called with the name of each parameter before it is checked.

    Raises:
        UserError: as `convert`; or an operator has no reference implementation in the onnx package.
    """
    if batch_size < 1 or directions < 1:
        raise UserError("--batch-size and --directions must be 1 or more.")
    canonical, selection, plan = _plan(
        model, loss, loss_settings, prediction, train, freeze, freeze_bn
    )
    for glob in only:
        if not any(fnmatchcase(name, glob) for name in selection.trainable):
            raise UserError(
                f"--only '{glob}' matches no trainable parameter: there are "
                f"{', '.join(selection.trainable)}."
            )
    random = np.random.default_rng(seed)
    if arrays is None:
        inputs = _random_batch(canonical, plan, batch_size, sizes, random)
    else:
        inputs = _given_batch(canonical, plan, arrays)
    values = _values(canonical, selection)
    feeds = {**inputs, **values, **_by_use(plan, values)}
    gradient_model = differentiate(plan.forward, plan.copies)
    gradients = _gradients(gradient_model, plan, feeds)
    probed = {name: _perturbed(array, random) for name, array in {**inputs, **values}.items()}
    others = _gradients(gradient_model, plan, {**probed, **_by_use(plan, probed)})
    try:
        evaluator = Evaluator(plan.forward, feeds)
    except NotImplementedError as error:
        raise UserError(
            f"The onnx package has no reference implementation to check against ({error})."
        ) from error
    largest = max(_rms(gradient) for gradient in gradients.values())

    def check_one(index: int) -> ParameterCheck:
        name = selection.trainable[index]
        if progress is not None:
            progress(name)
        scale = max(_norm(gradients[name]), _NEGLIGIBLE * largest * values[name].size ** 0.5)
        random = np.random.default_rng([seed, index])
        return _check_parameter(
            name,
            values[name],
            gradients[name],
            scale=scale,
            loss=_loss_along(evaluator, plan.copies[name]),
            directions=random.normal(size=(directions, *values[name].shape)),
            rounding=_norm(others[name] - gradients[name]) / max(scale, _TINY),
        )

    return [
        check_one(index)
        for index, name in enumerate(selection.trainable)
        if not only or any(fnmatchcase(name, glob) for glob in only)
    ]


def _loss_along(evaluator: Evaluator, uses: Sequence[str]) -> Callable[[np.ndarray], float]:
    return lambda point: evaluator.output(dict.fromkeys(uses, point))


def _check_parameter(
    name: str,
    value: np.ndarray,
    gradient: np.ndarray,
    *,
    scale: float,
    loss: Callable[[np.ndarray], float],
    directions: np.ndarray,
    rounding: float,
) -> ParameterCheck:
    center = value.astype(np.float64)
    size = max(_rms(value), _SMALLEST_SIZE)
    accepted = size * scale * (DEFAULT_TOLERANCE + _ROUNDING_FACTOR * rounding)
    computed = [float(np.sum(gradient * direction)) for direction in directions]
    expected = [
        _difference_quotient(loss, center, size * direction, size * derivative, accepted) / size
        for direction, derivative in zip(directions, computed)
    ]
    largest = max(scale, *map(abs, expected), _TINY)
    error = max(abs(a - b) for a, b in zip(computed, expected)) / largest
    return ParameterCheck(name, value.shape, tuple(computed), tuple(expected), error, rounding)


def example_batch(
    model: PathLike | onnx.ModelProto,
    *,
    loss: str = "cross-entropy",
    loss_settings: LossSettings = _DEFAULT_LOSS,
    prediction: str | None = None,
    train: Sequence[str] = (),
    freeze: Sequence[str] = (),
    freeze_bn: bool = False,
    batch_size: int = 2,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """A random batch of data for a model, the label with it, by name; arguments as for `check`."""
    canonical, _, plan = _plan(model, loss, loss_settings, prediction, train, freeze, freeze_bn)
    return _random_batch(canonical, plan, batch_size, sizes, np.random.default_rng(seed))


def _difference_quotient(
    loss: Callable[[np.ndarray], float],
    center: np.ndarray,
    direction: np.ndarray,
    computed: float,
    accepted: float,
) -> float:
    """The central difference along a direction, at the step where it depends least on the step.

    Other steps than the first are tried only if that differs from what was computed by more than is
    accepted.
    """
    quotients: list[float] = []
    for step in _STEPS:
        difference = loss(center + step * direction) - loss(center - step * direction)
        quotients.append(difference / (2 * step))
        if len(quotients) == 1 and abs(quotients[0] - computed) <= accepted:
            return quotients[0]
    changes = [abs(a - b) for a, b in zip(quotients, quotients[1:])]
    return quotients[changes.index(min(changes)) + 1]


def _plan(
    model: PathLike | onnx.ModelProto,
    loss: str,
    loss_settings: LossSettings,
    prediction: str | None,
    train: Sequence[str],
    freeze: Sequence[str],
    freeze_bn: bool,
) -> tuple[ir.Model, Selection, TrainingPlan]:
    check_settings(loss_named(loss), loss_settings)
    training_binding()
    canonical = canonicalize(load_model(model))
    selection = select_parameters(canonical, train, freeze)
    plan = plan_training(
        canonical,
        selection,
        loss=loss,
        loss_settings=loss_settings,
        prediction=choose_prediction(canonical.graph, prediction),
        scope=TScope(()),
        freeze_bn=freeze_bn,
        dropout=False,
    )
    return canonical, selection, plan


def _random_batch(
    canonical: ir.Model,
    plan: TrainingPlan,
    batch_size: int,
    sizes: Mapping[str, int] | None,
    random: np.random.Generator,
) -> dict[str, np.ndarray]:
    batch = random_inputs(canonical.graph.inputs, batch_size, random, sizes)
    (prediction,) = _run(canonical, [plan.prediction], batch)
    return {**batch, **random_label(plan, prediction, random)}


def _given_batch(
    canonical: ir.Model, plan: TrainingPlan, arrays: data.Arrays
) -> dict[str, np.ndarray]:
    values = [*canonical.graph.inputs, *([plan.label] if plan.label is not None else [])]
    return data.check_arrays(arrays, [manifest_tensor(value) for value in values], "the data")


def _values(canonical: ir.Model, selection: Selection) -> dict[str, np.ndarray]:
    values = {}
    for name in (*selection.trainable, *selection.untrained):
        tensor = canonical.graph.initializers[name].const_value
        assert tensor is not None
        values[name] = tensor.numpy()
    return values


def _by_use(plan: TrainingPlan, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {use: values[name] for name, uses in plan.copies.items() for use in uses}


def _gradients(
    model: ir.Model, plan: TrainingPlan, feeds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """onnxruntime's gradient of each trainable parameter, summed over its uses; float64."""
    wanted = [gradient_name(use) for uses in plan.copies.values() for use in uses]
    by_name = dict(zip(wanted, _run(model, wanted, feeds)))
    return {
        name: np.asarray(sum(by_name[gradient_name(use)].astype(np.float64) for use in uses))
        for name, uses in plan.copies.items()
    }


def _perturbed(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each number up or down by a few units in its last place."""
    if array.dtype != np.float32:
        return array
    units = np.float32(_PROBED_UNITS * np.finfo(np.float32).eps)
    signs = random.choice(np.array([-1, 1], np.float32), size=array.shape)
    return np.asarray(array * (1 + units * signs))


def _run(
    model: ir.Model, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 3
    session = InferenceSession(ir.to_proto(model).SerializeToString(), options)
    names = {value.name for value in session.get_inputs()}
    given = {name: array for name, array in feeds.items() if name in names}
    try:
        results: list[np.ndarray] = session.run(list(outputs), given)
    except Exception as error:  # the binding has an exception class for each status
        raise UserError(
            f"onnxruntime cannot run the model on this data ({first_line(error)}): give data that fits "
            "it with --data, --batch-size or --size."
        ) from error
    return results


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array))


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
