"""Hold the step of fast kernels against that of standard operators, and leave it out where they differ."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svgd_onnx.conversion.raw_gradients import RawGradients
from svgd_onnx.errors import Advice, UserError, first_line
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.kernels import FAST
from svgd_onnx.targets.session import Session

# Of a tensor's size, by its norm. Rounding is far less, but for a Relu that falls to the other side.
_TOLERANCE = 2e-2
# Of that of all gradients: one that is nothing but rounding, as of a bias before a normalization.
_NOTHING = 1e-4
_TOLERANCE_OF_LOSS = 1e-4


@dataclass(frozen=True)
class FirstStep:
    """What the first step of standard operators came to on made-up data.

    Attributes:
        loss: of the step.
        states: what it changed beside parameters, by name.
        values: the parameters that gradients are of.
        gradients: of each that is trained, T left out.
    """

    loss: float
    states: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray]


def keep_if_it_agrees(
    folder: Path, manifest: Manifest, batch: Mapping[str, np.ndarray], standard: FirstStep
) -> None:
    """Takes the step of fast kernels out of a folder if its first step is not that of standard operators.

    Args:
        folder: artifacts whose step of standard operators is right.
        manifest: theirs, with its `files`.
        batch: made-up data.
        standard: what that step came to on these.

    Warns:
        where it is taken out.
    """
    name = TARGETS[manifest.target].fast_step
    if name not in manifest.files:
        return
    try:
        reason = _difference(folder, manifest, batch, standard)
    except UserError as error:
        reason = f"it does not run: {first_line(error)}"
    if reason is None:
        return
    (folder / name).unlink()
    del manifest.files[name]
    warnings.warn(
        Advice(f"Training will take standard operators alone: {name} was left out ({reason})."),
        stacklevel=4,
    )


def session_states(session: Session, manifest: Manifest) -> dict[str, np.ndarray]:
    """What a session's steps change beside parameters: running statistics, and r."""
    names = [each.name for each in manifest.parameters if each.statistic]
    names += dict.fromkeys(each.state for each in manifest.operations if each.state)
    return {name: np.array(session.tensor(name)) for name in names}


def _difference(
    folder: Path, manifest: Manifest, batch: Mapping[str, np.ndarray], standard: FirstStep
) -> str | None:
    """What the two forms do not agree in; None if they do."""
    loss, states = _step(folder, manifest, batch)
    if not abs(loss - standard.loss) <= _TOLERANCE_OF_LOSS * max(1.0, abs(standard.loss)):
        return f"its loss is {loss}, and not {standard.loss}"
    different = _different(states, standard.states, 0.0)
    if different is None:
        step = folder / TARGETS[manifest.target].fast_step
        _, gradients = RawGradients(step, manifest, batch, standard.values).loss_and_gradients()
        squares = (float(np.vdot(each, each)) for each in standard.gradients.values())
        nothing = _NOTHING * float(np.sqrt(sum(squares)))
        different = _different(gradients, standard.gradients, nothing)
    return None if different is None else f"'{different}' comes out differently"


def _step(
    folder: Path, manifest: Manifest, batch: Mapping[str, np.ndarray]
) -> tuple[float, dict[str, np.ndarray]]:
    """A step by the session that will train: its loss, and what it changes beside parameters."""
    session = TARGETS[manifest.target].open(folder, manifest, None, "cpu", FAST)
    arrays = [batch[tensor.name] for tensor in manifest.arrays]
    loss = session.train_step(arrays, 0.0, update=True, seed=0)
    return loss, session_states(session, manifest)


def _different(
    found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], nothing: float
) -> str | None:
    """The name of a tensor that differs by more than rounding."""
    for name, array in wanted.items():
        norm = float(np.linalg.norm(array))
        apart = float(np.linalg.norm(found[name] - array))
        if not apart <= _TOLERANCE * norm + nothing:
            return name
    return None
