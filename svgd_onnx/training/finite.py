"""What must stay finite while training goes on, and what to say where it does not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.records import ANCHOR, AVERAGE
from svgd_onnx.targets.session import Session

STOP, SKIP = "stop", "skip"
NON_FINITE = (STOP, SKIP)
"""What is done where the loss or a gradient of a batch is NaN or infinite."""


# What a step is told, and what may hold the infinities of the parameter that it follows.
_NOT_KEPT = ("update", "learning_rate")
_LIKE_PARAMETERS = (AVERAGE, ANCHOR)
_NEVER_NEGATIVE = ("second_moment", "mean_square", "steps")


def never_negative(manifest: Manifest) -> set[str]:
    """The names of all r, and of other tensors that are means of squares or count."""
    states = {each.name for each in manifest.states if each.state in _NEVER_NEGATIVE}
    return states | {each.state for each in manifest.operations if each.state is not None}


def _kept_finite(manifest: Manifest) -> list[str]:
    left_out = (*_NOT_KEPT, *_LIKE_PARAMETERS)
    return [each.name for each in manifest.states if each.state not in left_out]


def without_nan(name: str, numbers: np.ndarray) -> np.ndarray:
    """The numbers of a parameter that is about to be written for use.

    Raises:
        UserError: NaN is among them, so that what reads them says NaN.
    """
    if np.isnan(numbers).any():
        raise UserError(
            f"'{name}' has NaN, and nothing is exported: name an earlier checkpoint with "
            f"{option('checkpoint')}, or restore it from a copy."
        )
    return numbers


class FiniteTensors:
    """The tensors of a session that training changes, as they were before its first step.

    A parameter may hold infinities from the beginning, as rows of -inf of an embedding that no example
    reads; r may not, which starts at zero.

    Args:
        session: whose tensors they are.
        manifest: of its artifacts.

    Raises:
        UserError: an r, or what the optimizer keeps, is NaN or infinite, or is negative and cannot be.
    """

    def __init__(self, session: Session, manifest: Manifest) -> None:
        self._session = session
        self._parameters = {each.name: self._places(each.name) for each in manifest.parameters}
        self._parameter_of = {
            each.state: each.parameter for each in manifest.operations if each.state is not None
        }
        self._owner_of = {each.name: str(each.parameter) for each in manifest.states}
        positive = never_negative(manifest)
        for state in [*self._parameter_of, *_kept_finite(manifest)]:
            numbers = session.tensor(state)
            is_finite = np.isfinite(numbers).all()
            if not is_finite or (state in positive and (numbers < 0).any()):
                raise UserError(
                    f"'{state}' is {'negative' if is_finite else 'NaN or infinite'} in the checkpoint: restore "
                    "the checkpoint from a copy, or convert the model again."
                )

    def check(self, step: int) -> None:
        """Refuses what has diverged.

        Raises:
            UserError: a parameter, a running statistic or an r became NaN or infinite.
        """
        for name, before in {**self._parameters, **dict.fromkeys(self._parameter_of)}.items():
            found = self._places(name)
            if found is not None and (before is None or (found & ~before).any()):
                kind = "Parameter" if name in self._parameters else "The state"
                raise UserError(
                    f"{kind} '{name}' became NaN or infinite by step {step}: lower the learning rate. The "
                    "last good checkpoint is kept."
                )

    def refusal(self, loss: float, step: int) -> UserError:
        """What to raise where a step was not taken, counted from 1."""
        names = self._layers(self._session.not_finite())
        found = f"The loss became {loss}"
        if names:
            quoted = listed((f"'{name}'" for name in names), 3)
            found = f"The loss or the change of {quoted} became NaN or infinite"
        were = [name for name, places in self._parameters.items() if places is not None]
        if were:
            quoted = listed((f"'{name}'" for name in were), 3)
            return UserError(
                f"{found} at step {step}, and {quoted} had NaN or infinities in the checkpoint already: if "
                "that should not be, restore the checkpoint from a copy, or convert the model again."
            )
        return UserError(
            f"{found} at step {step}: lower the learning rate, look at the data, or leave such steps out with "
            f"{option('non_finite', SKIP)}. The last good checkpoint is kept."
        )

    def _layers(self, names: Iterable[str]) -> list[str]:
        """The parameters that tensors of a step belong to, in the model's order."""
        owners = {**self._owner_of, **self._parameter_of}
        found = {owners.get(name, name) for name in names}
        return [name for name in self._parameters if name in found]

    def _places(self, name: str) -> np.ndarray | None:
        """Where a tensor is NaN or infinite; None if nowhere."""
        places = ~np.isfinite(self._session.tensor(name))
        return places if places.any() else None
