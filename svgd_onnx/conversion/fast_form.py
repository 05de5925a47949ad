"""Hold the step of fast kernels against that of standard operators, and leave it out where they differ."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
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


def keep_if_steps_agree(
    folder: Path,
    manifest: Manifest,
    batch: Mapping[str, np.ndarray],
    loss: float,
    states: Mapping[str, np.ndarray],
) -> None:
    """Takes the step of fast kernels out of a folder if it is not that of standard operators.

    It runs as it will train, which takes the memory of training: that is best done where little else is held.

    Args:
        folder: artifacts whose step of standard operators is right.
        manifest: theirs, with its `files`.
        batch: made-up data.
        loss: of the first step of standard operators on these.
        states: what that step changed beside parameters, by name.

    Warns:
        where it is taken out.
    """

    def difference() -> str | None:
        found, changed = _step(folder, manifest, batch)
        if not abs(found - loss) <= _TOLERANCE_OF_LOSS * max(1.0, abs(loss)):
            return f"its loss is {found}, and not {loss}"
        return _different(changed, states, 0.0)

    keep_if_none(folder, manifest, difference)


def keep_if_gradients_agree(
    folder: Path,
    manifest: Manifest,
    batch: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    gradients: Mapping[str, np.ndarray],
) -> None:
    """As `keep_if_steps_agree`, by the gradients, T left out.

    Args:
        folder: as there.
        manifest: as there.
        batch: as there.
        values: the parameters that gradients are of.
        gradients: of standard operators, of each parameter that is trained.
    """

    def difference() -> str | None:
        step = folder / TARGETS[manifest.target].fast_step
        _, found = RawGradients(step, manifest, batch, values).loss_and_gradients()
        squares = (float(np.vdot(each, each)) for each in gradients.values())
        return _different(found, gradients, _NOTHING * float(np.sqrt(sum(squares))))

    keep_if_none(folder, manifest, difference)


def session_states(session: Session, manifest: Manifest) -> dict[str, np.ndarray]:
    """What a session's steps change beside parameters: running statistics, and r."""
    names = [*manifest.running_statistics, *manifest.r]
    return {name: np.array(session.tensor(name)) for name in names}


def keep_if_none(folder: Path, manifest: Manifest, difference: Callable[[], str | None]) -> None:
    """Takes the fast form out, whole and in pieces, if there is a difference, which is said in words."""
    name = TARGETS[manifest.target].fast_step
    if name not in manifest.files:
        return
    try:
        reason = difference()
    except UserError as error:
        reason = f"it does not run: {first_line(error)}"
    if reason is None:
        return
    for file in folder.glob(name.replace(".onnx", "*.onnx")):
        file.unlink()
        del manifest.files[file.name]
    warnings.warn(
        Advice(f"Training will take standard operators alone: {name} was left out ({reason})."),
        stacklevel=5,
    )


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
    """Which tensor differs by more than rounding, in words; what was found is the difference from then on."""
    for name, array in wanted.items():
        apart = np.subtract(found[name], array, out=found[name])
        if not np.linalg.norm(apart) <= _TOLERANCE * np.linalg.norm(array) + nothing:
            return f"'{name}' comes out differently"
    return None
