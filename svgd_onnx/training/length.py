"""How many steps to train, and what other numbers training takes."""

from __future__ import annotations

from svgd_onnx.argument_types import whole_number
from svgd_onnx.errors import UserError, option

_MOST = (1 << 63) - 1


def check_length(epochs: int | None, steps: int | None) -> None:
    """Refuses to train neither for some epochs nor for some steps, or for both.

    Raises:
        UserError: both or none are given, or less than 1.
    """
    if (epochs is None) == (steps is None):
        raise UserError(f"Give either {option('epochs')} or {option('steps')}.")
    check_positive(epochs=epochs, steps=steps)


def check_positive(**counts: int | None) -> None:
    """Refuses options that count and are no whole numbers, below 1, or more than 64 bits hold.

    Raises:
        UserError: names the first.
    """
    for name, value in counts.items():
        if value is None:
            continue
        if whole_number(name, value) < 1:
            raise UserError(f"{option(name)} is {value}, but must be 1 or more.")
        if value > _MOST:
            raise UserError(f"{option(name)} is {value}, but must be {_MOST} at most.")
