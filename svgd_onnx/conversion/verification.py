"""Prove what conversion made: open it, take a step on made-up data, hold the gradients against the loss."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svgd_onnx.conversion.example_batch import made_up_batch
from svgd_onnx.conversion.inference import NotRunError
from svgd_onnx.conversion.loss_changes import compare
from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.conversion.probabilities import refuse_probabilities
from svgd_onnx.conversion.raw_gradients import RawGradients
from svgd_onnx.errors import Advice, UserError, first_line, listed, option, without
from svgd_onnx.manifest import Manifest, Verified
from svgd_onnx.runtime import check_packages, installed_packages
from svgd_onnx.step_names import unquoted
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.quantization import FAKE_QUANTIZE, QUANTIZING
from svgd_onnx.transforms.rule import text

_SHIFT = 1e-2
# A number at the edge of two steps of a quantization may fall to either side.
_PRECISION, _PRECISION_OF_INTEGERS = 1e-3, 5e-2
_ROUNDING = frozenset({FAKE_QUANTIZE, *QUANTIZING})


@dataclass(frozen=True)
class _Example:
    """Made-up data, and what the model says of it."""

    batch: Mapping[str, np.ndarray]
    prediction: np.ndarray
    precision: float  # of the largest number, to which two graphs of it agree


def verify(
    folder: Path, manifest: Manifest, plan: TrainingPlan, sizes: Mapping[str, int] | None
) -> None:
    """Verifies artifacts, and notes in the manifest by what, or why not.

    Every model is opened by the onnxruntime that is installed, and runs once on made-up data. The loss is
    finite, and so are the gradients; and the loss changes as the gradients say, T left out
    (`loss_changes`).

    Args:
        folder: artifacts that are whole but for this.
        manifest: theirs; its `verified` and `unverified` are set.
        plan: what they were made from.
        sizes: of open axes of the made-up data, by the axis's name or a glob.

    Raises:
        UserError: no axis has a name that a size is given for, an artifact does not load or run, the loss
            or a gradient is not finite, a gradient is wrong, or the loss takes for logits what look like
            probabilities.

    Warns:
        where the model does not take made-up data; of gradients that are zero everywhere.
    """
    try:
        check_packages(installed_packages(), training=False)
    except UserError as error:
        manifest.unverified = first_line(error)
        return
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
        return
    refuse_probabilities(plan, example.prediction)
    _run(folder, manifest, plan, example)
    unresolved = _check_gradients(folder, manifest, plan, example)
    ((package, version),) = installed_packages().items()
    manifest.verified = Verified(package, version, unresolved)


def _example(plan: TrainingPlan, sizes: Mapping[str, int] | None) -> _Example:
    batch, prediction = made_up_batch(plan, sizes)
    rounds = any(node.op_type in _ROUNDING for node in plan.canonical.graph.all_nodes())
    precision = _PRECISION_OF_INTEGERS if rounds else _PRECISION
    return _Example({unquoted(name): array for name, array in batch.items()}, prediction, precision)


def _run(folder: Path, manifest: Manifest, plan: TrainingPlan, example: _Example) -> None:
    """A training step and an evaluation, by the session that will train."""
    arrays = [example.batch[tensor.name] for tensor in manifest.arrays]
    try:
        session = TARGETS[manifest.target].open(folder, manifest, None, "cpu")
        evaluated = session.eval_step(arrays)
        loss = session.train_step(arrays, 0.0, update=True, seed=0)
    except UserError as error:
        raise _fault(f"what was made does not run ({first_line(error)})") from error
    if not np.isfinite(loss):
        infinite = [
            name for name, array in plan.values.items() if not np.isfinite(array.numpy()).all()
        ]
        if infinite:
            raise UserError(
                f"The loss is {loss} on made-up data, as {_quoted(list(map(unquoted, infinite)))} holds NaN or "
                f"infinity: export the model with numbers in their place, or do without this with "
                f"{without('verify')}."
            )
        raise _fault(
            f"the loss of the training step is {loss} on made-up data, and that of evaluation is "
            f"{float(evaluated[0])}"
        )
    position = [tensor.name for tensor in manifest.outputs].index(manifest.prediction)
    found, wanted = evaluated[1 + position], example.prediction
    if found.shape != wanted.shape or not np.allclose(
        found, wanted, rtol=1e-2, atol=example.precision * max(1.0, float(np.abs(wanted).max()))
    ):
        raise _fault(f"the evaluation model gives another '{manifest.prediction}' than the model")


def _check_gradients(
    folder: Path, manifest: Manifest, plan: TrainingPlan, example: _Example
) -> list[str]:
    """Returns the parameters of which float32 does not tell."""
    values = {unquoted(name): np.asarray(tensor.numpy()) for name, tensor in plan.values.items()}
    step = folder / TARGETS[manifest.target].step
    raw = RawGradients(step, manifest, example.batch, values)
    gradients = raw.gradients({})
    infinite = [name for name, array in gradients.items() if not np.isfinite(array).all()]
    if infinite:
        raise _fault(f"the gradient of {_quoted(infinite)} is NaN or infinite on made-up data")
    zero = [name for name, array in gradients.items() if not array.any()]
    if zero:
        warnings.warn(
            Advice(
                f"The gradient of {_quoted(zero)} is zero everywhere on made-up data: that does not train at "
                "first, as where what follows it is all zeros, or never."
            ),
            stacklevel=4,
        )
    random = np.random.default_rng(0)
    trained = {name: values[name] for name in gradients}
    moved = _off_the_middle(trained, random)
    if moved:
        del gradients  # before there are others
        gradients = raw.gradients(moved)
    found = compare(
        lambda changed: raw.loss({**moved, **changed}), {**trained, **moved}, gradients, random
    )
    if found.wrong:
        _refuse_overwriting(plan)
        changes = (f"'{name}' ({change:.3g} times)" for name, change in found.wrong.items())
        raise _fault(
            "the loss changes by another amount than the gradient that the artifacts give says, along that of "
            + listed(changes, 3)
        )
    return found.unresolved


def _refuse_overwriting(plan: TrainingPlan) -> None:
    """Refuses a scatter whose elements may overwrite each other, which explains a gradient of another loss."""
    for node in plan.forward.graph.all_nodes():
        if (
            node.op_type in ("ScatterElements", "ScatterND")
            and text(node, "reduction", "none") == "none"
        ):
            raise UserError(
                "The loss changes on made-up data by another amount than the gradients say, and "
                f"{node.op_type} '{unquoted(node.name or '')}' has no reduction: where its indices write an "
                "element more than once, as made-up ones do, only the last counts. Export the model with "
                f"reduction='add', if that is what it means, or do without this with {without('verify')} if "
                "its indices never repeat."
            )


def _off_the_middle(
    values: Mapping[str, np.ndarray], random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Of parameters that are all one number, such as zeros, others beside it.

    Where a scale is 0, what follows a Relu may be 0 exactly, and the loss has no derivative there.
    """
    return {
        name: array + np.float32(_SHIFT) * random.standard_normal(array.shape, np.float32)
        for name, array in values.items()
        if array.size > 1 and array.min() == array.max()
    }


def _quoted(names: list[str]) -> str:
    return listed((f"'{name}'" for name in names), 3)


def _fault(what: str) -> UserError:
    return UserError(
        f"Nothing was written: {what}. That is no fault of the model: convert with another "
        f"{option('differentiator')} or {option('target')}, leave out with {option('freeze')} what it is "
        f"about, or do without this with {without('verify')}."
    )
