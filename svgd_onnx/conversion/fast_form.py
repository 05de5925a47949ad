"""Hold the step of fast kernels against that of standard operators, and leave it out where they differ."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from svgd_onnx.conversion.raw_gradients import RawGradients
from svgd_onnx.errors import Advice, UserError, first_line
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.kernels import FAST, STANDARD

# Of a tensor's size, by its norm. Rounding is far less, but for a Relu that falls to the other side.
_TOLERANCE = 2e-2
# Of that of all gradients: one that is nothing but rounding, as of a bias before a normalization.
_NOTHING = 1e-4
_TOLERANCE_OF_LOSS = 1e-4


def keep_if_it_agrees(folder: Path, manifest: Manifest, batch: Mapping[str, np.ndarray]) -> None:
    """Takes the step of fast kernels out of a folder if its first step is not that of standard operators.

    Args:
        folder: artifacts whose step of standard operators is right.
        manifest: theirs, with its `files`.
        batch: made-up data.

    Warns:
        where it is taken out.
    """
    name = TARGETS[manifest.target].fast_step
    if name not in manifest.files:
        return
    try:
        reason = _difference(folder, manifest, batch)
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


def _difference(folder: Path, manifest: Manifest, batch: Mapping[str, np.ndarray]) -> str | None:
    """What the two forms do not agree in; None if they do."""
    loss, states = _step(folder, manifest, batch, STANDARD)
    fast_loss, fast_states = _step(folder, manifest, batch, FAST)
    if not abs(fast_loss - loss) <= _TOLERANCE_OF_LOSS * max(1.0, abs(loss)):
        return f"its loss is {fast_loss}, and not {loss}"
    different = _different(fast_states, states, 0.0)
    if different is None:
        target = TARGETS[manifest.target]
        gradients = _gradients(folder / target.step, folder, manifest, batch)
        fast_gradients = _gradients(folder / target.fast_step, folder, manifest, batch)
        whole = float(np.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values())))
        different = _different(fast_gradients, gradients, _NOTHING * whole)
    return None if different is None else f"'{different}' comes out differently"


def _step(
    folder: Path, manifest: Manifest, batch: Mapping[str, np.ndarray], kernels: str
) -> tuple[float, dict[str, np.ndarray]]:
    """A step by the session that will train: its loss, and what it changes beside parameters."""
    session = TARGETS[manifest.target].open(folder, manifest, None, "cpu", kernels)
    arrays = [batch[tensor.name] for tensor in manifest.arrays]
    loss = session.train_step(arrays, 0.0, update=True, seed=0)
    names = [each.name for each in manifest.parameters if each.statistic]
    names += dict.fromkeys(each.state for each in manifest.operations if each.state)
    return loss, {name: np.array(session.tensor(name)) for name in names}


def _gradients(
    step: Path, folder: Path, manifest: Manifest, batch: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    checkpoint = TARGETS[manifest.target].checkpoint(folder, manifest)
    values = {
        each.name: np.require(checkpoint(each.name), requirements="C")
        for each in manifest.parameters
    }
    return RawGradients(step, manifest, batch, values).loss_and_gradients()[1]


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
