"""Operators that move the elements of their first input and do nothing else to them."""

from __future__ import annotations

REARRANGEMENTS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
