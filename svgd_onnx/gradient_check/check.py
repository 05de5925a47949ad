"""Check the gradients of a model against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from svgd_onnx.conversion import idle_options
from svgd_onnx.conversion.bounds import out_of_bounds
from svgd_onnx.conversion.encapsulation import differentiator_for
from svgd_onnx.conversion.example_batch import given_batch, predict, random_batch
from svgd_onnx.conversion.garbage import garbage_kept
from svgd_onnx.conversion.keywords import keywords_of, take
from svgd_onnx.conversion.model import model_at_fault
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import TrainingPlan, plan_training
from svgd_onnx.conversion.probabilities import may_be_probabilities, refuse_probabilities
from svgd_onnx.errors import UserError, check_range, check_several, listed, option
from svgd_onnx.files import PathLike
from svgd_onnx.gradient_check.difference import (
    DEFAULT_TOLERANCE,
    TINY,
    ParameterCheck,
    check_parameter,
    rms,
)
from svgd_onnx.gradient_check.double_precision import Evaluator
from svgd_onnx.gradient_check.gradients import by_use, gradients, perturbed
from svgd_onnx.step_names import unquoted
from svgd_onnx.targets import target_here, target_named
from svgd_onnx.training.data import Arrays
from svgd_onnx.training.sources import Data
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.differentiate.differentiators import differentiate
from svgd_onnx.transforms.draws import DRAWS
from svgd_onnx.transforms.lower import LowerFakeQuantize, operators_of
from svgd_onnx.transforms.quantization import is_fake_quantization

__all__ = ["DEFAULT_TOLERANCE", "ParameterCheck", "check", "example_batch"]

# Of the largest gradient: so much may be rounding in any other, whatever the probe shows, as of a bias before
# BatchNormalization, which has the gradient 0. Quantization swallows the changes that rounding is probed with.
_UNPROBED = 1e-8
_UNPROBED_IF_QUANTIZED = 1e-7
# Of examples and of directions, so that arrays of them can still be tried.
_MOST = 2**31 - 1


@keywords_of(TrainingSettings)
@out_of_bounds()
def check(
    model: PathLike | onnx.ModelProto,
    *,
    target: str | None = None,
    arrays: Arrays | Data | None = None,
    examples: int | None = None,
    batch_size: int = 2,
    random_size: Mapping[str, int] | None = None,
    only: Sequence[str] = (),
    directions: int = 2,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    external_data: PathLike | None = None,
    **settings: Any,
) -> list[ParameterCheck]:
    """Compares the gradients that training would use, as a target has them, with central differences.

    For each trainable parameter w and random standard normal directions v, the product of v with the
    gradient of w is compared with (loss(w + h v) - loss(w - h v)) / 2h, where the loss of the model
    as it came, before any operator was decomposed, is computed in float64 by the onnx package's
    reference evaluator. BatchNormalization is in training mode (unless frozen), Dropout drops nothing.

    Args:
        model: an ONNX file, or the model itself.
        target: whose step: "ort-training" or "onnx"; None is what `convert` makes by default.
        arrays: examples to check on, by name, the label with them, or what `load_data` gives;
            random if None.
        examples: how many of `arrays` to take, from the first; None for all.
        batch_size: of random data, where the axis of examples is open.
        random_size: of other open axes of random data, by the axis's name or a glob.
        only: globs; if given, only trainable parameters that match one are checked.
        directions: how many directions for each parameter.
        seed: of random data and directions.
        progress: called with the name of each parameter before it is checked.
        external_data: the folder of the files that a model in memory names, as for `convert`.
        **settings: the fields of `TrainingSettings` (loss, prediction, train, freeze, ...), each a
            keyword, as for `convert`.

    Returns:
        What was found of each parameter, in the order in which the model reads them.

    Raises:
        UserError: as `convert`; an operator has no reference implementation in the onnx package, or draws
            random numbers, other than Dropout.

    Warns:
        of what was given and changes nothing.

    Example:
        >>> found = svgd_onnx.check("model.onnx", only=["fc2.*"])
        >>> [(each.parameter, each.is_right()) for each in found]
        [('fc2.weight', True), ('fc2.bias', True)]
    """
    if not (1 <= batch_size <= _MOST and 1 <= directions <= _MOST):
        raise UserError(
            f"{option('batch_size')} and {option('directions')} must be 1 or more, up to {_MOST}."
        )
    check_range("seed", seed, seed >= 0, "0 or more")
    training = take(TrainingSettings, settings)
    plan = _plan(model, training, external_data)
    _refuse_draws(plan.forward.graph)
    idle = idle_options.of_check(arrays, examples, random_size)
    idle_options.warn_of([*idle, *idle_options.of_model(plan, training)])
    trainable = plan.selection.trainable
    checked = _matching(trainable, only)
    random = np.random.default_rng(seed)
    inputs = (
        random_batch(plan, batch_size, random_size, random)
        if arrays is None
        else given_batch(plan, arrays, examples)
    )
    if any(map(may_be_probabilities, plan.losses)):
        refuse_probabilities(plan, predict(plan, inputs))
    values = {name: tensor.numpy() for name, tensor in plan.values.items()}
    feeds = {**inputs, **values, **by_use(plan, values)}
    gradient_model = _gradient_model(plan, target, training.differentiator)
    found = gradients(gradient_model, plan, feeds)
    probed = {name: perturbed(array, random) for name, array in {**inputs, **values}.items()}
    others = gradients(gradient_model, plan, {**probed, **by_use(plan, probed)})
    changes = {name: _norm(others[name] - gradient) for name, gradient in found.items()}
    del probed, others
    evaluator = Evaluator(plan.forward, feeds)
    largest = max(rms(gradient) for gradient in found.values())
    quantized = any(is_fake_quantization(node) for node in plan.forward.graph)
    unprobed = (_UNPROBED_IF_QUANTIZED if quantized else _UNPROBED) * largest

    def check_one(index: int) -> ParameterCheck:
        name = trainable[index]
        if progress is not None:
            progress(unquoted(name))
        noise = unprobed * values[name].size ** 0.5
        scale = max(_norm(found[name]), noise, TINY)
        random = np.random.default_rng([seed, index])
        return check_parameter(
            unquoted(name),
            values[name],
            found[name].astype(np.float64),
            scale=scale,
            loss=lambda point: evaluator.output(dict.fromkeys(plan.copies[name], point)),
            directions=random.normal(size=(directions, *values[name].shape)),
            rounding=max(changes[name], noise) / scale,
        )

    places = _first_uses(plan.canonical.graph)
    order = sorted(range(len(trainable)), key=lambda index: places.get(trainable[index], 0))
    return [check_one(index) for index in order if trainable[index] in checked]


@keywords_of(TrainingSettings)
def example_batch(
    model: PathLike | onnx.ModelProto,
    *,
    batch_size: int = 2,
    random_size: Mapping[str, int] | None = None,
    seed: int = 0,
    **settings: Any,
) -> dict[str, np.ndarray]:
    """A random batch of data for a model, the label with it, by name; arguments as for `check`."""
    plan = _plan(model, take(TrainingSettings, settings))
    batch = random_batch(plan, batch_size, random_size, np.random.default_rng(seed))
    return {unquoted(name): array for name, array in batch.items()}


def _plan(
    model: PathLike | onnx.ModelProto,
    settings: TrainingSettings,
    external_data: PathLike | None = None,
) -> TrainingPlan:
    settings.check()
    with garbage_kept(), model_at_fault(model):
        return plan_training(model, settings, external_data=external_data, dropout=False)


def _refuse_draws(graph: ir.Graph) -> None:
    """Refuses a loss that is another each time that it is computed.

    Raises:
        UserError: names what draws.
    """
    for node in all_nodes(graph):
        if node.domain == "" and node.op_type in DRAWS:
            raise UserError(
                f"{node.op_type} '{unquoted(node.name or '')}' draws random numbers, so that the loss is "
                "another each time, and no difference of it says what its gradient is: check the model without "
                "it. What convert makes of it is verified on one draw."
            )


def _gradient_model(plan: TrainingPlan, target: str | None, differentiator: str) -> ir.Model:
    """The gradient graph as a target has it."""
    if target is None:
        target = target_here()
    runtime = target_named(target)
    runtime.require()
    wanted = differentiator_for(runtime, differentiator)
    model, maker = differentiate(plan.forward, plan.copies, wanted)
    LowerFakeQuantize()(model)
    runtime.lower(model, maker, operators_of(plan.forward))
    return model


def _matching(names: Sequence[str], globs: Sequence[str]) -> set[str]:
    """The names that match a glob; all if there is none."""
    check_several("only", globs)
    for glob in globs:
        if not any(fnmatchcase(unquoted(name), glob) for name in names):
            raise UserError(
                f"{option('only')} '{glob}' matches no trainable parameter: there are {listed(names)}."
            )
    return {
        name
        for name in names
        if not globs or any(fnmatchcase(unquoted(name), glob) for glob in globs)
    }


def _first_uses(graph: ir.Graph) -> dict[str, int]:
    """Where in a graph values are read first, by name."""
    read = [value.name for node in all_nodes(graph) for value in node.inputs if value is not None]
    return {name: place for place, name in enumerate(dict.fromkeys(read)) if name is not None}


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(array))
