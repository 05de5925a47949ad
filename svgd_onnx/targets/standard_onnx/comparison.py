"""How far apart the same step is on two devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TOLERANCE = 5e-3
"""Between what is the same but for rounding, 1e-7 to 3e-3 apart by OpenVINO (the latter by AdamW, which makes
whole steps of gradients that are lost in rounding), and one operator that is wrong, which makes 1e-2 to 1."""


def relative_difference(
    before: Sequence[np.ndarray], expected: Sequence[np.ndarray], found: Sequence[np.ndarray]
) -> float:
    """How far a step is from the one that is expected, by the length of that: norms of all tensors together.

    Args:
        before: tensors before the step.
        expected: as they should be after it.
        found: as they are.

    Returns:
        0 where nothing was to change, and nothing did.
    """
    wanted = sum(_square(after, first) for after, first in zip(expected, before))
    apart = sum(_square(after, other) for after, other in zip(found, expected))
    if wanted == 0:
        return 0.0 if apart == 0 else float("inf")
    return float(np.sqrt(apart / wanted))


def _square(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(one.astype(np.float64) - other).sum())
