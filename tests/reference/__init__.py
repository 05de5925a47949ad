"""A float64 reference for virtual gradients: plain NumPy, independent of the program it checks."""

from __future__ import annotations

from .interpreter import backward, forward
from .losses import LOSSES
from .operators import OPERATORS
from .virtual_gradient import Result, virtual_gradients, virtual_step

__all__ = [
    "LOSSES",
    "OPERATORS",
    "Result",
    "backward",
    "forward",
    "virtual_gradients",
    "virtual_step",
]
