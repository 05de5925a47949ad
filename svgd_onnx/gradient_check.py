"""Check the gradients of a model against central differences in float64."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np
import onnx
import onnx_ir as ir

from svgd_onnx import data
from svgd_onnx.conversion import TrainingPlan, choose_prediction, load_model, plan_training
from svgd_onnx.double_precision import Evaluator
from svgd_onnx.errors import UserError
from svgd_onnx.example_inputs import random_inputs
from svgd_onnx.parameters import Selection, select_parameters
from svgd_onnx.runtime import training_binding
from svgd_onnx.transforms.canonicalize import canonicalize
from svgd_onnx.transforms.differentiate import differentiate, gradient_name
from svgd_onnx.transforms.losses import LOSSES
from svgd_onnx.transforms.losses.loss import Loss
from svgd_onnx.transforms.virtualize import TScope

PathLike = Union[str, "os.PathLike[str]"]

# Steps are this fraction of a parameter's size: in float64 the difference then loses about as much to
# rounding as to curvature, some 1e-9 of its value.
_STEP = 1e-6
_SMALLEST_SIZE = 1e-2
# Gradients this much smaller than the largest are compared with it: a bias before BatchNormalization
# has the gradient 0, of which float32 leaves noise.
_NEGLIGIBLE = 1e-5


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
    """

    parameter: str
    shape: tuple[int, ...]
    computed: tuple[float, ...]
    expected: tuple[float, ...]
    error: float


def check(
    model: PathLike | onnx.ModelProto,
    *,
    loss: str = "cross-entropy",
    prediction: str | None = None,
    train: Sequence[str] = (),
    freeze: Sequence[str] = (),
    freeze_bn: bool = False,
    arrays: data.Arrays | None = None,
    batch_size: int = 2,
    sizes: Mapping[str, int] | None = None,
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
        loss, prediction, train, freeze, freeze_bn: as for `convert`.
        arrays: a batch to check on, by name, the label with it; random if None.
        batch_size: of random data, where the first axis is open.
        sizes: of other open axes of random data, by the axis's name or a glob.
        directions: how many directions for each parameter.
        seed: of random data and directions.
        progress: called with the name of each parameter before it is checked.

    Raises:
        UserError: as `convert`; or an operator has no reference implementation in the onnx package.
    """
    if batch_size < 1 or directions < 1:
        raise UserError("--batch-size and --directions must be 1 or more.")
    if loss not in LOSSES:
        raise UserError(f"Unknown loss '{loss}': choose from {', '.join(LOSSES)}.")
    training_binding()
    canonical = canonicalize(load_model(model))
    selection = select_parameters(canonical, train, freeze)
    output = choose_prediction(canonical.graph, prediction)
    plan = plan_training(
        canonical,
        selection,
        loss=loss,
        prediction=output,
        scope=TScope(()),
        freeze_bn=freeze_bn,
        dropout=False,
    )
    random = np.random.default_rng(seed)
    inputs = _inputs(plan, canonical, LOSSES[loss], output, arrays, batch_size, sizes, random)
    values = _values(canonical, selection)
    feeds = {**inputs, **values, **_by_use(plan, values)}
    gradients = _gradients(plan, feeds)
    try:
        evaluator = Evaluator(plan.forward, feeds)
    except NotImplementedError as error:
        raise UserError(
            f"The onnx package has no reference implementation to check against ({error})."
        ) from error
    largest = max(_rms(gradient) for gradient in gradients.values())
    found = []
    for name in selection.trainable:
        if progress is not None:
            progress(name)
        found.append(
            _check_parameter(
                name, values[name], gradients[name], plan, evaluator, directions, random, largest
            )
        )
    return found


def _check_parameter(
    name: str,
    value: np.ndarray,
    gradient: np.ndarray,
    plan: TrainingPlan,
    evaluator: Evaluator,
    directions: int,
    random: np.random.Generator,
    largest: float,
) -> ParameterCheck:
    step = _STEP * max(_rms(value), _SMALLEST_SIZE)
    center = value.astype(np.float64)

    def loss(point: np.ndarray) -> float:
        return evaluator.output({use: point for use in plan.copies[name]})

    computed, expected = [], []
    for _ in range(directions):
        direction = random.normal(size=value.shape)
        computed.append(float(np.sum(gradient.astype(np.float64) * direction)))
        difference = loss(center + step * direction) - loss(center - step * direction)
        expected.append(difference / (2 * step))
    norm = max(
        float(np.linalg.norm(gradient)),
        max(map(abs, expected)),
        _NEGLIGIBLE * largest * value.size**0.5,
        np.finfo(np.float64).tiny,
    )
    error = max(abs(a - b) for a, b in zip(computed, expected)) / norm
    return ParameterCheck(name, value.shape, tuple(computed), tuple(expected), error)


def _inputs(
    plan: TrainingPlan,
    canonical: ir.Model,
    loss: Loss,
    prediction: str,
    arrays: data.Arrays | None,
    batch_size: int,
    sizes: Mapping[str, int] | None,
    random: np.random.Generator,
) -> dict[str, np.ndarray]:
    label = plan.label.name or ""
    if arrays is not None:
        wanted = [*(value.name or "" for value in canonical.graph.inputs), label]
        missing = [name for name in wanted if name not in arrays]
        if missing:
            raise UserError(f"The data has no array '{missing[0]}': it needs {', '.join(wanted)}.")
        return {name: np.asarray(arrays[name]) for name in wanted}
    inputs = random_inputs(canonical.graph.inputs, batch_size, random, sizes)
    (predicted,) = _run(canonical, [prediction], inputs)
    shape = loss.target_shape(ir.Shape(predicted.shape)).numpy()
    if loss.target_dtype == ir.DataType.INT64:
        inputs[label] = random.integers(predicted.shape[1], size=shape)
    else:
        inputs[label] = random.uniform(size=shape).astype(np.float32)
    return inputs


def _values(canonical: ir.Model, selection: Selection) -> dict[str, np.ndarray]:
    values = {}
    for name in (*selection.trainable, *selection.untrained):
        tensor = canonical.graph.initializers[name].const_value
        assert tensor is not None
        values[name] = tensor.numpy()
    return values


def _by_use(plan: TrainingPlan, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {use: values[name] for name, uses in plan.copies.items() for use in uses}


def _gradients(plan: TrainingPlan, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """onnxruntime's gradient of each trainable parameter, summed over its uses."""
    wanted = [gradient_name(use) for uses in plan.copies.values() for use in uses]
    by_name = dict(zip(wanted, _run(differentiate(plan.forward, plan.copies), wanted, feeds)))
    return {
        name: np.sum([by_name[gradient_name(use)] for use in uses], axis=0, dtype=np.float64)
        for name, uses in plan.copies.items()
    }


def _run(
    model: ir.Model, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 3
    session = InferenceSession(ir.to_proto(model).SerializeToString(), options)
    names = {value.name for value in session.get_inputs()}
    given = {name: array for name, array in feeds.items() if name in names}
    results: list[np.ndarray] = session.run(list(outputs), given)
    return results


def _rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
