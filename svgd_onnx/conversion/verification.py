"""Prove what conversion made: open it, take a step on made-up data, hold the gradients against the loss."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svgd_onnx.conversion.compute import FLOAT32
from svgd_onnx.conversion.example_batch import made_up_batch
from svgd_onnx.conversion.fast_form import (
    keep_if_gradients_agree,
    keep_if_steps_agree,
    session_states,
)
from svgd_onnx.conversion.inference import NotRunError
from svgd_onnx.conversion.loss_changes import Findings, LossChanges
from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.conversion.probabilities import refuse_probabilities
from svgd_onnx.conversion.ranks_agree import check_ranks_agree
from svgd_onnx.conversion.raw_gradients import RawGradients
from svgd_onnx.errors import Advice, UserError, first_line, listed, option, without
from svgd_onnx.manifest import Manifest, Verified
from svgd_onnx.runtime import check_packages, installed_packages
from svgd_onnx.step_names import unquoted
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.kernels import STANDARD
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.draws import DRAWS
from svgd_onnx.transforms.quantization import FAKE_QUANTIZE, QUANTIZING
from svgd_onnx.transforms.rule import text

_SHIFT, _SHIFT_OF_PRODUCT = 1e-2, 0.3
# A number at the edge of two steps of a quantization may fall to either side.
_PRECISION, _PRECISION_OF_INTEGERS = 1e-3, 5e-2
_ROUNDING = frozenset({FAKE_QUANTIZE, *QUANTIZING})
_SCATTERS = frozenset({"ScatterElements", "ScatterND"})


@dataclass(frozen=True)
class MadeUpExample:
    """Made-up data, and what the model says of it.

    Attributes:
        batch: an array for each input and label, by name.
        predictions: the model's outputs that losses compare, by name.
        precision: of its largest number, to which two graphs of it agree; infinite where it draws numbers.
        overwriting: of a scatter whose elements may overwrite each other, which explains a gradient of another
            loss, what it is; None if there is none.
    """

    batch: Mapping[str, np.ndarray]
    predictions: Mapping[str, np.ndarray]
    precision: float
    overwriting: str | None


def made_up_example(
    manifest: Manifest, plan: TrainingPlan, sizes: Mapping[str, int] | None
) -> MadeUpExample | None:
    """Runs the model as it came on made-up data.

    Args:
        manifest: of what is made from the plan; its `unverified` is set where there is no example.
        plan: of the model.
        sizes: of open axes of the made-up data, by the axis's name or a glob.

    Returns:
        None where no onnxruntime is installed, or the model does not take made-up data.

    Raises:
        UserError: no axis has a name that a size is given for, or the loss takes for logits what look like
            probabilities.

    Warns:
        where the model does not take made-up data.
    """
    try:
        check_packages(installed_packages(), training=False)
    except UserError as error:
        manifest.unverified = first_line(error)
        return None
    try:
        example = _example(plan, sizes)
    except NotRunError as error:
        manifest.unverified = f"the model does not take made-up data ({first_line(error)})."
        warnings.warn(
            Advice(
                f"What was made could not be verified, as {manifest.unverified} If sizes are the reason, give "
                f"others with {option('random_size')}; or leave this out with {without('verify')}."
            ),
            stacklevel=5,
        )
        return None
    refuse_probabilities(
        plan, {name: example.predictions[unquoted(name)] for name in plan.predictions}
    )
    return example


def verify(folder: Path, manifest: Manifest, example: MadeUpExample) -> None:
    """Verifies artifacts, and notes in the manifest by what.

    Every model is opened by the onnxruntime that is installed, and runs once on made-up data. The loss is
    finite, and so are the gradients; and the loss changes as the gradients say, T left out
    (`loss_changes`). The step in pieces, where there is one, is that of several ranks (`ranks_agree`). All that
    this reads is in the folder, and it takes about the memory of training.

    Args:
        folder: artifacts that are whole but for this.
        manifest: theirs; its `verified` is set.
        example: of the model that they were made from.

    Raises:
        UserError: an artifact does not load or run, the loss or a gradient is not finite, a gradient is
            wrong, or the step for several ranks is another.

    Warns:
        of gradients that are zero everywhere.
    """
    loss, states = _run(folder, manifest, example)
    keep_if_steps_agree(folder, manifest, example.batch, loss, states)
    unresolved, values, gradients = _check_gradients(folder, manifest, example)
    keep_if_gradients_agree(folder, manifest, example.batch, values, gradients)
    del values, gradients
    check_ranks_agree(folder, manifest, example.batch)
    ((package, version),) = installed_packages().items()
    manifest.verified = Verified(package, version, unresolved)


def _example(plan: TrainingPlan, sizes: Mapping[str, int] | None) -> MadeUpExample:
    batch, predictions = made_up_batch(plan, sizes)
    operators = {node.op_type for node in all_nodes(plan.canonical.graph)}
    rounds, draws = operators & _ROUNDING, operators & DRAWS.keys()
    return MadeUpExample(
        batch={unquoted(name): array for name, array in batch.items()},
        predictions={unquoted(name): array for name, array in predictions.items()},
        precision=math.inf if draws else _PRECISION_OF_INTEGERS if rounds else _PRECISION,
        overwriting=_overwriting(plan),
    )


def _overwriting(plan: TrainingPlan) -> str | None:
    for node in all_nodes(plan.forward.graph):
        if node.op_type in _SCATTERS and text(node, "reduction", "none") == "none":
            return f"{node.op_type} '{unquoted(node.name or '')}'"
    return None


def _run(
    folder: Path, manifest: Manifest, example: MadeUpExample
) -> tuple[float, dict[str, np.ndarray]]:
    """A training step and an evaluation, by the session that will train.

    Returns:
        The step's loss, and what it changed beside parameters.
    """
    arrays = [example.batch[tensor.name] for tensor in manifest.arrays]
    try:
        session = TARGETS[manifest.target].open(folder, manifest, None, "cpu", STANDARD)
        evaluated = session.eval_step(arrays)
        loss = session.train_step(arrays, 0.0, update=True, seed=0)
    except UserError as error:
        raise _fault(f"what was made does not run ({first_line(error)})") from error
    if not np.isfinite(loss):
        names = [each.name for each in manifest.parameters]
        infinite = [name for name in names if not np.isfinite(session.tensor(name)).all()]
        if infinite:
            raise UserError(
                f"The loss is {loss} on made-up data, as {_quoted(infinite)} holds NaN or "
                f"infinity: export the model with numbers in their place, or do without this with "
                f"{without('verify')}."
            )
        if manifest.compute != FLOAT32 and np.isfinite(evaluated[0]):
            raise UserError(
                f"The loss or a gradient is not finite in {manifest.compute} on made-up data, with the "
                f"{option('loss_scale')} {manifest.loss_scale}: give a smaller one, or leave out "
                f"{option('compute')}."
            )
        raise _fault(
            f"the loss of the training step is {loss} on made-up data, and that of evaluation is "
            f"{float(evaluated[0])}"
        )
    positions = {tensor.name: place for place, tensor in enumerate(manifest.outputs, 1)}
    for name, wanted in example.predictions.items():
        found, scale = evaluated[positions[name]], max(1.0, float(np.abs(wanted).max()))
        apart = found.shape != wanted.shape or not (
            math.isinf(example.precision)
            or np.allclose(found, wanted, rtol=1e-2, atol=example.precision * scale)
        )
        if apart:
            raise _fault(f"the evaluation model gives another '{name}' than the model")
    return loss, session_states(session, manifest)


def _check_gradients(
    folder: Path, manifest: Manifest, example: MadeUpExample
) -> tuple[list[str], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the parameters of which float32 does not tell, the values of all, and the gradients there."""
    checkpoint = TARGETS[manifest.target].checkpoint(folder, manifest)
    values = {each.name: _writable(checkpoint(each.name)) for each in manifest.parameters}
    step = folder / TARGETS[manifest.target].step
    raw = RawGradients(step, manifest, example.batch, values)
    loss, gradients = raw.loss_and_gradients()
    for name, array in gradients.items():
        if array.shape != values[name].shape:
            raise _fault(
                f"the gradient of '{name}' has shape {array.shape}, but it has {values[name].shape}"
            )
    infinite = [name for name, array in gradients.items() if not np.isfinite(array).all()]
    if infinite:
        raise _fault(f"the gradient of {_quoted(infinite)} is NaN or infinite on made-up data")
    zero = [name for name, array in gradients.items() if not array.any()]
    factors = {each.down for each in manifest.lora.adapters} if manifest.lora else set()
    dead = [name for name in zero if name not in factors]  # B is 0 at first, and so is A's gradient
    if dead:
        warnings.warn(
            Advice(
                f"The gradient of {_quoted(dead)} is zero everywhere on made-up data: that does not train at "
                "first, as where what follows it is all zeros, or never."
            ),
            stacklevel=4,
        )
    trained = {name: values[name] for name in gradients}
    equal = _of_one_number(trained)  # as they are; what moves comes back but for rounding
    random = np.random.default_rng(0)
    changes = LossChanges(raw.loss, loss, trained, gradients, random)
    doubtful, unresolved = changes.first_sight()
    if equal and (zero or doubtful or unresolved):
        del changes, gradients  # before there are others
        _move_off_the_middle(equal, _shifts(manifest), random)
        if raw.is_of_one_run:
            raw = RawGradients(step, manifest, example.batch, values)
        loss, gradients = raw.loss_and_gradients()
        changes = LossChanges(raw.loss, loss, trained, gradients, random)
        doubtful, unresolved = changes.first_sight()
    found = changes.findings(doubtful)
    if found.wrong:
        raise _wrong(found, example)
    return [*unresolved, *found.unresolved], values, gradients


def _writable(array: np.ndarray) -> np.ndarray:
    """An array that may be changed: itself, as far as that goes."""
    return np.require(array, requirements=("C", "W"))


def _wrong(found: Findings, example: MadeUpExample) -> UserError:
    if example.overwriting is not None:
        return UserError(
            "The loss changes on made-up data by another amount than the gradients say, and "
            f"{example.overwriting} has no reduction: where its indices write an element more than once, as "
            "made-up ones do, only the last counts. Export the model with reduction='add', if that is what it "
            f"means, or do without this with {without('verify')} if its indices never repeat."
        )
    changes = (f"'{name}' ({change:.3g} times)" for name, change in found.wrong.items())
    return _fault(
        "the loss changes by another amount than the gradient that the artifacts give says, along that of "
        + listed(changes, 3)
    )


def _of_one_number(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters that are all one number, such as zeros."""
    return {
        name: array
        for name, array in values.items()
        if array.size > 1 and array.min() == array.max()
    }


def _shifts(manifest: Manifest) -> dict[str, float]:
    """How far second factors of adapters move: so that products are a share of a usual weight."""
    if manifest.lora is None:
        return {}
    adapters, rank = manifest.lora.adapters, manifest.lora.rank
    return {each.up: _SHIFT_OF_PRODUCT / (each.scaling * math.sqrt(rank)) for each in adapters}


def _move_off_the_middle(
    values: Mapping[str, np.ndarray], shifts: Mapping[str, float], random: np.random.Generator
) -> None:
    """Where a scale is 0, what follows a Relu may be 0 exactly, and the loss has no derivative there."""
    for name, array in values.items():
        shift = np.float32(shifts.get(name, _SHIFT))
        array += shift * random.standard_normal(array.shape, np.float32)


def _quoted(names: list[str]) -> str:
    return listed((f"'{name}'" for name in names), 3)


def _fault(what: str) -> UserError:
    return UserError(
        f"Nothing was written: {what}. Unless the model states a wrong shape, that is no fault of its "
        f"own: export it without stated shapes, convert with another {option('differentiator')} or "
        f"{option('target')}, leave out with {option('freeze')} what it is about, or do without this "
        f"with {without('verify')}."
    )
